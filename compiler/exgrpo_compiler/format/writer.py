"""Lines as they are written, with comments at their ends lined up."""

from __future__ import annotations

from exgrpo_artifact.named import NamedTuple
from exgrpo_compiler.format.pieces import Note

_NOTE_GAP = 3
"""Spaces before a comment at the end of a line, as in the examples of docs/language.md."""


class _Trailing(NamedTuple):
    line: int
    indent: int
    note: str


class Writer:
    """A growing text. After a comment the next word begins a line, whoever writes it."""

    def __init__(self) -> None:
        self._lines: list[str] = [""]
        self._trailing: list[_Trailing] = []
        self._line_indent = 0
        self.must_break = False

    @property
    def column(self) -> int:
        """Columns of the line that is being written."""
        return len(self._lines[-1])

    @property
    def num_lines(self) -> int:
        """Lines so far."""
        return len(self._lines)

    @property
    def is_at_start(self) -> bool:
        """Whether nothing stands on the line yet."""
        return not self._lines[-1].strip() and not self.must_break

    def write(self, text: str) -> None:
        """Adds text, possibly of several lines, to the line."""
        first, *rest = text.split("\n")
        self._lines[-1] += first
        self._lines.extend(rest)

    def write_word(self, gap: str, text: str, indent: int) -> None:
        """Adds a text after a gap, or on a line of its own where a comment ended the line."""
        if self.must_break:
            self.break_line(indent)
        elif not self.is_at_start:
            self.write(gap)
        self.write(text)

    def break_line(self, indent: int) -> None:
        """Begins a line."""
        self._lines[-1] = self._lines[-1].rstrip() if not self.must_break else self._lines[-1]
        self._lines.append(" " * indent)
        self._line_indent = indent
        self.must_break = False

    def write_blank(self) -> None:
        """Leaves a line empty before the one that is to be begun."""
        self._lines.append("")

    def write_note(self, note: Note, indent: int) -> None:
        """A comment: at the end of the line where it is trailing and one stands there, on its own line otherwise."""
        if note.is_trailing and not self.is_at_start and not self.must_break:
            self._trailing.append(_Trailing(len(self._lines) - 1, self._line_indent, note.text))
        else:
            if not self.is_at_start:
                self.break_line(indent)
            self.write(note.text)
        self.must_break = True

    def get_text(self) -> str:
        """All lines, with a line break after the last."""
        lines = list(self._lines)
        run: list[_Trailing] = []
        for trailing in self._trailing:
            if run and (trailing.line, trailing.indent) != (run[-1].line + 1, run[-1].indent):
                _add_notes(lines, run)
                run = []
            run.append(trailing)
        _add_notes(lines, run)
        return "\n".join(lines) + "\n"


def _add_notes(lines: list[str], run: list[_Trailing]) -> None:
    """Puts comments on consecutive lines in one column."""
    column = max((len(lines[trailing.line]) for trailing in run), default=0) + _NOTE_GAP
    for trailing in run:
        lines[trailing.line] = lines[trailing.line].ljust(column) + trailing.note
