"""`evaluate(dialogue.scenario, on: dataset.split, score: reward.term)`."""

from __future__ import annotations

from typing import Any

from exgrpo_compiler.ast import Attribute, Entry, Expr, Ref
from exgrpo_compiler.check.context import Context, find_declaration
from exgrpo_compiler.check.stage_parts import Bound, verify_scenario, verify_split
from exgrpo_compiler.ir import CheckedDataset, CheckedDialogue, CheckedReward
from exgrpo_compiler.problems import list_names
from exgrpo_compiler.program import Key, ModuleAlias


def read_evaluate(context: Context, bound: Bound) -> dict[str, Any]:
    """Settings of an `evaluate` stage that name declarations; empty where one is wrong (and reported)."""
    found = _read_scenario(context, bound["scenario"].value)
    on = _read_on(context, bound["on"].value, found[1].dataset if found else None)
    score = _read_score(context, bound["score"].value)
    if found is None or on is None or score is None:
        return {}
    key, dialogue, scenario = found
    reward_key, reward, term = score
    if reward.dialogue != key:
        context.problems.error(
            "kind-mismatch",
            bound["score"].value.span,
            f"Reward `{reward_key.name}` scores rollouts of `{reward.dialogue.name}`; this stage evaluates `{key.name}`.",
        )
    if reward.terms[term].level != "rollout":
        context.problems.error(
            "level-mismatch",
            bound["score"].value.span,
            f"`score` is one number for a rollout; `{term}` lives at level {reward.terms[term].level}.",
        )
    _verify_same_fields(context, bound["on"].value, on[0], dialogue.dataset)
    return {
        "dialogue": key,
        "scenario": scenario,
        "dataset": on[0],
        "split": on[1],
        "reward": reward_key,
        "term": term,
    }


def _read_scenario(context: Context, expr: Expr) -> tuple[Key, CheckedDialogue, str] | None:
    if not isinstance(expr, Attribute):
        context.problems.error(
            "type-mismatch",
            expr.span,
            "`evaluate` takes a scenario of a dialogue.",
            hint=_list_parts(context, expr, "dialogue") or "write `NAME_OF_A_DIALOGUE.NAME_OF_A_SCENARIO`",
        )
        return None
    key = find_declaration(context, expr.value, ("dialogue",), "`evaluate`")
    dialogue = context.known.get(key) if key is not None else None
    if key is None or not isinstance(dialogue, CheckedDialogue):
        return None
    entry = Entry(expr.name, expr, expr.span)
    return (key, dialogue, expr.name.text) if verify_scenario(context, entry, key, dialogue) else None


def _read_on(context: Context, expr: Expr, about: Key | None) -> tuple[Key, str] | None:
    if not isinstance(expr, Attribute):
        hint = _list_parts(context, expr, "dataset")
        if hint is None and isinstance(expr, Ref) and about is not None:
            dataset = context.known.get(about)
            if isinstance(dataset, CheckedDataset) and expr.name in dataset.splits:
                hint = f"write `{about.name}.{expr.name}`"
        context.problems.error(
            "type-mismatch",
            expr.span,
            "`on` is a split of a dataset.",
            hint=hint or "write `NAME_OF_A_DATASET.NAME_OF_A_SPLIT`",
        )
        return None
    key = find_declaration(context, expr.value, ("dataset",), "`on`")
    dataset = context.known.get(key) if key is not None else None
    if key is None or not isinstance(dataset, CheckedDataset):
        return None
    split = verify_split(context, Ref(expr.name.text, expr.name.span), dataset, key)
    return (key, split) if split else None


def _list_parts(context: Context, expr: Expr, kind: str) -> str | None:
    """A hint with the scenarios of a dialogue, or the splits of a dataset, that was named as a whole."""
    if not isinstance(expr, Ref):
        return None
    target = context.program.find(context.module, expr.name)
    if not isinstance(target, Key) or target not in context.program.decls:
        return None
    checked = context.known.get(target)
    if kind == "dialogue" and isinstance(checked, CheckedDialogue):
        if not checked.scenarios:
            return f"`{expr.name}` has none: declare `scenario plain = first(0)` in it, and write `{expr.name}.plain`"
        return list_names([f"{expr.name}.{name}" for name in checked.scenarios], "name a scenario of it:")
    if kind == "dataset" and isinstance(checked, CheckedDataset):
        return list_names([f"{expr.name}.{name}" for name in checked.splits], "name a split of it:")
    return None


def _read_score(context: Context, expr: Expr) -> tuple[Key, CheckedReward, str] | None:
    term = "total"
    if isinstance(expr, Attribute) and not _is_in_module(context, expr):
        term, expr = expr.name.text, expr.value
    key = find_declaration(context, expr, ("reward",), "`score`")
    reward = context.known.get(key) if key is not None else None
    if key is None or not isinstance(reward, CheckedReward):
        return None
    if term not in reward.terms:
        context.problems.unknown(
            "unknown-term",
            expr.span,
            f"Reward `{key.name}` has no term `{term}`.",
            term,
            reward.terms,
            "its terms are",
        )
        return None
    return key, reward, term


def _is_in_module(context: Context, expr: Attribute) -> bool:
    """Whether this is a declaration of an imported module."""
    base = context.program.find(context.module, expr.value.name) if isinstance(expr.value, Ref) else None
    return isinstance(base, ModuleAlias)


def _verify_same_fields(context: Context, expr: Expr, on: Key, due: Key) -> None:
    """Reports evaluation on another dataset that lacks what the dialogue's rows have."""
    if on == due:
        return
    actual, wanted = context.known.get(on), context.known.get(due)
    if not isinstance(actual, CheckedDataset) or not isinstance(wanted, CheckedDataset):
        return
    for field in wanted.fields:
        other = actual.row_type.get_field(field.name)
        if other != field.type:
            context.problems.error(
                "kind-mismatch",
                expr.span,
                f"`{on.name}` has no field `{field.name}` like the one of `{due.name}`, which the dialogue is about.",
            )
            return
