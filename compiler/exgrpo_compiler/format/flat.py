"""Parts on one line: their text, and the spaces between words."""

from __future__ import annotations

from collections.abc import Sequence

from exgrpo_compiler.format.grouping import NEGATIVE
from exgrpo_compiler.format.pieces import Bracket, Item, Part, Word

WIDTH = 128
"""Columns of a line. The examples of docs/language.md are written to it."""

_TIGHT_BEFORE = frozenset({"COMMA", "SEMICOLON", "COLON", "DOT", "RANGE"})
_TIGHT_AFTER = frozenset({"DOT", "RANGE", NEGATIVE})
_SPACED = frozenset({"block", "record", "yields"})
"""Kinds of brackets that have a space inside of them."""


def get_gap(before: Part, part: Part) -> str:
    """What stands between two neighbours on one line: a space or nothing."""
    before_type = before.type if isinstance(before, Word) else before.closer.type
    if before_type in _TIGHT_AFTER:
        return ""
    if isinstance(part, Bracket):
        return "" if part.kind in {"arguments", "element"} else " "
    return "" if part.type in _TIGHT_BEFORE else " "


def get_padding(bracket: Bracket) -> str:
    """What stands between a bracket and its contents on one line."""
    is_spaced = bracket.kind in _SPACED or (bracket.kind == "list" and any(map(_is_record, bracket.items)))
    return " " if is_spaced and bracket.items else ""


def get_separator(bracket: Bracket) -> str:
    """What stands between the items of a bracket."""
    return ";" if bracket.kind == "block" else ","


def join_parts(parts: Sequence[Part]) -> str | None:
    """The parts on one line, or None where a comment or an open bracket does not let them be."""
    texts: list[str] = []
    for index, part in enumerate(parts):
        text = join_part(part)
        if text is None:
            return None
        texts.append((get_gap(parts[index - 1], part) if index else "") + text)
    return "".join(texts)


def join_part(part: Part) -> str | None:
    """A part on one line, or None."""
    if isinstance(part, Word):
        return part.text if not part.notes else None
    is_held_open = part.is_open and part.kind not in {"parens", "element"}
    if is_held_open or part.opener.notes or part.opener_tail or part.closer.notes:
        return None
    texts = [join_item(item) for item in part.items]
    if None in texts:
        return None
    inner = f"{get_separator(part)} ".join(text for text in texts if text is not None)
    padding = get_padding(part)
    return f"{part.opener.text}{padding}{inner}{padding}{part.closer.text}"


def join_item(item: Item) -> str | None:
    """An item on one line, or None where a comment stands in or beside it."""
    return None if item.notes or item.tail else join_parts(item.parts)


def fits(text: str, column: int, room: int = 0) -> bool:
    """Whether a text that begins at a column leaves `room` columns of its last line; inside of strings lines are as they are."""
    first, *_, last = [*text.split("\n"), ""] if "\n" not in text else text.split("\n")
    if "\n" not in text:
        return column + len(first) + room <= WIDTH
    return column + len(first) <= WIDTH and len(last) + room <= WIDTH


def _is_record(item: Item) -> bool:
    last = item.parts[-1]
    return isinstance(last, Bracket) and last.kind in {"record", "block"}
