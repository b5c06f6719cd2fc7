"""`test` declarations: everything in them typed, so that running one can find nothing wrong but the reward."""

from __future__ import annotations

from exgrpo_compiler.ast import Decl, ExpectStmt
from exgrpo_compiler.check.context import Context
from exgrpo_compiler.check.forms import sort_statements
from exgrpo_compiler.check.test_expects import Expecting, check_condition, find_rewards
from exgrpo_compiler.check.test_rollouts import check_group, check_item
from exgrpo_compiler.checked_tests import CheckedExpect, CheckedTest, list_terms
from exgrpo_compiler.diagnostics import Label
from exgrpo_compiler.ir import CheckedDataset, CheckedDialogue, CheckedReward
from exgrpo_compiler.program import Key


def check_test(context: Context, decl: Decl) -> CheckedTest | None:
    """A checked `test`, or None with diagnostics."""
    assert decl.block is not None
    before = len(context.problems)
    title = f'test "{decl.name.text}"'
    block = sort_statements(
        decl.block, "test", title, decl.name.span, context.problems, is_damaged=decl.is_damaged
    )
    statements = [item for item in block.others if isinstance(item, ExpectStmt)]
    if not statements and not decl.is_damaged:
        context.problems.error(
            "test-without-expect",
            decl.name.span,
            "This test expects nothing, so it would always pass.",
            hint="add `expect REWARD.TERM == […]`",
        )
    group = block.get("group")
    count = len(items) if group and (items := getattr(group.value, "items", None)) else None
    expects = tuple(
        expect for statement in statements if (expect := _check_expect(context, statement, count)) is not None
    )
    rewards = tuple(dict.fromkeys(key for expect in expects for key, _ in list_terms(expect.condition)))
    if rewards and not _verify_one_dialogue(context, expects, rewards):
        return None
    at = Expecting(context, count)
    rewards = rewards or tuple(
        dict.fromkeys(key for statement in statements for key in find_rewards(at, statement.condition))
    )
    if not rewards:
        return None
    checked: list[CheckedReward] = [context.known[key] for key in rewards]
    dialogue, dataset = context.known.get(checked[0].dialogue), context.known.get(checked[0].dataset)
    if not isinstance(dialogue, CheckedDialogue) or not isinstance(dataset, CheckedDataset):
        return None
    item = block.get("item")
    row = check_item(context, item.value if item else None, dataset, checked, decl.name.span)
    rollouts = check_group(context, group.value, dialogue, checked) if group else None
    if row is None or rollouts is None or len(context.problems) > before or decl.is_damaged:
        return None
    return CheckedTest(decl.name.text, rewards, row, rollouts, expects, decl.span, decl.name.span)


def _check_expect(context: Context, statement: ExpectStmt, count: int | None) -> CheckedExpect | None:
    condition = check_condition(Expecting(context, count), statement.condition)
    if condition is None:
        return None
    if not list_terms(condition):
        context.problems.error(
            "test-without-expect",
            statement.condition.span,
            "This expectation names no term of a reward, so it says nothing about one.",
            hint="compare a term: expect REWARD.TERM == […]",
        )
        return None
    return CheckedExpect(condition, statement.span)


def _verify_one_dialogue(
    context: Context, expects: tuple[CheckedExpect, ...], rewards: tuple[Key, ...]
) -> bool:
    first: CheckedReward = context.known[rewards[0]]
    for key in rewards[1:]:
        if context.known[key].dialogue == first.dialogue:
            continue
        place = next(
            expect.span for expect in expects if any(one == key for one, _ in list_terms(expect.condition))
        )
        context.problems.error(
            "kind-mismatch",
            place,
            f"The rollouts of one test belong to one dialogue, but `{key.name}` is about another than "
            f"`{rewards[0].name}`.",
            labels=(Label(expects[0].span, f"`{rewards[0].name}` is named here"),),
            hint="write a test for each of the two rewards",
        )
        return False
    return True
