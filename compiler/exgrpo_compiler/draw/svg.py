"""Diagrams as one SVG, which follows the reader's light or dark colours and needs no other file."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

from exgrpo_compiler.draw.diagram import Box, Diagram
from exgrpo_compiler.draw.layout import LINE, PADDING, Frame, Layout, Route, place_diagram

_MARGIN = 28
_TITLE = 52
_BETWEEN = 40
_STYLE = """
svg { --ground: #ffffff; --ink: #1d2733; --quiet: #5b6876; --line: #8a97a5; --box: #f6f8fa; --edge: #c3ccd5;
  --data: #2f6f9f; --model: #7a5aa6; --stage: #2f7d5b; --filter: #93690f; --reward: #b0483c; }
@media (prefers-color-scheme: dark) {
  svg { --ground: #12171d; --ink: #e4e9ee; --quiet: #9aa7b4; --line: #6d7a88; --box: #1b222b; --edge: #36424f;
    --data: #6db3e2; --model: #b79be0; --stage: #63c297; --filter: #d8ab4a; --reward: #ea8a7e; }
}
.ground { fill: var(--ground); }
text { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: var(--ink); }
.heading { font: 600 17px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
.sub { font: 13px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: var(--quiet); }
.title { font-size: 13px; font-weight: 600; }
.line, .note, .label { font-size: 11px; }
.note, .label { fill: var(--quiet); }
.label { paint-order: stroke; stroke: var(--ground); stroke-width: 4px; }
.box { fill: var(--box); stroke: var(--edge); }
.total .box { stroke: var(--reward); stroke-width: 2; }
.bar { fill: var(--line); }
.data .bar, .input .bar { fill: var(--data); } .model .bar, .judge .bar { fill: var(--model); }
.stage .bar, .term .bar { fill: var(--stage); } .filter .bar { fill: var(--filter); }
.reward .bar, .total .bar { fill: var(--reward); }
.arrow { fill: none; stroke: var(--line); stroke-width: 1.4; }
.head { fill: var(--line); }
"""


def render_svg(diagrams: Sequence[Diagram], *, is_embedded: bool = False) -> str:
    """The diagrams one below the other. An embedded one has no ground and no XML declaration."""
    parts: list[str] = []
    y, width = float(_MARGIN), 0.0
    for diagram in diagrams:
        layout = place_diagram(diagram)
        parts.append(f'<g transform="translate({_MARGIN},{_number(y)})">{_draw_diagram(diagram, layout)}</g>')
        y += _TITLE + layout.height + _BETWEEN
        width = max(width, layout.width, 9.5 * len(diagram.title), 7.2 * len(diagram.subtitle))
    height = y - _BETWEEN + _MARGIN
    width += 2 * _MARGIN
    ground = "" if is_embedded else '<rect class="ground" width="100%" height="100%"/>'
    title = _clean(", ".join(diagram.title for diagram in diagrams))
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_number(width)}" height="{_number(height)}" '
        f'viewBox="0 0 {_number(width)} {_number(height)}" role="img">'
        f"<title>{title}</title><style>{_STYLE}</style>{ground}\n{body}\n</svg>\n"
    )


def _draw_diagram(diagram: Diagram, layout: Layout) -> str:
    boxes = "\n".join(_draw_box(box, layout.frames[box.id]) for box in diagram.boxes)
    arrows = "\n".join(_draw_route(route) for route in layout.routes)
    labels = "\n".join(_draw_label(route) for route in layout.routes if route.arrow.label)
    return (
        f'<text class="heading" y="16">{_clean(diagram.title)}</text>'
        f'<text class="sub" y="36">{_clean(diagram.subtitle)}</text>'
        f'<g transform="translate(0,{_TITLE})">\n{arrows}\n{boxes}\n{labels}\n</g>'
    )


def _draw_box(box: Box, frame: Frame) -> str:
    x, y = frame.x, frame.y
    lines = [
        f'<rect class="box" x="{_number(x)}" y="{_number(y)}" width="{_number(frame.width)}" '
        f'height="{_number(frame.height)}" rx="4"/>',
        f'<rect class="bar" x="{_number(x)}" y="{_number(y)}" width="4" height="{_number(frame.height)}" rx="2"/>',
        f'<text class="title" x="{_number(x + PADDING)}" y="{_number(y + 18)}">{_clean(box.title)}</text>',
    ]
    if box.note:
        lines.append(
            f'<text class="note" text-anchor="end" x="{_number(x + frame.width - 8)}" y="{_number(y + 18)}">'
            f"{_clean(box.note)}</text>"
        )
    for at, line in enumerate(box.lines, 1):
        lines.append(
            f'<text class="line" x="{_number(x + PADDING)}" y="{_number(y + 20 + LINE * at)}" xml:space="preserve">'
            f"{_clean(line)}</text>"
        )
    return f'<g class="{box.kind}">{"".join(lines)}</g>'


def _draw_route(route: Route) -> str:
    (x, y), *rest = route.points
    path = [f"M{_number(x)} {_number(y)}"]
    last = len(rest) - 1
    for at, (to_x, to_y) in enumerate(rest):
        end = to_x - 6 if at == last else to_x
        if at % 2 and at != last:  # along a column that the arrow passes
            path.append(f"L{_number(end)} {_number(to_y)}")
        else:
            bend = (end - x) / 2
            path.append(
                f"C{_number(x + bend)} {_number(y)} {_number(end - bend)} {_number(to_y)} {_number(end)} {_number(to_y)}"
            )
        x, y = to_x, to_y
    dashes = ' stroke-dasharray="5 4"' if route.arrow.is_dashed else ""
    head = f"M{_number(x)} {_number(y)}l-8 -4v8z"
    return f'<path class="arrow" d="{" ".join(path)}"{dashes}/><path class="head" d="{head}"/>'


def _draw_label(route: Route) -> str:
    (x1, y1), (x2, y2) = route.points[-2], route.points[-1]
    x, y = (x1 + x2) / 2, (y1 + y2) / 2 - 4
    label = _clean(route.arrow.label)
    return f'<text class="label" text-anchor="middle" x="{_number(x)}" y="{_number(y)}">{label}</text>'


def _clean(text: str) -> str:
    """Text for XML, which has no way to write most control characters."""
    return escape("".join(char if char.isprintable() else "\ufffd" for char in text))


def _number(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".")
