"""A picture before it is drawn: boxes with lines of text, and arrows between them."""

from __future__ import annotations

from exgrpo_artifact.record import Record


class Box(Record):
    """A node. `kind` decides its colour; `note` stands small in its upper right corner."""

    id: str
    kind: str
    """data, model, stage, filter, reward; input, judge, term, total."""
    title: str
    lines: tuple[str, ...] = ()
    note: str = ""


class Arrow(Record):
    """A directed edge. A dashed one says what belongs together rather than what flows."""

    source: str
    target: str
    label: str = ""
    is_dashed: bool = False


class Diagram(Record):
    """Boxes and arrows under a title. Arrows name boxes that are there."""

    title: str
    subtitle: str
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]


def wrap_line(text: str, width: int) -> tuple[str, ...]:
    """The text in lines of at most `width` characters, broken at blanks where there are any.

    >>> wrap_line("0.5 if p_full > p_part else 0", 14)
    ('0.5 if p_full', '> p_part else', '0')
    """
    lines: list[str] = []
    line = ""
    for word in text.split():
        while len(word) > width:
            if line:
                lines.append(line)
                line = ""
            lines.append(word[:width])
            word = word[width:]
        if line and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return (*lines, line) if line else tuple(lines)
