"""Diagrams as Mermaid flow charts. Ids are our own, and texts are quoted with entities, so no name of a spec is read as syntax."""

from __future__ import annotations

import re
from collections.abc import Sequence

from exgrpo_compiler.draw.diagram import Box, Diagram

_LIST = re.compile(r"(?:[-+*]|\d+[.)])(?= )")
"""What begins an item of a list in Markdown: older versions of Mermaid draw such a line as "Unsupported markdown: list"."""

_SHAPES = {
    "data": ('[("', '")]'),
    "model": ('(["', '"])'),
    "judge": ('(["', '"])'),
    "filter": ('{{"', '"}}'),
    "input": ('(["', '"])'),
}


def render_mermaid(diagrams: Sequence[Diagram]) -> str:
    """One flow chart with a subgraph for each diagram."""
    lines = ["flowchart LR"]
    ids: dict[tuple[int, str], str] = {}
    for number, diagram in enumerate(diagrams):
        lines.append(f'  subgraph g{number}["{_quote(f"{diagram.title}: {diagram.subtitle}")}"]')
        lines.append("    direction LR")
        for box in diagram.boxes:
            ids[number, box.id] = f"n{len(ids)}"
            lines.append(f"    {ids[number, box.id]}{_draw_box(box)}")
        for arrow in diagram.arrows:
            label = f'|"{_quote(arrow.label)}"|' if arrow.label else ""
            kind = "-.->" if arrow.is_dashed else "-->"
            lines.append(f"    {ids[number, arrow.source]} {kind}{label} {ids[number, arrow.target]}")
        lines.append("  end")
    return "\n".join(lines) + "\n"


def _draw_box(box: Box) -> str:
    before, after = _SHAPES.get(box.kind, ('["', '"]'))
    title = f"{box.title} ({box.note})" if box.note else box.title
    return before + "<br/>".join(_quote(line) for line in (title, *box.lines)) + after


def _quote(text: str) -> str:
    """The text inside a quoted label: everything that Mermaid, Markdown or HTML might read as its own is an entity.

    A line of a formula may begin with an operator: a space without width keeps it from being an item of a list.
    """
    before = "#8203;" if _LIST.match(text) else ""
    return before + "".join(
        char
        if char.isalnum() or char in " .,:_-+/="
        else f"#{ord(char)};"
        if char.isprintable()
        else "#65533;"
        for char in text
    )
