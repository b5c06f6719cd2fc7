"""What became of rows and probes: how many came in, how many are left, and why the others are not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from markupsafe import Markup

from exgrpo_runtime.report import charts
from exgrpo_runtime.report.collect import RunRecord, StageRecord, add_counts, as_count, as_counts, as_mapping
from exgrpo_runtime.report.formats import format_count, format_percent

KEPT, ASKED = "kept", "asked"
NUM_STYLES = 5
"""Colours of reasons; further reasons share the last."""


MAX_DETAIL = 160
"""Characters of a rejection's detail that are shown."""


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


class Reason(NamedTuple):
    """Why something was left out, how often, and the first case of it."""

    name: str
    bar: Markup
    figure: str
    example: str


class DataView(NamedTuple):
    """Rows of one dataset, by split."""

    name: str
    funnel: Funnel
    reasons: tuple[Reason, ...]


class ProbeView(NamedTuple):
    """Result of one probe stage."""

    stage: str
    facts: tuple[tuple[str, str], ...]
    by_rule: Funnel
    reasons: tuple[Reason, ...]
    asked: int
    kept: int


def describe_data(record: RunRecord) -> tuple[DataView, ...]:
    """Rows by dataset and split; empty where the data stage has no result."""
    views = []
    for stage in record.pick_stages("data"):
        examples = _find_examples(record, stage)
        for name, summary in as_mapping(stage.summary.get("datasets")).items():
            views.append(_describe_dataset(name, as_mapping(summary), examples))
    return tuple(views)


def describe_probes(record: RunRecord) -> tuple[ProbeView, ...]:
    """Every finished probe stage, in order."""
    return tuple(
        _describe_stage(stage, _find_examples(record, stage)) for stage in record.pick_stages("probe")
    )


def _find_examples(record: RunRecord, stage: StageRecord) -> dict[str, str]:
    """Reason -> row and detail of the first rejection for it."""
    examples: dict[str, str] = {}
    for _, line in record.reader.scan_lines(stage.path / "rejections.jsonl"):
        reason = str(line.get("reason"))
        if reason not in examples:
            parts = [str(line[key]) for key in ("row", "rule") if line.get(key)]
            detail = " ".join(str(line.get("detail") or "").split())
            cut = detail[:MAX_DETAIL] + ("\u2026" if len(detail) > MAX_DETAIL else "")
            examples[reason] = f"{' '.join(parts)}: {cut}" if cut else " ".join(parts)
    return examples


def _describe_dataset(name: str, summary: Mapping[str, Any], examples: Mapping[str, str]) -> DataView:
    splits = {split: as_counts(counts) for split, counts in as_mapping(summary.get("splits")).items()}
    most = max((counts.get("source", 0) for counts in splits.values()), default=0)
    bars = []
    for split, counts in splits.items():
        figures = [counts.get(key, 0) for key in ("source", "valid", "rejected")]
        parts = [charts.Part("valid", figures[1], "part0"), charts.Part("rejected", figures[2], "reason0")]
        svg = charts.draw_stack(parts, figures[0], figures[0] / most if most else 0.0)
        bars.append(Bar(split, svg, tuple(format_count(figure) for figure in figures)))
    legend = (("part0", "valid"), ("reason0", "rejected"))
    return DataView(
        name=name,
        funnel=Funnel(("read", "valid", "rejected"), tuple(bars), legend),
        reasons=_list_reasons(as_counts(summary.get("reasons")), examples, {}),
    )


def _describe_stage(stage: StageRecord, examples: Mapping[str, str]) -> ProbeView:
    summary = stage.summary
    rules = {rule: as_counts(counts) for rule, counts in as_mapping(summary.get("funnel")).items()}
    asked = sum(counts.get(ASKED, 0) for counts in rules.values())
    kept = sum(counts.get(KEPT, 0) for counts in rules.values())
    by_reason = add_counts(
        [{n: c for n, c in counts.items() if n not in (ASKED, KEPT)} for counts in rules.values()]
    )
    styles = {name: f"reason{min(i, NUM_STYLES - 1)}" for i, (name, _) in enumerate(_sort_counts(by_reason))}
    return ProbeView(
        stage=stage.name,
        facts=_list_facts(summary, asked, kept),
        by_rule=_draw_rules(rules, styles),
        reasons=_list_reasons(as_counts(summary.get("reasons")) or by_reason, examples, styles),
        asked=asked,
        kept=kept,
    )


def _list_reasons(
    counts: Mapping[str, int], examples: Mapping[str, str], styles: Mapping[str, str]
) -> tuple[Reason, ...]:
    """Reasons, the most frequent first. One without a style concerns rows or whole questions."""
    most = max(counts.values(), default=0)
    return tuple(
        Reason(
            name=name,
            bar=charts.draw_stack([charts.Part(name, count, styles.get(name, "reason0"))], most),
            figure=format_count(count),
            example=examples.get(name, ""),
        )
        for name, count in _sort_counts(counts)
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


def _draw_rules(rules: Mapping[str, Mapping[str, int]], styles: Mapping[str, str]) -> Funnel:
    most = max((counts.get(ASKED, 0) for counts in rules.values()), default=0)
    bars = []
    for rule, counts in rules.items():
        asked, kept = counts.get(ASKED, 0), counts.get(KEPT, 0)
        parts = [charts.Part(KEPT, kept, "part0")]
        parts += [charts.Part(name, counts.get(name, 0), style) for name, style in styles.items()]
        figures = [
            format_count(asked),
            format_count(kept),
            format_percent(kept / asked if asked else None, 0),
        ]
        figures += [format_count(counts.get(name, 0)) for name in styles]
        bars.append(Bar(rule, charts.draw_stack(parts, asked, asked / most if most else 0.0), tuple(figures)))
    legend = (("part0", KEPT), *((style, name) for name, style in styles.items()))
    return Funnel((ASKED, KEPT, "share kept", *styles), tuple(bars), legend)


def _sort_counts(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Largest first; by name where equal."""
    return sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
