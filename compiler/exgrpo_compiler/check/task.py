"""`task` declarations: data, student, seed, and the stages in order."""

from __future__ import annotations

from collections.abc import Mapping

from exgrpo_compiler.ast import Decl, NamedStmt
from exgrpo_compiler.builtins import DEFAULT_SEED, TRAINABLE, Setting
from exgrpo_compiler.check.constants import read_constant, read_number
from exgrpo_compiler.check.context import Context, find_declaration
from exgrpo_compiler.check.forms import report_double, sort_statements
from exgrpo_compiler.check.stage_parts import Setup
from exgrpo_compiler.check.stages import check_stage
from exgrpo_compiler.ir import (
    CheckedDataset,
    CheckedDialogue,
    CheckedModel,
    CheckedStage,
    CheckedTask,
)
from exgrpo_compiler.program import Key

_SEED = Setting("seed", "int", DEFAULT_SEED, low=0)
_RESERVED_STAGES = ("data",)
"""Names of what a run does by itself."""


def check_task(context: Context, decl: Decl) -> CheckedTask | None:
    """A checked `task`, or None with diagnostics."""
    assert decl.block is not None
    name, before = decl.name, len(context.problems)
    title = f"task `{name.text}`"
    block = sort_statements(
        decl.block, "task", title, name.span, context.problems, is_damaged=decl.is_damaged
    )
    data_assign, student_assign, seed_assign = block.get("data"), block.get("student"), block.get("seed")
    data = find_declaration(context, data_assign.value, ("dataset",), "`data`") if data_assign else None
    student = (
        find_declaration(context, student_assign.value, ("model",), "`student`") if student_assign else None
    )
    model = context.known.get(student) if student is not None else None
    if student_assign and isinstance(model, CheckedModel) and model.model.kind not in TRAINABLE:
        context.problems.error(
            "kind-mismatch",
            student_assign.value.span,
            f"`{model.model.name}` is a model of kind `{model.model.kind}`, which cannot be trained.",
            hint="a student is hf(…) or scratch { … }",
        )
    seed = DEFAULT_SEED
    if seed_assign:
        constant = read_constant(context, seed_assign.value)
        number = read_number(context, seed_assign.value, _SEED, constant) if constant else None
        seed = int(number) if number is not None else seed
    written = [item for item in block.others if isinstance(item, NamedStmt)]
    statements = _take_stages(context, written)
    if not written and not decl.is_damaged:
        context.problems.error(
            "missing-key", name.span, f"Task `{name.text}` has no stage.", hint="add `stage NAME = …`"
        )
    dataset = context.known.get(data) if data is not None else None
    if data is None or student is None or not isinstance(dataset, CheckedDataset):
        return None
    stages: list[CheckedStage] = []
    for statement in statements:
        stage = check_stage(context, Setup(data, dataset), statement)
        if stage is not None:
            stages.append(stage)
    _verify_probes_made(context, stages, len(stages) == len(statements))
    if len(context.problems) > before:
        return None
    return CheckedTask(decl.doc, data, student, seed, tuple(stages))


def _take_stages(context: Context, statements: list[NamedStmt]) -> list[NamedStmt]:
    taken: dict[str, NamedStmt] = {}
    for statement in statements:
        name = statement.name
        if name.text in _RESERVED_STAGES:
            context.problems.error(
                "reserved-name", name.span, f"`{name.text}` is what every run begins with; rename the stage."
            )
        elif name.text in taken:
            first = taken[name.text].name.span
            report_double(
                context.problems, "duplicate-name", name, first, f"There are two stages `{name.text}`."
            )
        else:
            taken[name.text] = statement
    return list(taken.values())


def _verify_probes_made(context: Context, stages: list[CheckedStage], is_complete: bool) -> None:
    """Reports a training stage whose dialogue needs probes that no stage before it makes."""
    made: set[Key] = set()  # and those whose lack was reported
    for stage in stages:
        if stage.kind == "probe":
            made.add(stage.settings["probes"])
        if stage.kind not in ("sft", "grpo") or not is_complete:
            continue
        for key in _get_dialogues(stage.settings):
            dialogue = context.known.get(key)
            if not isinstance(dialogue, CheckedDialogue) or dialogue.probes is None:
                continue  # one with a loop and without probes is broken, which was reported
            if dialogue.variable and dialogue.probes not in made:
                made.add(dialogue.probes)
                context.problems.error(
                    "missing-probes",
                    stage.span,
                    f"Stage `{stage.name}` trains on `{key.name}`, which needs the probes of `{dialogue.probes.name}`; "
                    "no stage before it makes them.",
                    hint=f"add before it: stage probe = {dialogue.probes.name}(split: train)",
                )


def _get_dialogues(settings: Mapping[str, object]) -> list[Key]:
    mix = settings.get("mix")
    if isinstance(mix, Mapping):
        return list(mix)
    key = settings.get("dialogue")
    return [key] if isinstance(key, Key) else []
