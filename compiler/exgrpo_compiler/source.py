"""A source text and positions in it."""

from __future__ import annotations

from bisect import bisect_right

from exgrpo_artifact.named import NamedTuple


class Position(NamedTuple):
    """1-based line and column, in characters."""

    line: int
    column: int


class Source:
    """One file, never changed. `name` is what diagnostics print; `module` its identity in the artifact (no machine path)."""

    __slots__ = ("_line_starts", "module", "name", "text")

    def __init__(self, name: str, text: str, module: str) -> None:
        self.name = name
        self.text = text
        self.module = module
        self._line_starts: tuple[int, ...] | None = None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Source):
            return NotImplemented
        return (self.name, self.module, self.text) == (other.name, other.module, other.text)

    def __hash__(self) -> int:
        return hash((self.name, self.module))

    def __repr__(self) -> str:
        return f"Source({self.name!r})"

    @property
    def line_starts(self) -> tuple[int, ...]:
        """Offset of the first character of every line."""
        if self._line_starts is None:
            starts, at = [0], self.text.find("\n")
            while at >= 0:
                starts.append(at + 1)
                at = self.text.find("\n", at + 1)
            self._line_starts = tuple(starts)
        return self._line_starts

    def locate(self, offset: int) -> Position:
        """Line and column of a character offset; an offset past the end is the end."""
        offset = max(0, min(offset, len(self.text)))
        starts = self.line_starts
        line = bisect_right(starts, offset)
        return Position(line, offset - starts[line - 1] + 1)

    def get_line(self, line: int) -> str:
        """Text of a 1-based line without its line break."""
        starts = self.line_starts
        start = starts[line - 1]
        end = starts[line] - 1 if line < len(starts) else len(self.text)
        return self.text[start:end].removesuffix("\r")


class Span:
    """Characters `start` (included) to `end` (excluded) of a source. Never changed; there are many, so it is plain."""

    __slots__ = ("end", "source", "start")

    def __init__(self, source: Source, start: int, end: int) -> None:
        self.source = source
        self.start = start
        self.end = end

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Span):
            return NotImplemented
        return (self.start, self.end, self.source) == (other.start, other.end, other.source)

    def __hash__(self) -> int:
        return hash((self.source, self.start, self.end))

    def __repr__(self) -> str:
        position = self.source.locate(self.start)
        return f"{self.source.name}:{position.line}:{position.column}"

    def to(self, other: Span) -> Span:
        """The span from the start of this one to the end of `other`."""
        return Span(self.source, self.start, max(self.end, other.end))
