"""What several kinds of stages are made of: splits, dialogues, scenarios, turns to learn from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from exgrpo_artifact.named import NamedTuple
from exgrpo_compiler.ast import Argument, Entry, Expr, Ref
from exgrpo_compiler.builtins import STAGES
from exgrpo_compiler.check.context import Context, find_declaration
from exgrpo_compiler.diagnostics import Diagnostic, Label, find_closest
from exgrpo_compiler.ir import CheckedDataset, CheckedDialogue
from exgrpo_compiler.program import Key
from exgrpo_compiler.source import Span

StageKind = Literal["probe", "sft", "grpo", "evaluate"]
Bound = Mapping[str, Argument]


class Setup(NamedTuple):
    """What a stage stands in."""

    data: Key
    dataset: CheckedDataset


def read_split(context: Context, setup: Setup, bound: Bound) -> str:
    """The split that a stage takes its rows from; its default where none is written."""
    if "split" not in bound:
        default = str(STAGES["probe"]["split"].default)
        if default not in setup.dataset.splits and not setup.dataset.row_type.is_open:
            where = context.get_decl(setup.data).name.span
            closest = find_closest(default, setup.dataset.splits)
            context.problems.add(
                Diagnostic(
                    "unknown-split",
                    "error",
                    f"A stage uses split `{default}`, which `{setup.data.name}` does not have.",
                    where,
                    hint=f"did you mean `{default}` where `{closest}` is declared?"
                    if closest is not None
                    else None,
                    missed=(default, closest),
                )
            )
        return default
    return verify_split(context, bound["split"].value, setup.dataset, setup.data) or ""


def verify_split(context: Context, expr: Expr, dataset: CheckedDataset, key: Key) -> str | None:
    """The name of a split of the dataset, or None with a diagnostic."""
    if isinstance(expr, Ref) and (expr.name in dataset.splits or dataset.row_type.is_open):
        return expr.name
    context.problems.unknown(
        "unknown-split",
        expr.span,
        f"Dataset `{key.name}` has no split `{expr.name}`."
        if isinstance(expr, Ref)
        else "The name of a split is due here.",
        expr.name if isinstance(expr, Ref) else "",
        dataset.splits,
        "its splits are",
    )
    return None


def find_dialogue(
    context: Context, expr: Expr, setup: Setup, what: str
) -> tuple[Key, CheckedDialogue] | None:
    """A dialogue about the task's data, or None with a diagnostic."""
    key = find_declaration(context, expr, ("dialogue",), what)
    checked = context.known.get(key) if key is not None else None
    if key is None or not isinstance(checked, CheckedDialogue):
        return None
    if checked.dataset != setup.data:
        report_other_data(context, expr.span, f"Dialogue `{key.name}`", checked.dataset, setup.data)
        return None
    return key, checked


def report_other_data(context: Context, span: Span, what: str, actual: Key, due: Key) -> None:
    """Reports a declaration about another dataset than the task's."""
    context.problems.error(
        "kind-mismatch", span, f"{what} is about dataset `{actual.name}`; the task's data is `{due.name}`."
    )


def verify_targets(
    context: Context, span: Span, key: Key, dialogue: CheckedDialogue, turns: tuple[str, ...], cure: str
) -> None:
    """Reports a dialogue that has nothing to learn from: a turn that carries the loss needs the teacher's words."""
    for exchange in () if dialogue.is_open else dialogue.exchanges:
        if exchange.target is None and (not turns or exchange.name in turns):
            context.problems.error(
                "missing-target",
                span,
                f"Turn `{exchange.name}` of `{key.name}` has no text to learn from.",
                labels=(Label(context.get_decl(key).name.span, "the dialogue is here"),),
                hint=f'give it one: assistant {exchange.name} = "…"; or {cure}',
            )


def verify_scenario(context: Context, entry: Entry, key: Key, dialogue: CheckedDialogue) -> bool:
    """Reports a scenario that the dialogue lacks."""
    name = entry.key.text
    if name in dialogue.scenarios:
        return True
    if dialogue.is_open and find_closest(name, dialogue.scenarios) is None:
        return False  # it may stand in what is broken
    if not dialogue.scenarios:
        context.problems.error(
            "unknown-scenario",
            entry.key.span,
            f"Dialogue `{key.name}` has no scenario `{name}`, and no other.",
            labels=(Label(context.get_decl(key).name.span, "declared here"),),
            hint=f"declare it in the dialogue: `scenario {name} = first(0)`, the question alone; or `= all`",
        )
        return False
    context.problems.unknown(
        "unknown-scenario",
        entry.key.span,
        f"Dialogue `{key.name}` has no scenario `{name}`.",
        name,
        dialogue.scenarios,
        "its scenarios are",
    )
    return False
