"""Bars as inline SVG, coloured by the page's CSS classes alone.

Lengths are in per cent, so that a bar stretches with its column and its text keeps its size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup, escape

from exgrpo_runtime.report.formats import format_percent


class Part(NamedTuple):
    """One part of a stacked bar."""

    name: str
    amount: int
    style: str
    """CSS class that colours it."""


def draw_stack(parts: Sequence[Part], total: int, scale: float = 1.0) -> Markup:
    """A stacked bar of `parts` out of `total`, whose full length is `scale` of the width."""
    marks, start = [], 0.0
    for part in parts:
        if part.amount <= 0 or total <= 0:
            continue
        width = part.amount / total * 100 * scale
        share = format_percent(part.amount / total)
        text = escape(f"{part.name}: {part.amount:,} of {total:,} ({share})")
        marks.append(
            f'<rect class="{part.style}" x="{start:.3f}%" y="0" width="{width:.3f}%" height="12">'
            f"<title>{text}</title></rect>"
        )
        start += width
    words = ", ".join(f"{part.name} {part.amount}" for part in parts if part.amount)
    return Markup(
        f'<svg class="bar" width="100%" height="12" role="img" aria-label="{escape(words)}">'
        f'<rect class="track" x="0" y="0" width="100%" height="12"/>{"".join(marks)}</svg>'
    )


def draw_share(name: str, share: float, style: str) -> Markup:
    """A bar of a share of 1."""
    return draw_length(f"{name}: {format_percent(share)}", share, style)


def draw_length(text: str, length: float, style: str = "part1") -> Markup:
    """A thin bar of a part of the width, `length` in 0..1, that says `text`."""
    words = escape(text)
    return Markup(
        f'<svg class="bar thin" width="100%" height="8" role="img" aria-label="{words}">'
        f'<rect class="track" x="0" y="0" width="100%" height="8"/>'
        f'<rect class="{style}" x="0" y="0" width="{min(1.0, max(0.0, length)) * 100:.3f}%" height="8">'
        f"<title>{words}</title></rect></svg>"
    )


def draw_interval(mean: float, low: float, high: float, top: float, style: str, text: str) -> Markup:
    """A bar of `mean` with the whisker `low`..`high` on an axis 0..`top`; `text` is shown on hovering."""
    at = [min(100.0, value / top * 100) for value in (mean, low, high)]
    lines = "".join(
        f'<line class="grid" x1="{tick / top * 100:.3f}%" x2="{tick / top * 100:.3f}%" y1="0" y2="30"/>'
        for tick in choose_share_ticks(top)
    )
    caps = "".join(f'<line class="cap" x1="{x:.3f}%" x2="{x:.3f}%" y1="10" y2="20"/>' for x in at[1:])
    return Markup(
        f'<svg class="bar interval" width="100%" height="30" role="img" aria-label="{escape(text)}">{lines}'
        f'<rect class="{style}" x="0" y="6" width="{at[0]:.3f}%" height="18"/>'
        f'<line class="cap" x1="{at[1]:.3f}%" x2="{at[2]:.3f}%" y1="15" y2="15"/>{caps}'
        f'<rect class="cover" x="0" y="0" width="100%" height="30"><title>{escape(text)}</title></rect></svg>'
    )


def draw_share_axis(top: float) -> Markup:
    """The labels under a column of `draw_interval` bars."""
    texts = []
    for tick in choose_share_ticks(top):
        anchor = "start" if tick == 0 else "end" if tick >= top else "middle"
        texts.append(
            f'<text class="tick" x="{tick / top * 100:.3f}%" y="12" text-anchor="{anchor}">'
            f"{format_percent(tick, 0 if top >= 0.05 else 1)}</text>"
        )
    return Markup(f'<svg class="bar axis" width="100%" height="16" aria-hidden="true">{"".join(texts)}</svg>')


def choose_share_ticks(top: float) -> tuple[float, ...]:
    """0, a quarter, a half, three quarters and the whole of `top`."""
    return tuple(top * i / 4 for i in range(5))


def choose_share_top(high: float) -> float:
    """Where an axis of shares ends: 1, or less where all are small, so that small ones can be told apart."""
    return next((top for top in (0.02, 0.04, 0.1, 0.2, 0.4) if high <= top), 1.0)
