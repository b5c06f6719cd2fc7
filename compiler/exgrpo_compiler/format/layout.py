"""Files, blocks and statements on lines."""

from __future__ import annotations

from collections.abc import Sequence

from exgrpo_compiler.format.align import Cells, is_tall, measure_runs, split_cells, starts_with_blank
from exgrpo_compiler.format.expressions import ExpressionWriter
from exgrpo_compiler.format.flat import fits, get_gap, join_item, join_parts
from exgrpo_compiler.format.grouping import File
from exgrpo_compiler.format.pieces import Bracket, Item, Word, has_block

INDENT = 2


def lay_out_file(file: File) -> str:
    """The text of a file; its items never share a line."""
    return StatementWriter().write_file(file)


class StatementWriter(ExpressionWriter):
    """Statements on top of expressions."""

    def write_file(self, file: File) -> str:
        """The whole text."""
        long = [_is_long(item) for item in file.items]
        widths = measure_runs(file.items, [not is_long for is_long in long], 0)
        previous: Item | None = None
        was_long = False
        for item, columns, is_long in zip(file.items, widths, long, strict=True):
            if previous is not None:
                is_apart = was_long or is_long or previous.kind != item.kind
                self.begin_line(0, is_apart or starts_with_blank(item))
            self.write_notes(item, 0)
            self.write_statement(item, 0, columns)
            self.write_tail(item, ";", 0)
            previous, was_long = item, is_long
        for number, note in enumerate(file.end.notes):
            if previous is not None or number:
                is_apart = number == 0 and was_long
                self.begin_line(0, note.has_blank or is_apart)
            self.writer.write_note(note, 0)
        return self.writer.get_text()

    def write_block(self, block: Bracket, base: int) -> None:
        """`{`, statements on lines of their own, `}`; the opener is written already."""
        indent = base + INDENT
        for note in block.opener_tail:
            self.writer.write_note(note, indent)
        lines = _group_lines(block, indent)
        singles = [len(line) == 1 for line in lines for _ in line]
        widths = iter(measure_runs(block.items, singles, indent))
        for number, line in enumerate(lines):
            self.begin_line(indent, number > 0 and starts_with_blank(line[0]))
            self.write_notes(line[0], indent)
            columns = [next(widths) for _ in line]
            if len(line) > 1:
                self.writer.write("; ".join(join_parts(item.parts) or "" for item in line))
            else:
                self.write_statement(line[0], indent, columns[0])
            self.write_tail(line[-1], ";", indent)
        self.write_end(block, indent, base)

    def write_statement(self, item: Item, indent: int, columns: tuple[int, ...]) -> None:
        """One statement; the line is begun and its comments are written."""
        cells = split_cells(item)
        if cells is not None and columns:
            self._write_cells(item, cells, columns, indent)
            return
        if any(map(has_block, item.parts)) and not is_tall(item, indent):
            self.writer.write(join_parts(item.parts) or "")
            return
        end = _find_head_end(item)
        self.write_sequence(item.parts[:end], indent, indent + INDENT, 0, "")
        if end < len(item.parts):
            hang = indent + INDENT if self.writer.must_break else self.writer.column + 1
            gap = get_gap(item.parts[end - 1], item.parts[end])
            self.write_expression(item.parts[end:], indent, hang, 0, gap)

    def _write_cells(self, item: Item, cells: Cells, columns: tuple[int, ...], indent: int) -> None:
        padded = [text.ljust(width) for text, width in zip(cells.texts, columns, strict=True)]
        self.writer.write(" ".join(padded) if cells.rest else " ".join(padded).rstrip())
        if not cells.rest:
            return
        if any(map(has_block, cells.rest)) and not is_tall(item, indent):
            self.writer.write(f" {join_parts(cells.rest)}")
            return
        sign, *value = cells.rest
        self.write_part(sign, indent, indent + INDENT, 0, " ")
        if value:
            self.write_expression(tuple(value), indent, self.writer.column + 1, 0, " ")


def _is_long(item: Item) -> bool:
    """Whether a declaration takes several lines by itself."""
    alone = StatementWriter()
    alone.write_statement(item, 0, ())
    return alone.writer.num_lines > 1


def _group_lines(block: Bracket, indent: int) -> list[tuple[Item, ...]]:
    """The statements that share a line: written so by the author, and short enough."""
    lines: list[list[Item]] = []
    for item in block.items:
        if lines and block.is_open and not item.has_break and not item.notes and not lines[-1][-1].tail:
            lines[-1].append(item)
        else:
            lines.append([item])
    grouped: list[tuple[Item, ...]] = []
    for line in lines:
        grouped.extend([tuple(line)] if _is_one_line(line, indent) else [(item,) for item in line])
    return grouped


def _is_one_line(line: Sequence[Item], indent: int) -> bool:
    if len(line) == 1:
        return True
    texts = [join_item(item._replace(notes=(), tail=())) for item in line]
    whole = "; ".join(text for text in texts if text is not None)
    return None not in texts and "\n" not in whole and fits(whole, indent)


def _find_head_end(item: Item) -> int:
    """How many parts stand before the expression that is wrapped at its signs; all of them where there is none."""
    if item.kind in {"ExpectStmt", "ExampleStmt"}:
        return 1
    for index, part in enumerate(item.parts):
        if isinstance(part, Word) and part.type == ("WHERE" if item.kind == "KeepStmt" else "EQUALS"):
            return index + 1
    return len(item.parts)
