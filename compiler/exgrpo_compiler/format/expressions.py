"""Expressions and brackets on lines: as one line where that fits, else broken after signs and separators.

Between the items of a bracket the author's line breaks stay where the whole does not fit on a line, and lines that are too
long are broken further. A bracket whose first item begins a line stays open: items indented, the closer on its own line.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from exgrpo_compiler.format.align import starts_with_blank
from exgrpo_compiler.format.flat import (
    fits,
    get_gap,
    get_padding,
    get_separator,
    join_item,
    join_part,
    join_parts,
)
from exgrpo_compiler.format.pieces import Bracket, Item, Part, Word
from exgrpo_compiler.format.writer import Writer

_INDENT = 2
_RANKS = {
    "ARROW": 0,
    "WHERE": 0,
    "ELSE": 1,
    "IF": 2,
    "OR": 3,
    "AND": 4,
    "COMPARISON": 5,
    "PLUS": 6,
    "MINUS": 6,
    "STAR": 7,
    "SLASH": 7,
    "PIPE": 8,
}
"""Signs after which a line may end, loosest first."""


class ExpressionWriter:
    """Writes parts of items; `base` is where an open bracket closes, `hang` where a broken line goes on."""

    def __init__(self) -> None:
        self.writer = Writer()

    def begin_line(self, indent: int, has_blank: bool = False) -> None:
        """Ends the line, and leaves one empty if asked to."""
        if has_blank:
            self.writer.write_blank()
        self.writer.break_line(indent)

    def write_notes(self, item: Item, indent: int) -> None:
        """Comments before an item, and the beginning of the item's line. The first line is begun already."""
        for number, note in enumerate(item.notes):
            if number:
                self.begin_line(indent, note.has_blank)
            self.writer.write_note(note, indent)
        if item.notes:
            self.begin_line(indent, item.has_blank)

    def write_tail(self, item: Item, separator: str, indent: int) -> None:
        """Comments after an item; a second one that trails follows a separator on a line of its own."""
        for number, note in enumerate(item.tail):
            if number and note.is_trailing:
                self.begin_line(indent)
                self.writer.write(separator)
            self.writer.write_note(note, indent)

    def write_end(self, bracket: Bracket, indent: int, base: int) -> None:
        """Comments before the closer of an open bracket, and the closer."""
        for number, note in enumerate(bracket.closer.notes):
            self.begin_line(indent, note.has_blank and (number > 0 or bool(bracket.items)))
            self.writer.write_note(note, indent)
        self.begin_line(base)
        self.writer.write(bracket.closer.text)

    def write_block(self, block: Bracket, base: int) -> None:
        """Statements of a block, after its opener."""
        raise NotImplementedError

    def write_expression(self, parts: Sequence[Part], base: int, hang: int, room: int, gap: str) -> None:
        """Parts that signs may stand between; `room` columns are needed after them."""
        text = join_parts(parts)
        column = hang if self.writer.must_break else self.writer.column + len(gap)
        if text is not None and fits(text, column, room):
            self.writer.write_word(gap, text, hang)
            return
        segments = _split_at_signs(parts)
        if len(segments) == 1:
            self.write_sequence(parts, base, hang, room, gap)
            return
        self.write_expression(segments[0], base, hang, 0, gap)
        for number, segment in enumerate(segments[1:], 1):
            room_here = room if number == len(segments) - 1 else 0
            text, gap = join_parts(segment), get_gap(segments[number - 1][-1], segment[0])
            is_next = text is not None and fits(text, self.writer.column + len(gap), room_here)
            if is_next and text is not None and not self.writer.must_break:
                self.writer.write(gap + text)
                continue
            if not _begins_with_trailing(segment[0]):
                self.begin_line(hang)
            self.write_expression(segment, hang, hang, room_here, "")

    def write_sequence(self, parts: Sequence[Part], base: int, hang: int, room: int, gap: str) -> None:
        """Parts one after the other, without breaking between them."""
        for index, part in enumerate(parts):
            if index:
                gap = get_gap(parts[index - 1], part)
            needed = room if index == len(parts) - 1 else _measure_beginning(parts[index:])
            self.write_part(part, base, hang, needed, gap)

    def write_part(self, part: Part, base: int, hang: int, room: int, gap: str) -> None:
        """A word or a bracket, with the comments before it."""
        for note in part.notes if isinstance(part, Word) else part.opener.notes:
            self.writer.write_note(note, hang)
        if isinstance(part, Word):
            self.writer.write_word(gap, part.text, hang)
            return
        bracket = part._replace(opener=part.opener._replace(notes=()))
        text = join_part(bracket)
        column = hang if self.writer.must_break else self.writer.column + len(gap)
        if text is not None and bracket.kind != "block" and fits(text, column, room):
            self.writer.write_word(gap, text, hang)
            return
        self.writer.write_word(gap, bracket.opener.text, hang)
        if bracket.kind == "block":
            self.write_block(bracket, base)
        elif _must_be_open(bracket) or _is_better_open(bracket, self.writer.column, base, room):
            self._write_open(bracket, base)
        else:
            self._write_hanging(bracket, room)

    def _write_open(self, bracket: Bracket, base: int) -> None:
        indent = base + _INDENT
        for note in bracket.opener_tail:
            self.writer.write_note(note, indent)
        ending = "," if _takes_comma(bracket) else ""
        for index, item in enumerate(bracket.items):
            separator = "," if index < len(bracket.items) - 1 else ending
            if index == 0 or self._breaks_before(item, separator):
                self.begin_line(indent, index > 0 and starts_with_blank(item))
                self.write_notes(item, indent)
            else:
                self.writer.write(" ")
            self._write_item(item, separator, len(separator))
        self.write_end(bracket, indent, base)

    def _write_hanging(self, bracket: Bracket, room: int) -> None:
        padding = get_padding(bracket)
        self.writer.write(padding)
        hang = self.writer.column
        closing = len(padding) + len(bracket.closer.text) + room
        rows = _arrange_grid(bracket, hang, closing) if padding else None
        if rows is not None:
            for number, row in enumerate(rows):
                if number:
                    self.begin_line(hang)
                self.writer.write(row)
            self.writer.write_word(padding, bracket.closer.text, hang)
            return
        for index, item in enumerate(bracket.items):
            is_last = index == len(bracket.items) - 1
            separator = "" if is_last else get_separator(bracket)
            if index and self._breaks_before(item, separator, closing if is_last else 1):
                self.begin_line(hang)
                self.write_notes(item, hang)
            elif index:
                self.writer.write(" ")
            self._write_item(item, separator, closing if is_last else 1)
        self.writer.write_word(padding, bracket.closer.text, hang)

    def _breaks_before(self, item: Item, separator: str, room: int | None = None) -> bool:
        """Whether an item that is not the first begins a line."""
        if item.has_break or item.notes or self.writer.must_break:
            return True
        text = join_parts(item.parts)
        needed = len(separator) if room is None else room
        return text is None or not fits(text, self.writer.column + 1, needed)

    def _write_item(self, item: Item, separator: str, room: int) -> None:
        column = self.writer.column
        parts = item.parts
        if len(parts) > 2 and isinstance(parts[1], Word) and parts[1].type == "COLON":
            for part in parts[:2]:
                self.write_part(part, column, column, 0, "")
            self.write_expression(parts[2:], column, self.writer.column + 1, room, " ")
        else:
            self.write_expression(parts, column, column, room, "")
        if len(item.tail) > 1:
            self.write_tail(item, separator, column)
            return
        if separator:
            self.writer.write_word("", separator, column)
        self.write_tail(item, separator, column)


