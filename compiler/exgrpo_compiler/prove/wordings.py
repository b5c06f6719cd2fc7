"""Words that several proofs share: counts of rollouts, figures, parts of a reward."""

from __future__ import annotations

from collections.abc import Mapping

from exgrpo_compiler.prove.case import RewardCase
from exgrpo_compiler.source import Span

MAX_SHOWN = 48


def format_figure(value: float) -> str:
    """A figure as a message shows it.

    >>> format_figure(-0.24152), format_figure(1.0)
    ('-0.24', '1')
    """
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return text if text not in ("0", "-0") or value == 0 else f"{value:.2g}"


def list_counts(counts: Mapping[str, int], sizes: Mapping[str, int]) -> str:
    """`4 of 4 full and 3 of 4 partial`."""
    parts = [f"{counts[name]} of {size} {name}" for name, size in sizes.items()]
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def name_part(case: RewardCase, node: str) -> str:
    """A node in the author's words, cut where it is long."""
    return f"`{node}`" if node in case.term_spans else f"`{quote_span(case.spans[node])}`"


def quote_span(span: Span) -> str:
    """The text of a span on one line, cut where it is long."""
    text = " ".join(span.source.text[span.start : span.end].split())
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1].rstrip() + "…"
