"""What became of rows and probes: how many came in, how many are left, and why the others are not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from markupsafe import Markup

from exgrpo_artifact.manifest import ProbeStage
from exgrpo_runtime.report import bars
from exgrpo_runtime.report.collect import RunRecord, StageRecord, add_counts, as_count, as_counts, as_mapping
from exgrpo_runtime.report.formats import format_count, format_percent

KEPT, ASKED, NOT_APPLICABLE, MENDED = "kept", "asked", "not-applicable", "mended"
"""Counts of a rule that are no rejections; of these, `not-applicable` probes were never asked for."""
MAX_REASONS = 5
"""Reasons that have a column and a colour of their own; of more, the rarest are counted together."""
OTHERS = "others"


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
    questions: tuple[Reason, ...]
    """Why whole questions were dropped."""
    asked: int
    kept: int


def describe_data(record: RunRecord) -> tuple[DataView, ...]:
    """Rows by dataset and split; empty where the data stage has no result."""
    views = []
    for stage in record.pick_stages("data"):
        datasets = as_mapping(stage.summary.get("datasets"))
        # A rejection does not name its dataset.
        examples = _find_examples(record, stage) if len(datasets) == 1 else {}
        for name, summary in datasets.items():
            views.append(_describe_dataset(name, as_mapping(summary), examples))
    return tuple(views)


def describe_probes(record: RunRecord) -> tuple[ProbeView, ...]:
    """Every finished probe stage, in order."""
    return tuple(_describe_stage(record, stage) for stage in record.pick_stages("probe"))


def _find_examples(record: RunRecord, stage: StageRecord) -> dict[str, str]:
    """Reason -> row and detail of the first rejection for it."""
    examples: dict[str, str] = {}
    for _, line in record.reader.scan_lines(stage.path / "rejections.jsonl"):
        reason = str(line.get("reason"))
        if reason not in examples:
            parts = [str(line[key]) for key in ("row", "rule") if line.get(key)]
            parts += [f"sample {line['sample']}"] if line.get("sample") else []
            detail = " ".join(str(line.get("detail") or "").split())
            cut = detail[:MAX_DETAIL] + ("\u2026" if len(detail) > MAX_DETAIL else "")
            examples[reason] = f"{' '.join(parts)}: {cut}" if cut else " ".join(parts)
    return examples


def _describe_dataset(name: str, summary: Mapping[str, Any], examples: Mapping[str, str]) -> DataView:
    splits = {split: as_counts(counts) for split, counts in as_mapping(summary.get("splits")).items()}
    most = max((counts.get("source", 0) for counts in splits.values()), default=0)
    lines = []
    for split, counts in splits.items():
        figures = [counts.get(key, 0) for key in ("source", "valid", "rejected")]
        parts = [bars.Part("valid", figures[1], "part0"), bars.Part("rejected", figures[2], "reason0")]
        svg = bars.draw_stack(parts, figures[0], figures[0] / most if most else 0.0)
        lines.append(Bar(split, svg, tuple(format_count(figure) for figure in figures)))
    legend = (("part0", "valid"), ("reason0", "rejected"))
    return DataView(
        name=name,
        funnel=Funnel(("read", "valid", "rejected"), tuple(lines), legend),
        reasons=_list_reasons(as_counts(summary.get("reasons")), examples, {}),
    )


def _describe_stage(record: RunRecord, stage: StageRecord) -> ProbeView:
    summary = stage.summary
    filters = _list_filters(record, stage)
    rules = {rule: as_counts(counts) for rule, counts in as_mapping(summary.get("funnel")).items()}
    asked = sum(counts.get(ASKED, 0) for counts in rules.values())
    kept = sum(counts.get(KEPT, 0) for counts in rules.values())
    reasons = add_counts([_pick_reasons(counts) for counts in rules.values()])
    styles = _choose_styles(reasons)
    examples = _find_examples(record, stage)
    return ProbeView(
        stage=stage.name,
        facts=_list_facts(summary, asked, kept),
        by_rule=_draw_rules(rules, styles, filters, _read_repairs(summary)),
        reasons=_list_reasons(reasons, examples, styles, filters),
        questions=_list_reasons(as_counts(summary.get("items_dropped_by")), {}, {}, filters),
        asked=asked,
        kept=kept,
    )


def _list_filters(record: RunRecord, stage: StageRecord) -> frozenset[str]:
    """Names of the filters: they too are reasons, and the page says which are."""
    if record.artifact is None or not isinstance(stage.settings, ProbeStage):
        return frozenset()
    return frozenset(keep.name for keep in record.artifact.manifest.probes[stage.settings.probes].keeps)


def _read_repairs(summary: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Rule -> probes whose reply was sent back (asked), and those that could be read then (mended)."""
    by_rule = as_mapping(as_mapping(summary.get("repairs")).get("by_rule"))
    return {rule: as_counts(counts) for rule, counts in by_rule.items()}


