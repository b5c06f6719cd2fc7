"""Any model on any task's rows, asked and scored by the task's own evaluate stage: `exgrpo eval`.

The model is asked as a student in a run is, so that a student's figures come out as the run measured them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

from exgrpo_artifact.errors import DataError
from exgrpo_artifact.manifest import EvaluateStage, Manifest, Model
from exgrpo_artifact.record import replace
from exgrpo_artifact.storage import Artifact
from exgrpo_runtime.context import Context, Progress
from exgrpo_runtime.data.disk_rows import RowsBySplit, RowWriter, open_rows
from exgrpo_runtime.data.rows import RowReader
from exgrpo_runtime.evaluation import Completion, Decoding, evaluate_student
from exgrpo_runtime.plans import cut_probes
from exgrpo_runtime.records import Row
from exgrpo_runtime.sampled_accuracy import Estimate, list_estimates
from exgrpo_runtime.stages import require_comparing
from exgrpo_runtime.student import create_student
from exgrpo_runtime.teachers.store import ReplyStore
from exgrpo_runtime.templates import TemplateSet


class Asked(NamedTuple):
    """What is evaluated."""

    model: str
    """A folder, or a model of the hub."""
    revision: str | None
    """Of the hub's."""
    stage: EvaluateStage
    limit: int | None
    """At most so many source rows of the split."""
    decoding: Decoding


class Measured(NamedTuple):
    """What came out."""

    estimates: Sequence[Estimate]
    completions: Sequence[Completion]
    rows: int
    unscored: int
    """Answers without a score."""
    truncated: int
    """Answers in which a turn ran out of tokens."""


def choose_stage(manifest: Manifest, name: str | None, on: str | None) -> EvaluateStage:
    """The evaluate stage that asks, moved to the rows that are wanted.

    Args:
        manifest: the task.
        name: of the stage; None: the only one.
        on: `dataset.split`, or `split` of the stage's own dataset; None: the stage's own.

    Raises:
        DataError: there is no such stage or split, the dataset lacks a field that is asked about, or the scenario asks probes.
    """
    stages = {stage.name: stage for stage in manifest.stages if isinstance(stage, EvaluateStage)}
    if not stages:
        raise DataError(
            f"task `{manifest.task}` has no evaluate stage, which says how a model is asked and scored. Add one: "
            "stage test = evaluate(DIALOGUE.SCENARIO, on: DATASET.SPLIT, score: REWARD.TERM)"
        )
    if (name is None and len(stages) > 1) or (name is not None and name not in stages):
        named = ", ".join(f"`{one}`" for one in stages)
        raise DataError(f"task `{manifest.task}` has the evaluate stages {named}; name one with --stage.")
    stage = stages[name] if name is not None else next(iter(stages.values()))
    _require_no_probes(manifest, stage)
    return stage if on is None else _move(manifest, stage, on)


def evaluate_model(artifact: Artifact, asked: Asked, scratch: Path, progress: Progress) -> Measured:
    """Asks the model about each row of the split, as often as wanted.

    Args:
        artifact: the task.
        asked: what is evaluated.
        scratch: an empty directory for rows, and for the replies of judges.
        progress: where bars go.

    Raises:
        DataError: the split has no valid row, or no answer could be scored.
        ModelError: the model cannot be loaded, or cannot hold a dialogue.
        SourceError: the rows cannot be read.
    """
    stage = asked.stage
    require_comparing(artifact)
    rows = _read_rows(artifact.manifest, stage, asked.limit, scratch)
    student = create_student(_describe_model(artifact.manifest, asked), (), artifact.manifest.seed)
    with ReplyStore(scratch / "replies.sqlite") as store:
        context = Context(
            artifact=artifact,
            templates=TemplateSet(artifact.prompts),
            work=scratch,
            rows=rows,
            stage_dirs={},
            store=store,
            progress=progress,
            student_dir=None,
        )
        completions = evaluate_student(student, stage, context, after=asked.model, decoding=asked.decoding)
    last = artifact.manifest.dialogues[stage.dialogue].closing[-1]
    estimates = list_estimates(completions, last.answer)
    if not estimates:
        raise DataError(
            f"`{stage.reward}.{stage.term}` has no value for any of the {len(completions)} answers in scenario `{stage.scenario}`, "
            "so nothing was measured."
        )
    return Measured(
        estimates,
        completions,
        len(rows[stage.dataset][stage.split]),
        sum(entry.score is None for entry in completions),
        sum(entry.is_truncated for entry in completions),
    )


def _describe_model(manifest: Manifest, asked: Asked) -> Model:
    """As the task's student is loaded between stages, in its numbers; another's weights."""
    student = manifest.models[manifest.student]
    return replace(
        student, name=asked.model, kind="hf", id=asked.model, revision=asked.revision, scratch=None
    )


def _require_no_probes(manifest: Manifest, stage: EvaluateStage) -> None:
    """Refuses a scenario that asks probes first: whoever wrote some is not asked here."""
    dialogue = manifest.dialogues[stage.dialogue]
    if dialogue.loop is not None and cut_probes(dialogue.scenarios[stage.scenario], 5, Random(0)) != 0:
        raise DataError(
            f"stage `{stage.name}` asks probes before the question (scenario `{stage.scenario}`), and there are none here: they "
            "belong to a run. Evaluate a scenario without probes, such as first(0)."
        )


def _move(manifest: Manifest, stage: EvaluateStage, on: str) -> EvaluateStage:
    name, split = on.split(".", 1) if "." in on else (stage.dataset, on)
    dataset = manifest.datasets.get(name)
    if dataset is None or split not in dataset.splits:
        there = [f"{each.name}.{one}" for each in manifest.datasets.values() for one in each.splits]
        raise DataError(f"task `{manifest.task}` has no rows `{on}`; it has {', '.join(there)}.")
    wanted = {
        field.name: field.type
        for field in manifest.datasets[manifest.dialogues[stage.dialogue].dataset].fields
    }
    held = {field.name: field.type for field in dataset.fields}
    missing = [field for field, kind in wanted.items() if held.get(field) != kind]
    if missing:
        raise DataError(
            f"dialogue `{stage.dialogue}` is about `{manifest.dialogues[stage.dialogue].dataset}`, and `{name}` lacks "
            f"{', '.join(missing)} or has another type there."
        )
    return replace(stage, dataset=name, split=split)


def _read_rows(manifest: Manifest, stage: EvaluateStage, limit: int | None, scratch: Path) -> RowsBySplit:
    dataset = manifest.datasets[stage.dataset]
    with RowWriter(scratch) as writer:
        writer.begin(dataset.name, list(dataset.splits))
        reader = RowReader(dataset, limit=limit)
        for found in reader:
            if isinstance(found, Row):
                writer.write(found)
    counts = reader.summarise()["splits"][stage.split]
    if not counts["valid"]:
        raise DataError(
            f"`{stage.dataset}.{stage.split}` has no valid row: {counts['source']} read, {counts['rejected']} rejected."
        )
    return open_rows(scratch)