def _split_at_signs(parts: Sequence[Part]) -> list[tuple[Part, ...]]:
    """Pieces that each end with one of the loosest signs among the parts."""
    ranks = [_RANKS.get(part.type, 99) if isinstance(part, Word) else 99 for part in parts]
    loosest = min(ranks)
    segments: list[tuple[Part, ...]] = []
    start = 0
    for index, rank in enumerate(ranks[:-1]):
        if rank == loosest < 99:
            segments.append(tuple(parts[start : index + 1]))
            start = index + 1
    return [*segments, tuple(parts[start:])]


def _begins_with_trailing(part: Part) -> bool:
    notes = part.notes if isinstance(part, Word) else part.opener.notes
    return bool(notes) and notes[0].is_trailing


def _measure_beginning(parts: Sequence[Part]) -> int:
    """Columns that what follows the first part needs on its line."""
    width = 0
    for before, part in pairwise(parts):
        width += len(get_gap(before, part))
        if isinstance(part, Bracket):
            return width + len(part.opener.text)
        width += len(part.text.split("\n")[0])
    return width


def _must_be_open(bracket: Bracket) -> bool:
    if bracket.opener_tail or bracket.closer.notes or not bracket.items:
        return True
    is_held_open = bracket.is_open and bracket.kind not in {"parens", "element"}
    return is_held_open or bool(bracket.items[0].notes or bracket.items[-1].tail)


def _is_better_open(bracket: Bracket, column: int, base: int, room: int) -> bool:
    """Whether an item that fits on a line of its own would not do so after the opener."""
    texts = (join_item(item) for item in bracket.items)
    inner = base + _INDENT
    return any(
        text is not None and fits(text, inner, 1) and not fits(text, column, 1 + room) for text in texts
    )


def _arrange_grid(bracket: Bracket, hang: int, closing: int) -> list[str] | None:
    """Rows of a list of records with its columns lined up, or None where they do not make a grid."""
    rows: list[list[str]] = []
    column = hang
    for index, item in enumerate(bracket.items):
        is_last = index == len(bracket.items) - 1
        text = join_item(item)
        if text is None or "\n" in text:
            return None
        if index == 0 or item.has_break or not fits(text, column + 1, closing if is_last else 1):
            rows.append([])
            column = hang - 1
        rows[-1].append(text if is_last else f"{text},")
        column += 1 + len(rows[-1][-1])
    if len(rows[0]) < 2 or any(len(row) != len(rows[0]) for row in rows[:-1]) or len(rows[-1]) > len(rows[0]):
        return None
    widths = [max(len(row[at]) for row in rows if len(row) > at) for at in range(len(rows[0]))]
    lines = [" ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    is_narrow = all(fits(line, hang) for line in lines) and fits(lines[-1], hang, closing)
    return lines if is_narrow else None


def _takes_comma(bracket: Bracket) -> bool:
    """Whether a comma may stand after the last item."""
    if bracket.kind in {"parens", "element"} or not bracket.items:
        return False
    last = bracket.items[-1].parts
    return not any(isinstance(part, Word) and part.type == "WHERE" for part in last)
