"""Tasks whose figures say less than they seem to."""

from __future__ import annotations

from exgrpo_compiler.diagnostics import Label
from exgrpo_compiler.ir import CheckedProgram, CheckedStage, CheckedTask
from exgrpo_compiler.problems import Problems

_TRAINING = frozenset({"sft", "grpo"})


def lint_tasks(program: CheckedProgram, problems: Problems) -> None:
    """Finds tasks that train and never evaluate, and evaluations on rows that were trained on."""
    for key in program.tasks.values():
        task = program.known.get(key)
        if isinstance(task, CheckedTask):
            _lint_task(key.name, task, problems)


def _lint_task(name: str, task: CheckedTask, problems: Problems) -> None:
    trained: dict[str, CheckedStage] = {}
    for stage in task.stages:
        split = stage.settings.get("split")
        if stage.kind in _TRAINING and isinstance(split, str):
            trained.setdefault(split, stage)
        first = trained.get(split) if stage.kind == "evaluate" and isinstance(split, str) else None
        is_own = stage.settings.get("dataset") == task.data
        if first is not None and is_own:
            problems.warning(
                "train-on-test",
                stage.span,
                f"`{stage.name}` measures on the rows of `{split}`, which `{first.name}` trains on.",
                labels=(Label(first.span, f"trains on `{split}`"),),
                hint="evaluate on a split that no stage before trains on",
            )
    last = task.stages[-1] if task.stages else None
    if trained and last is not None and all(stage.kind != "evaluate" for stage in task.stages):
        problems.warning(
            "no-evaluation",
            last.span,
            f"The task `{name}` trains a student and never measures it.",
            hint="end with a stage `evaluate(dialogue.scenario, on: dataset.split, score: reward.term)`",
        )
