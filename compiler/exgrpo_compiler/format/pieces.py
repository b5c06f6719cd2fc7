"""What the formatter lays out: words with the comments before them, brackets, and items between separators.

Nothing but line breaks and the spaces between words is lost on the way from a source to these; comments and strings are
kept as the source has them.
"""

from __future__ import annotations

from typing import Literal

from exgrpo_artifact.named import NamedTuple

BracketKind = Literal["block", "record", "yields", "use", "list", "arguments", "parens", "element"]


class Note(NamedTuple):
    """A comment, `//` or `///`, with all its characters."""

    text: str
    is_trailing: bool
    """It stands on the line of what comes before it."""
    has_blank: bool
    """A blank line stands before it."""


class Word(NamedTuple):
    """A token, and what stood between it and the one before."""

    type: str
    text: str
    start: int
    notes: tuple[Note, ...]
    has_break: bool
    """It begins a line, or a comment does that stands before it."""
    has_blank: bool
    """A blank line stands right before it."""


class Bracket(NamedTuple):
    """A pair of brackets with what is between them."""

    kind: BracketKind
    opener: Word
    opener_tail: tuple[Note, ...]
    """Comments on the line of the opener."""
    items: tuple[Item, ...]
    closer: Word
    """Its notes stand on lines of their own after the last item."""
    is_open: bool
    """The author broke the line after the opener."""


Part = Word | Bracket


class Item(NamedTuple):
    """A statement, a declaration, an argument, an entry: what separators stand between."""

    parts: tuple[Part, ...]
    kind: str
    """Class of the syntax tree's node that begins here, `header`, or nothing."""
    notes: tuple[Note, ...]
    """Comments on the lines before it."""
    tail: tuple[Note, ...]
    """Comments on the line that it ends, and those after a separator on a line of its own."""
    has_break: bool
    has_blank: bool
    """A blank line stands between its notes and itself."""


def has_notes(part: Part) -> bool:
    """Whether a comment stands in or before a part."""
    if isinstance(part, Word):
        return bool(part.notes)
    return bool(
        part.opener.notes
        or part.opener_tail
        or part.closer.notes
        or any(item.notes or item.tail or any(map(has_notes, item.parts)) for item in part.items)
    )


def has_block(part: Part) -> bool:
    """Whether a block of statements is a part or stands in one."""
    if isinstance(part, Word):
        return False
    return part.kind == "block" or any(has_block(inner) for item in part.items for inner in item.parts)


def has_line_break(part: Part) -> bool:
    """Whether a string of several lines is a part or stands in one."""
    if isinstance(part, Word):
        return "\n" in part.text
    return any(has_line_break(inner) for item in part.items for inner in item.parts)
