"""What became of rows and probes: how many came in, how many are left, and why the others are not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from markupsafe import Markup

from exgrpo_runtime.report import charts
from exgrpo_runtime.report.collect import RunRecord, StageRecord, as_count, as_counts, as_mapping
from exgrpo_runtime.report.formats import format_count, format_percent

KEPT, ASKED = "kept", "asked"
NUM_STYLES = 5
"""Colours of reasons; further reasons share the last."""


class Bar(NamedTuple):
    """One row of a funnel: a name, its bar and its figures."""

    name: str
    svg: Markup
    figures: tuple[str, ...]


class Funnel(NamedTuple):
    """A table of bars."""

    columns: tuple[str, ...]
    bars: tuple[Bar, ...]
    legend: tuple[tuple[str, str], ...]
    """(CSS class, reason)."""


class DataView(NamedTuple):
    """Rows of one dataset, by split."""

    name: str
    funnel: Funnel
    reasons: tuple[tuple[str, str], ...]


class ProbeView(NamedTuple):
    """Result of one probe stage."""

    stage: str
    facts: tuple[tuple[str, str], ...]
    by_rule: Funnel
    reasons: tuple[tuple[str, str, Markup], ...]
    asked: int
    kept: int


def describe_data(record: RunRecord) -> tuple[DataView, ...]:
    """Rows by dataset and split; empty where the data stage has no result."""
    views = []
    for stage in record.pick_stages("data"):
        for name, summary in as_mapping(stage.summary.get("datasets")).items():
            views.append(_describe_dataset(name, as_mapping(summary)))
    return tuple(views)


def describe_probes(record: RunRecord) -> tuple[ProbeView, ...]:
    """Every finished probe stage, in order."""
    return tuple(_describe_stage(stage) for stage in record.pick_stages("probe"))


def _describe_dataset(name: str, summary: Mapping[str, Any]) -> DataView:
    splits = {split: as_counts(counts) for split, counts in as_mapping(summary.get("splits")).items()}
    most = max((counts.get("rows", 0) + counts.get("rejected", 0) for counts in splits.values()), default=0)
    bars = []
    for split, counts in splits.items():
        rows, rejected = counts.get("rows", 0), counts.get("rejected", 0)
        parts = [charts.Part("used", rows, "part0"), charts.Part("rejected", rejected, "reason0")]
        svg = charts.draw_stack(parts, rows + rejected, (rows + rejected) / most if most else 0.0)
        bars.append(
            Bar(split, svg, (format_count(rows + rejected), format_count(rows), format_count(rejected)))
        )
    return DataView(
        name=name,
        funnel=Funnel(
            ("read", "used", "rejected"), tuple(bars), (("part0", "used"), ("reason0", "rejected"))
        ),
        reasons=tuple(
            (reason, format_count(n)) for reason, n in _sort_counts(as_counts(summary.get("reasons")))
        ),
    )


def _describe_stage(stage: StageRecord) -> ProbeView:
    summary = stage.summary
    rules = {rule: as_counts(counts) for rule, counts in as_mapping(summary.get("funnel")).items()}
    asked = sum(counts.get(ASKED, 0) for counts in rules.values())
    kept = sum(counts.get(KEPT, 0) for counts in rules.values())
    reasons = _sort_counts(as_counts(summary.get("reasons")) or _sum_reasons(list(rules.values())))
    return ProbeView(
        stage=stage.name,
        facts=_list_facts(summary, asked, kept),
        by_rule=_draw_rules(rules, [reason for reason, _ in reasons]),
        reasons=tuple(
            (
                reason,
                format_count(count),
                charts.draw_stack([charts.Part(reason, count, "reason0")], max(n for _, n in reasons)),
            )
            for reason, count in reasons
        ),
        asked=asked,
        kept=kept,
    )


def _list_facts(summary: Mapping[str, Any], asked: int, kept: int) -> tuple[tuple[str, str], ...]:
    facts = []
    for key, words in (("rows", "questions"), ("from_store", "replies already paid for")):
        if key in summary:
            facts.append((words, format_count(as_count(summary[key]))))
    facts.append(("probes asked for", format_count(asked)))
    facts.append(("probes kept", f"{format_count(kept)} ({format_percent(kept / asked if asked else None)})"))
    if "items_kept" in summary:
        items, dropped = as_count(summary["items_kept"]), as_count(summary.get("items_dropped"))
        facts.append(("questions kept", f"{format_count(items)} of {format_count(items + dropped)}"))
    for name, count in as_counts(summary.get("tokens")).items():
        facts.append((f"{name} tokens", format_count(count)))
    return tuple(facts)


def _draw_rules(rules: Mapping[str, Mapping[str, int]], order: list[str]) -> Funnel:
    used = {name for counts in rules.values() for name in counts} - {ASKED, KEPT}
    reasons = [name for name in order if name in used] + sorted(used - set(order))
    styles = {name: f"reason{min(i, NUM_STYLES - 1)}" for i, name in enumerate(reasons)}
    most = max((counts.get(ASKED, 0) for counts in rules.values()), default=0)
    bars = []
    for rule, counts in rules.items():
        asked, kept = counts.get(ASKED, 0), counts.get(KEPT, 0)
        parts = [charts.Part(KEPT, kept, "part0")]
        parts += [charts.Part(name, counts.get(name, 0), styles[name]) for name in reasons]
        figures = [
            format_count(asked),
            format_count(kept),
            format_percent(kept / asked if asked else None, 0),
        ]
        figures += [format_count(counts.get(name, 0)) for name in reasons]
        bars.append(Bar(rule, charts.draw_stack(parts, asked, asked / most if most else 0.0), tuple(figures)))
    legend = (("part0", KEPT), *((styles[name], name) for name in reasons))
    return Funnel((ASKED, KEPT, "kept %", *reasons), tuple(bars), legend)


def _sum_reasons(rules: list[dict[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for counts in rules:
        for name, count in counts.items():
            if name not in (ASKED, KEPT):
                total[name] = total.get(name, 0) + count
    return total


def _sort_counts(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Largest first; by name where equal."""
    return sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
