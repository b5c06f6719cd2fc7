"""Learning curves and figures of the sft stages."""

from __future__ import annotations

from typing import NamedTuple

from exgrpo_runtime.report import charts
from exgrpo_runtime.report.charts import Chart
from exgrpo_runtime.report.collect import RunRecord, StageRecord, as_count, as_counts, as_number
from exgrpo_runtime.report.formats import format_count, format_number, format_seconds
from exgrpo_runtime.report.metrics import read_figure, trace, write_counts


class SftView(NamedTuple):
    """Result of one sft stage."""

    stage: str
    lines: tuple[str, str]
    """What the strong and the faint line of its charts are."""
    charts: tuple[Chart, ...]
    facts: tuple[tuple[str, str], ...]


def describe_sft(record: RunRecord) -> tuple[SftView, ...]:
    """Every finished sft stage, in order."""
    return tuple(_describe_sft(record, stage) for stage in record.pick_stages("sft"))


def _describe_sft(record: RunRecord, stage: StageRecord) -> SftView:
    metrics = record.reader.read_lines(stage.path / "metrics.jsonl")
    window = charts.choose_window(len(metrics))
    drawn = []
    for key, title, note, share in (
        ("loss", "loss", "nats per target token", False),
        ("token_accuracy", "token accuracy", "share of target tokens predicted right", True),
    ):
        line = trace(title, metrics, read_figure(key))
        if line.points:
            drawn.append(charts.draw_lines(title, note, [line], window, share=share))
    return SftView(
        stage.name, charts.describe_lines(len(metrics), window), tuple(drawn), _list_sft_facts(stage)
    )


def _list_sft_facts(stage: StageRecord) -> tuple[tuple[str, str], ...]:
    summary = stage.summary
    facts = [
        (key, format_count(as_count(summary[key])))
        for key in ("examples", "steps", "tokens")
        if key in summary
    ]
    ends = [as_number(summary.get(key)) for key in ("loss_first", "loss_last")]
    if None not in ends:
        facts.append(("loss, first and last tenth", " \u2192 ".join(format_number(end) for end in ends)))
    if "dropped" in summary:
        facts.append(("left out", write_counts(as_counts(summary["dropped"]))))
    return (*facts, ("time", format_seconds(stage.seconds)))
