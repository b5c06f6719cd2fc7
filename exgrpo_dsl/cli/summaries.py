"""One line per finished stage, and the accuracy table, for the terminal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.table import Table

if TYPE_CHECKING:
    from exgrpo_runtime.results import StageResult


def describe_stage(stage: StageResult) -> str:
    """What the stage did, in figures of its summary."""
    describe = {
        "data": _describe_data,
        "probe": _describe_probe,
        "sft": _describe_sft,
        "grpo": _describe_grpo,
    }
    return describe[stage.kind](stage.summary) if stage.kind in describe else "accuracy by stage, below"


def _describe_data(summary: Mapping[str, Any]) -> str:
    parts = []
    for name, dataset in summary["datasets"].items():
        splits = ", ".join(f"{counts['valid']} {split}" for split, counts in dataset["splits"].items())
        rejected = sum(counts["rejected"] for counts in dataset["splits"].values())
        parts.append(f"{name}: {splits} rows" + (f", {rejected} rejected" if rejected else ""))
    return "; ".join(parts)


def _describe_probe(summary: Mapping[str, Any]) -> str:
    reasons = ", ".join(f"{count} {reason}" for reason, count in summary["reasons"].items())
    parts = [f"{summary['probes_kept']} probes kept for {summary['items_kept']} of {summary['rows']} rows"]
    if reasons:
        parts.append(f"rejected: {reasons}")
    repairs = summary.get("repairs")  # a stage that an older version finished has none
    if repairs and repairs["asked"]:
        parts.append(f"sent back to be mended: {repairs['asked']}, of which {repairs['mended']} came right")
    if summary["budget"]["limit_usd"] is not None and not summary["budget"]["is_kept"]:
        parts.append("the teacher's budget was not enforced, since it declares no price")
    return "; ".join(parts)


def _describe_sft(summary: Mapping[str, Any]) -> str:
    return (
        f"{summary['steps']} steps on {summary['examples']} dialogues, loss {summary['loss_first']:.3f} → "
        f"{summary['loss_last']:.3f}"
    )


def _describe_grpo(summary: Mapping[str, Any]) -> str:
    first, last = summary["first"], summary["last"]
    terms = ", ".join(
        f"{name} {first[name]:.2f} → {last[name]:.2f}" for name in first if first[name] is not None
    )
    return f"{summary['steps']} steps; {terms}" + _warn_of_signal(summary.get("signal"))


def _warn_of_signal(signal: Mapping[str, Any] | None) -> str:
    """What to say where most groups had nothing to teach from the start."""
    if signal is None or not signal["is_outside"]:
        return ""
    return (
        f"; warning: {100 * signal['first']:.1f}% of the answers were right at the start, and over half of the groups carry "
        f"signal only from {100 * signal['low']:.1f} to {100 * signal['high']:.1f}%"
    )


def build_accuracy_table(stage: StageResult) -> Table:
    """Accuracy of the student before training and after each stage, with 95 % intervals."""
    table = Table(
        title=f"{stage.name}: held-out accuracy", title_justify="left", title_style="bold", box=None
    )
    table.add_column("student after")
    table.add_column("accuracy", justify="right")
    table.add_column("95 % interval")
    table.add_column("n", justify="right")
    for entry in json.loads((stage.path / "accuracy.json").read_text("utf-8")):
        mean = "-" if entry["mean"] is None else f"{100 * entry['mean']:.1f} %"
        interval = "" if entry["mean"] is None else f"{100 * entry['low']:.1f} to {100 * entry['high']:.1f} %"
        table.add_row(entry["after"], mean, interval, str(entry["n"]))
    return table
