"""Tokens, and the parse trees that they form before a syntax tree is made of them."""

from __future__ import annotations

from exgrpo_artifact.named import NamedTuple

MAX_DEPTH = 100
"""Levels of nesting in one declaration; later stages recurse over the tree."""


class Token:
    """A terminal of the grammar as it stands in a text. A token is itself: two of the same text are not equal."""

    __slots__ = ("column", "end", "end_line", "line", "start", "text", "type")

    def __init__(
        self, type: str, text: str, start: int, end: int, line: int = 1, column: int = 1, end_line: int = 1
    ) -> None:
        self.type = type
        self.text = text
        self.start = start
        self.end = end
        self.line = line
        """1-based, as is `column`."""
        self.column = column
        self.end_line = end_line

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Token({self.type}, {self.text!r})"


class Tree(NamedTuple):
    """A rule of the grammar and what it was made of, from the first character of its first token to the last."""

    data: str
    children: list[Tree | Token]
    start: int
    end: int