def _pick_reasons(counts: Mapping[str, int]) -> dict[str, int]:
    return {name: n for name, n in counts.items() if n and name not in (ASKED, KEPT, NOT_APPLICABLE)}


def _choose_styles(reasons: Mapping[str, int]) -> dict[str, str]:
    """Reason -> CSS class, the most frequent first; the rarest share one where there are too many."""
    names = [name for name, _ in _sort_counts(reasons)]
    own = MAX_REASONS if len(names) <= MAX_REASONS else MAX_REASONS - 1
    return {name: f"reason{min(i, own)}" for i, name in enumerate(names)}


def _list_reasons(
    counts: Mapping[str, int],
    examples: Mapping[str, str],
    styles: Mapping[str, str],
    filters: frozenset[str] = frozenset(),
) -> tuple[Reason, ...]:
    """Reasons, the most frequent first. One without a style concerns rows or whole questions."""
    most = max(counts.values(), default=0)
    return tuple(
        Reason(
            name=_label(name, filters),
            bar=bars.draw_stack([bars.Part(name, count, styles.get(name, "reason0"))], most),
            figure=format_count(count),
            example=examples.get(name, ""),
        )
        for name, count in _sort_counts(counts)
    )


def _label(reason: str, filters: frozenset[str]) -> str:
    return f"filter {reason}" if reason in filters else reason


def _list_facts(summary: Mapping[str, Any], asked: int, kept: int) -> tuple[tuple[str, str], ...]:
    facts = [("questions", format_count(as_count(summary.get("rows"))))]
    facts.append(("probes asked for", format_count(asked)))
    facts.append(("probes kept", f"{format_count(kept)} ({format_percent(kept / asked if asked else None)})"))
    if "items_kept" in summary:
        items, dropped = as_count(summary["items_kept"]), as_count(summary.get("items_dropped"))
        facts.append(("questions kept", f"{format_count(items)} of {format_count(items + dropped)}"))
    samples = as_count(summary.get("samples"))
    if samples > 1:
        facts.append(("answers to each request", format_count(samples)))
    if summary.get("ask") == "together":
        facts.append(("rules of a question", "asked together"))
    repairs = as_counts(summary.get("repairs"))
    if repairs.get(ASKED):
        share = format_percent(repairs.get(MENDED, 0) / repairs[ASKED])
        facts.append(("probes sent back", f"{format_count(repairs[ASKED])} ({share} mended)"))
    for key, words in (
        ("asked", "requests sent"),
        ("from_store", "replies already stored"),
        ("failed_requests", "requests failed"),
    ):
        if key in summary:
            facts.append((words, format_count(as_count(summary[key]))))
    for name, count in as_counts(summary.get("tokens")).items():
        words = "replies without a token count" if name == "uncounted" else f"{name} tokens"
        if count or name != "uncounted":
            facts.append((words, format_count(count)))
    return tuple(facts)


def _draw_rules(
    rules: Mapping[str, Mapping[str, int]],
    styles: Mapping[str, str],
    filters: frozenset[str],
    repairs: Mapping[str, Mapping[str, int]],
) -> Funnel:
    """One bar for each rule; reasons that share a style are one part of it."""
    groups: dict[str, list[str]] = {}
    for name, style in styles.items():
        groups.setdefault(style, []).append(name)
    labels = [_label(names[0], filters) if len(names) == 1 else OTHERS for names in groups.values()]
    skips = any(counts.get(NOT_APPLICABLE) for counts in rules.values())
    most = max((counts.get(ASKED, 0) for counts in rules.values()), default=0)
    lines = []
    for rule, counts in rules.items():
        asked, kept = counts.get(ASKED, 0), counts.get(KEPT, 0)
        lost = [sum(counts.get(name, 0) for name in names) for names in groups.values()]
        parts = [bars.Part(KEPT, kept, "part0")]
        parts += [bars.Part(*part) for part in zip(labels, lost, groups, strict=True)]
        figures = [format_count(counts.get(NOT_APPLICABLE, 0))] if skips else []
        figures += [
            format_count(asked),
            format_count(kept),
            format_percent(kept / asked if asked else None, 0),
        ]
        figures += [format_count(count) for count in lost]
        if repairs:
            figures += [format_count(repairs.get(rule, {}).get(key, 0)) for key in (ASKED, MENDED)]
        lines.append(Bar(rule, bars.draw_stack(parts, asked, asked / most if most else 0.0), tuple(figures)))
    legend = (("part0", KEPT), *zip(groups, labels, strict=True))
    columns = (*(("not applicable",) if skips else ()), ASKED, KEPT, "share kept", *labels)
    columns += ("sent back", MENDED) if repairs else ()
    return Funnel(columns, tuple(lines), legend)


def _sort_counts(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Largest first; by name where equal."""
    return sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
