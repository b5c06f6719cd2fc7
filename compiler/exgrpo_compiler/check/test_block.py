"""`test` declarations: names and paths only. Running tests is not part of checking."""

from __future__ import annotations

from collections.abc import Sequence

from exgrpo_compiler.ast import Attribute, Compare, Decl, ExpectStmt, Expr, ListExpr, Record, Ref
from exgrpo_compiler.check.context import Context, find_declaration
from exgrpo_compiler.check.forms import sort_statements
from exgrpo_compiler.ir import CheckedDataset, CheckedDialogue, CheckedReward


def check_test(context: Context, decl: Decl) -> None:
    """Reports names in a test that do not exist."""
    assert decl.block is not None
    title = f'test "{decl.name.text}"'
    block = sort_statements(
        decl.block, "test", title, decl.name.span, context.problems, is_damaged=decl.is_damaged
    )
    expects = [item for item in block.others if isinstance(item, ExpectStmt)]
    if not expects and not decl.is_damaged:
        context.problems.error(
            "missing-key",
            decl.name.span,
            "This test expects nothing.",
            hint="add `expect REWARD.TERM == […]`",
        )
    rewards = [reward for expect in expects for reward in _find_rewards(context, expect.condition)]
    if not rewards:
        return
    dialogue = context.known.get(rewards[0].dialogue)
    dataset = context.known.get(rewards[0].dataset)
    item, group = block.get("item"), block.get("group")
    if item and isinstance(dataset, CheckedDataset):
        _check_item(context, item.value, dataset)
    if group and isinstance(dialogue, CheckedDialogue):
        _check_group(context, group.value, dialogue)


def _find_rewards(context: Context, expr: Expr) -> list[CheckedReward]:
    sides: Sequence[Expr] = expr.operands if isinstance(expr, Compare) else (expr,)
    found: list[CheckedReward] = []
    for side in sides:
        if not isinstance(side, Attribute):
            continue
        key = find_declaration(context, side.value, ("reward",), "`expect`")
        reward = context.known.get(key) if key is not None else None
        if key is None or not isinstance(reward, CheckedReward):
            continue
        found.append(reward)
        if side.name.text not in reward.terms:
            context.problems.unknown(
                "unknown-term",
                side.name.span,
                f"Reward `{key.name}` has no term `{side.name.text}`.",
                side.name.text,
                reward.terms,
                "its terms are",
            )
    return found


def _check_item(context: Context, expr: Expr, dataset: CheckedDataset) -> None:
    if not isinstance(expr, Record) or expr.tag is not None:
        context.problems.error(
            "type-mismatch", expr.span, '`item` is a record of the row\'s fields: { question: "…" }.'
        )
        return
    fields = dataset.row_type.field_names
    for entry in expr.entries:
        if entry.key.text not in fields:
            context.problems.unknown(
                "unknown-field",
                entry.key.span,
                f"The row has no field `{entry.key.text}`.",
                entry.key.text,
                fields,
                "its fields are",
            )


def _check_group(context: Context, expr: Expr, dialogue: CheckedDialogue) -> None:
    items = expr.items if isinstance(expr, ListExpr) else ()
    if not items:
        context.problems.error(
            "type-mismatch", expr.span, '`group` is a list of rollouts: [full { final: "…" }].'
        )
    turns = [exchange.name for exchange in dialogue.exchanges]
    for item in items:
        if not isinstance(item, Record) or not isinstance(item.tag, Ref):
            context.problems.error(
                "type-mismatch", item.span, 'A rollout is its scenario and turns: full { final: "…" }.'
            )
            continue
        if item.tag.name not in dialogue.scenarios:
            context.problems.unknown(
                "unknown-scenario",
                item.tag.span,
                f"There is no scenario `{item.tag.name}`.",
                item.tag.name,
                dialogue.scenarios,
                "the scenarios are",
            )
        for entry in item.entries:
            if entry.key.text not in (*turns, "tokens"):
                context.problems.unknown(
                    "unknown-field",
                    entry.key.span,
                    f"The dialogue has no turn `{entry.key.text}`.",
                    entry.key.text,
                    turns,
                    "its turns are",
                )
