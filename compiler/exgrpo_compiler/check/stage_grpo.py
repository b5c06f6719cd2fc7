"""`grpo(dialogue, reward: …, group: { … })`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from exgrpo_compiler.ast import Expr, Number, Record
from exgrpo_compiler.builtins import STAGES
from exgrpo_compiler.check.constants import read_setting
from exgrpo_compiler.check.context import Context, find_declaration
from exgrpo_compiler.check.stage_parts import (
    Bound,
    Setup,
    find_dialogue,
    read_split,
    verify_scenario,
    verify_targets,
)
from exgrpo_compiler.diagnostics import Label
from exgrpo_compiler.ir import CheckedDialogue, CheckedReward
from exgrpo_compiler.program import Key
from exgrpo_compiler.source import Span


def read_grpo(context: Context, setup: Setup, bound: Bound) -> dict[str, Any]:
    """Settings of a `grpo` stage that name declarations; empty where one is wrong (and reported)."""
    found = find_dialogue(context, bound["dialogue"].value, setup, "`grpo`")
    split = read_split(context, setup, bound)
    reward_expr = bound["reward"].value
    reward_key = find_declaration(context, reward_expr, ("reward",), "`reward`")
    if found is None:
        return {}
    key, dialogue = found
    reward = context.known.get(reward_key) if reward_key is not None else None
    if isinstance(reward, CheckedReward) and reward.dialogue != key:
        context.problems.error(
            "kind-mismatch",
            reward_expr.span,
            f"This reward scores rollouts of `{reward.dialogue.name}`; the stage samples `{key.name}`.",
        )
    group = _read_counts(context, bound["group"].value, "group", key, dialogue)
    compare = (
        _read_counts(context, bound["compare"].value, "compare", key, dialogue) if "compare" in bound else {}
    )
    if group is None or compare is None:
        return {}
    _verify_group(context, bound, group, dialogue)
    for scenario in compare:
        if scenario in group:
            context.problems.error(
                "duplicate-key",
                bound["compare"].value.span,
                f"Scenario `{scenario}` is in `group` and in `compare`.",
            )
    written = [bound[name].value for name in ("group", "compare") if name in bound]
    is_known = all(
        entry.key.text in dialogue.scenarios
        for expr in written
        if isinstance(expr, Record)
        for entry in expr.entries
    )
    if isinstance(reward, CheckedReward) and reward.dialogue == key and is_known:
        _verify_sampled(context, reward, {*group, *compare}, bound["group"].value.span)
    aux = bound["aux"].value if "aux" in bound else None
    if read_aux(context, aux) > 0:
        span = (aux or bound["dialogue"].value).span
        verify_targets(context, span, key, dialogue, (), "do without the auxiliary loss: aux: 0")
    return {"dialogue": key, "reward": reward_key, "group": group, "compare": compare, "split": split}


def read_aux(context: Context, expr: Expr | None) -> float:
    """Weight of the auxiliary loss, its default where none is written; 0 where it is wrong (and reported elsewhere)."""
    setting = STAGES["grpo"]["aux"]
    if expr is None:
        return float(setting.default)
    value = read_setting(context, expr, setting)
    return float(value) if isinstance(value, int | float) else 0.0


def _read_counts(
    context: Context, expr: Expr, name: str, key: Key, dialogue: CheckedDialogue
) -> dict[str, int] | None:
    """Scenario -> number of rollouts, or None where a number is wrong (and reported)."""
    if not isinstance(expr, Record):
        number = f"{expr.value:g}" if isinstance(expr, Number) and expr.is_int else "4"
        shown = ", ".join(f"{scenario}: {number}" for scenario in list(dialogue.scenarios)[:2])
        context.problems.error(
            "type-mismatch",
            expr.span,
            f"`{name}` says how many rollouts of each scenario are sampled.",
            hint=f"write {name}: {{ {shown} }}"
            if shown
            else f"declare a scenario in the dialogue, as `scenario plain = first(0)`; then {name}: {{ plain: {number} }}",
        )
        return None
    entries: Any = read_setting(context, expr, STAGES["grpo"][name])
    if entries is None:
        return None
    counts: dict[str, int] = {}
    for entry, count in entries:
        if verify_scenario(context, entry, key, dialogue) and count > 0:
            counts[entry.key.text] = int(count)
    return counts


def _verify_group(
    context: Context, bound: Bound, group: Mapping[str, int], dialogue: CheckedDialogue
) -> None:
    expr = bound["group"].value
    entries = expr.entries if isinstance(expr, Record) else ()
    is_known = all(entry.key.text in dialogue.scenarios for entry in entries)
    if isinstance(expr, Record) and sum(group.values()) < 2 and is_known:
        context.problems.error(
            "invalid-value",
            expr.span,
            "A group needs at least two rollouts: advantages are differences inside it.",
            hint="as group: { "
            + f"{next(iter(group), None) or next(iter(dialogue.scenarios), 'full')}: 4 }}",
        )
    for scenario in group:
        cut = dialogue.scenarios[scenario]
        if cut.kind == "branch" and cut.of not in group and is_known:
            context.problems.error(
                "invalid-value",
                expr.span,
                f"Scenario `{scenario}` branches off rollouts of `{cut.of}`, and the group has none.",
                hint=f"add `{cut.of}` to the group",
            )


def _verify_sampled(context: Context, reward: CheckedReward, sampled: set[str], span: Span) -> None:
    for scenario, place in reward.scenarios.items():
        if scenario not in sampled:
            context.problems.error(
                "unsampled-scenario",
                span,
                f"The reward goes over rollouts of scenario `{scenario}`, and this stage samples none.",
                labels=(Label(place, "named here"),),
                hint=f"add `{scenario}` to `group` or `compare`",
            )
