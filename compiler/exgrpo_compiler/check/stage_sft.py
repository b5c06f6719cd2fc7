"""`sft(dialogue)` and `sft(mix: { … })`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from exgrpo_compiler.ast import Expr, Ref
from exgrpo_compiler.builtins import STAGES
from exgrpo_compiler.check.constants import read_setting
from exgrpo_compiler.check.context import Context, find_name
from exgrpo_compiler.check.stage_parts import Bound, Setup, find_dialogue, read_split, verify_targets
from exgrpo_compiler.ir import CheckedDialogue
from exgrpo_compiler.program import Key
from exgrpo_compiler.source import Span


def read_sft(context: Context, setup: Setup, bound: Bound, span: Span) -> dict[str, Any]:
    """Settings of an `sft` stage that name declarations; empty where one is wrong (and reported)."""
    if ("dialogue" in bound) == ("mix" in bound):
        context.problems.error(
            "missing-argument",
            span,
            "`sft` takes a dialogue or a mix of them.",
            hint="sft(lesson) or sft(mix: { lesson: 60%, drills: 40% })",
        )
        return {}
    dialogues: dict[Key, CheckedDialogue] = {}
    mix: dict[Key, float] = {}
    if "dialogue" in bound:
        found = find_dialogue(context, bound["dialogue"].value, setup, "`sft`")
        if found is not None:
            dialogues[found[0]] = found[1]
            mix[found[0]] = 1.0
    else:
        mix, dialogues = _read_mix(context, setup, bound["mix"].value)
    turns = _read_turns(context, bound["turns"].value, dialogues) if "turns" in bound else None
    for key, dialogue in dialogues.items():
        verify_targets(context, span, key, dialogue, turns or (), "limit the loss: turns: [NAME]")
    return {"mix": mix, "turns": turns, "split": read_split(context, setup, bound)}


def _read_mix(
    context: Context, setup: Setup, expr: Expr
) -> tuple[dict[Key, float], dict[Key, CheckedDialogue]]:
    entries: Any = read_setting(context, expr, STAGES["sft"]["mix"])
    mix: dict[Key, float] = {}
    dialogues: dict[Key, CheckedDialogue] = {}
    for entry, share in entries or ():
        key = find_name(context, entry.key.text, entry.key.span, ("dialogue",), "`mix`")
        found = find_dialogue(context, Ref(entry.key.text, entry.key.span), setup, "`mix`") if key else None
        if found is not None:
            mix[found[0]] = share / 100
            dialogues[found[0]] = found[1]
    if entries is not None and abs(sum(share for _, share in entries) - 100) > 1e-9:
        total = sum(share for _, share in entries)
        context.problems.error(
            "invalid-value",
            expr.span,
            f"The shares of a mix add up to 100%; these to {total:g}%.",
            hint="as { lesson: 60%, drills: 40% }",
        )
    return mix, dialogues


def _read_turns(context: Context, expr: Expr, dialogues: Mapping[Key, CheckedDialogue]) -> tuple[str, ...]:
    names: Any = read_setting(context, expr, STAGES["sft"]["turns"])
    known = [exchange.name for dialogue in dialogues.values() for exchange in dialogue.exchanges]
    for name in names or ():
        if name.name not in known and dialogues:
            context.problems.unknown(
                "unknown-field",
                name.span,
                f"There is no turn `{name.name}`.",
                name.name,
                known,
                "the turns are",
            )
    return tuple(name.name for name in names or ())
