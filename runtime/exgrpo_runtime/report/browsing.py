"""Rollouts of a finished grpo stage, picked by what a person looks for.

What is read is rollouts.jsonl: a bounded part of what the stage sampled, see exgrpo_runtime.grpo_metrics.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from exgrpo_artifact.errors import DataError
from exgrpo_artifact.manifest import GrpoStage
from exgrpo_runtime.report.collect import RunRecord, StageRecord, as_count
from exgrpo_runtime.report.grpo import find_right_term
from exgrpo_runtime.report.rollouts import judge_rollout

ROLLOUTS = "rollouts.jsonl"


class Wanted(NamedTuple):
    """Which rollouts; all that is given must hold."""

    step: int | None = None
    """From 1."""
    item: str | None = None
    """The row's uid, or how it begins."""
    scenario: str | None = None
    failed: bool = False
    """Those left out of their group only."""
    wrong: bool = False
    """Those whose answer is wrong only."""
    truncated: bool = False
    """Those with a turn that ran out of tokens only."""


def find_grpo_stage(record: RunRecord, name: str | None) -> StageRecord:
    """The finished grpo stage of that name; None: the last.

    Raises:
        DataError: there is none.
    """
    stages = {stage.name: stage for stage in record.pick_stages("grpo")}
    if name is None and stages:
        return list(stages.values())[-1]
    if name in stages:
        return stages[name]
    names = ", ".join(f"`{one}`" for one in stages) or "none"
    wanted = "grpo stage" if name is None else f"grpo stage `{name}`"
    raise DataError(f"{record.reader.root} has no finished {wanted}; finished ones: {names}.")


def name_right_term(record: RunRecord, stage: StageRecord) -> str:
    """The term by which a rollout of the stage is right or wrong, as in the report."""
    settings = stage.settings
    if record.artifact is None or not isinstance(settings, GrpoStage):
        return find_right_term(record, stage, ())
    return find_right_term(record, stage, record.artifact.rewards[settings.reward].terms)


def pick_wanted(record: RunRecord, stage: StageRecord, wanted: Wanted) -> Iterator[dict[str, Any]]:
    """Lines of rollouts.jsonl in order, each with its `stage` and `verdict`, one at a time."""
    right_term = name_right_term(record, stage)
    for _, line in record.reader.scan_lines(stage.path / ROLLOUTS):
        verdict = judge_rollout(line, right_term)
        if _is_wanted(line, verdict, wanted):
            yield {"stage": stage.name, "verdict": verdict, **line}


def _is_wanted(line: Mapping[str, Any], verdict: str, wanted: Wanted) -> bool:
    return (
        (wanted.step is None or line.get("step") == wanted.step)
        and (wanted.item is None or _is_item(str(line.get("row")), wanted.item))
        and (wanted.scenario is None or line.get("scenario") == wanted.scenario)
        and (not wanted.failed or bool(line.get("dropped")))
        and (not wanted.wrong or verdict == "wrong")
        and (not wanted.truncated or as_count(line.get("truncated_turns")) > 0)
    )


def _is_item(row: str, item: str) -> bool:
    return row == item or row.startswith(f"{item}:")
