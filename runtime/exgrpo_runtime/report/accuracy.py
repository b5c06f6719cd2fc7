"""Accuracy of the student by state, and the one sentence that the report opens with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from markupsafe import Markup, escape

from exgrpo_artifact.manifest import EvaluateStage
from exgrpo_runtime.report import bars
from exgrpo_runtime.report.collect import RunRecord, StageRecord, as_count, as_mapping, as_mappings, as_number
from exgrpo_runtime.report.formats import format_count, format_percent, format_points, format_signed
from exgrpo_runtime.report.rollouts import Changes, find_changes


class State(NamedTuple):
    """Accuracy of one state of the student; shares of 1, `low`..`high` the 95 % interval."""

    after: str
    n: int
    mean: float
    low: float
    high: float
    unscored: int
    truncated: int

    @property
    def label(self) -> str:
        """The state in words."""
        return _label_state({"after": self.after})


class Row(NamedTuple):
    """One state as a line of the table."""

    label: str
    bar: Markup
    mean: str
    interval: str
    n: str
    unscored: str
    truncated: str


class Evaluation(NamedTuple):
    """Results of one evaluate stage."""

    stage: str
    what: str
    """What was measured: scenario, data, score."""
    states: tuple[State, ...]
    rows: tuple[Row, ...]
    axis: Markup
    unscored: tuple[str, ...]
    """States without a single score, in words."""
    changes: Changes | None


def describe_evaluations(record: RunRecord) -> tuple[Evaluation, ...]:
    """Every evaluation that has a result, in order."""
    evaluations = (_describe_evaluation(record, stage) for stage in record.pick_stages("evaluate"))
    return tuple(evaluation for evaluation in evaluations if evaluation.states)


def write_headline(record: RunRecord, evaluations: tuple[Evaluation, ...]) -> tuple[Markup, str]:
    """What the run measured, in one sentence, and a remark on it; nothing that is not in the files."""
    if not evaluations:
        return Markup(escape(_explain_absence(record))), ""
    evaluation = evaluations[-1]
    last = evaluation.states[-1]
    what, after = escape(evaluation.what), escape(last.label)
    if len(evaluation.states) == 1:
        return Markup(f"{what}: {_write_state(last)} {after}, n = {format_count(last.n)}."), ""
    before = evaluation.states[-2]
    counts = " and ".join(format_count(n) for n in dict.fromkeys((before.n, last.n)))
    first = f"{_write_state(before)} {escape(before.label)}"
    sentence = f"{what}: {first} \u2192 {_write_state(last)} {after}, n = {counts}."
    apart = before.high < last.low or last.high < before.low
    remark = f"{format_signed((last.mean - before.mean) * 100, 1)} points; the two intervals "
    return Markup(sentence), remark + ("do not overlap." if apart else "overlap.")


def _explain_absence(record: RunRecord) -> str:
    planned = [stage for stage in record.stages if stage.kind == "evaluate"]
    if not planned:
        return "This task has no evaluate stage, so no accuracy was measured."
    names = " and ".join(f"\u201c{stage.name}\u201d" for stage in planned)
    why = "scored no answer" if any(stage.is_finished for stage in planned) else "did not finish"
    return f"No accuracy was measured: {names} {why}."


def _write_state(state: State) -> Markup:
    return Markup(f"<b>{format_percent(state.mean)}</b> (95\u202f% CI {_write_interval(state)})")


def _write_interval(state: State) -> str:
    return f"{format_points(state.low)}\u2013{format_points(state.high)}"


def _describe_evaluation(record: RunRecord, stage: StageRecord) -> Evaluation:
    entries = as_mappings(record.reader.read_value(stage.path / "accuracy.json"))
    if not entries:
        entries = as_mappings(as_mapping(record.result.get("accuracy")).get(stage.name))
    states = [state for entry in entries if (state := _read_state(entry)) is not None]
    top = bars.choose_share_top(max((state.high for state in states), default=1.0))
    changes = None
    if len(states) > 1:
        lines = record.reader.read_lines(stage.path / "completions.jsonl")
        changes = find_changes(lines, states[-2].after, states[-1].after)
    return Evaluation(
        stage=stage.name,
        what=_name_measure(stage),
        states=tuple(states),
        rows=tuple(_make_row(state, top, is_last=state is states[-1]) for state in states),
        axis=bars.draw_share_axis(top),
        unscored=tuple(_label_state(entry) for entry in entries if as_number(entry.get("mean")) is None),
        changes=changes,
    )


def _name_measure(stage: StageRecord) -> str:
    settings = stage.settings
    if not isinstance(settings, EvaluateStage):
        return "Accuracy"
    return f"Accuracy in \u201c{settings.scenario}\u201d on {settings.dataset}.{settings.split}"


def _read_state(entry: Mapping[str, Any]) -> State | None:
    mean = as_number(entry.get("mean"))
    if mean is None:
        return None
    low, high = as_number(entry.get("low")), as_number(entry.get("high"))
    return State(
        after=str(entry.get("after", "")),
        n=as_count(entry.get("n")),
        mean=mean,
        low=mean if low is None else low,
        high=mean if high is None else high,
        unscored=as_count(entry.get("unscored")),
        truncated=as_count(entry.get("truncated")),
    )


def _label_state(entry: Mapping[str, Any]) -> str:
    after = str(entry.get("after", ""))
    return "before any training" if after == "initial" else f"after {after}"


def _make_row(state: State, top: float, *, is_last: bool) -> Row:
    interval = _write_interval(state)
    text = f"{state.label}: {format_percent(state.mean)}, 95\u202f% interval {interval}, n = {state.n:,}"
    style = "part0" if is_last else "part1"
    return Row(
        label=state.label,
        bar=bars.draw_interval(state.mean, state.low, state.high, top, style, text),
        mean=format_percent(state.mean),
        interval=interval,
        n=format_count(state.n),
        unscored=format_count(state.unscored),
        truncated=format_count(state.truncated),
    )
