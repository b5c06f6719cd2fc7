"""Where a `}` is missing, told by indentation, so that one missing brace is one report at its place.

A declaration in which braces balance is left alone. In one that lacks a `}`, a line that stands no deeper
than the line on which a block was opened shows that the block was meant to end before it.
"""

from __future__ import annotations

from collections.abc import Sequence

from exgrpo_artifact.named import NamedTuple
from exgrpo_compiler.diagnostics import Diagnostic, Label
from exgrpo_compiler.source import Source, Span
from exgrpo_compiler.syntax.terminals import CLOSERS, OPENERS
from exgrpo_compiler.syntax.tokens import get_end, get_span, is_first_on_line, make_token
from exgrpo_compiler.syntax.tree import Token


class Mended(NamedTuple):
    """Tokens with every `{` closed, and a report for each `}` that was missing."""

    tokens: tuple[Token, ...]
    diagnostics: tuple[Diagnostic, ...]


class _Open(NamedTuple):
    token: Token
    indent: int
    """Column of the first token on its line."""


def mend_braces(source: Source, tokens: Sequence[Token]) -> Mended:
    """Adds the `}` that the tokens of one declaration lack."""
    missing = sum((token.type == "LEFT_BRACE") - (token.type == "RIGHT_BRACE") for token in tokens)
    if missing <= 0:
        return Mended(tuple(tokens), ())
    mended: list[Token] = []
    problems: list[Diagnostic] = []
    stack = _Stack()
    indent = 1
    for index, token in enumerate(tokens):
        is_first = is_first_on_line(tokens, index)
        indent = token.column if is_first else indent
        while missing > 0 and (stack.is_closed_over(token) or (is_first and _is_past_end(stack.open, token))):
            problems.append(_report_missing(source, stack.pop().token, mended[-1]))
            mended.append(make_token("RIGHT_BRACE", "}", mended[-1]))
            missing -= 1
        if token.type in OPENERS:
            stack.push(_Open(token, indent))
        elif token.type in CLOSERS:
            stack.close(token)
        mended.append(token)
    still_open = [each.token for each in stack.open if each.token.type == "LEFT_BRACE"]
    if still_open:
        problems.append(_report_missing(source, still_open[-1], mended[-1], len(still_open)))
        mended.extend(make_token("RIGHT_BRACE", "}", mended[-1]) for _ in still_open)
    return Mended(tuple(mended), tuple(problems))


class _Stack:
    """Open brackets; for each kind it is known where the innermost one is."""

    def __init__(self) -> None:
        self.open: list[_Open] = []
        self.depths: dict[str, list[int]] = {opener: [] for opener in OPENERS}

    def push(self, bracket: _Open) -> None:
        self.depths[bracket.token.type].append(len(self.open))
        self.open.append(bracket)

    def pop(self) -> _Open:
        self.depths[self.open[-1].token.type].pop()
        return self.open.pop()

    def close(self, token: Token) -> None:
        """Takes off the bracket that a token closes; a `}` takes unclosed `(` and `[` with it."""
        candidates = self.depths[CLOSERS[token.type]]
        if not candidates or (token.type != "RIGHT_BRACE" and candidates[-1] + 1 != len(self.open)):
            return
        depth = candidates[-1]
        while len(self.open) > depth:
            self.pop()

    def is_closed_over(self, token: Token) -> bool:
        """Whether a `)` or `]` would close a bracket around the innermost, still open `{`."""
        if token.type not in ("RIGHT_PAREN", "RIGHT_BRACKET") or not self.open:
            return False
        if self.open[-1].token.type != "LEFT_BRACE":
            return False
        parens, brackets = (self.depths[opener] for opener in ("LEFT_PAREN", "LEFT_BRACKET"))
        around = max((*parens[-1:], *brackets[-1:]), default=None)
        return around is not None and self.open[around].token.type == CLOSERS[token.type]


def _is_past_end(stack: Sequence[_Open], token: Token) -> bool:
    """Whether a token that begins a line stands outside of the innermost block, by its column.

    A `}` may stand as deep as the line of its `{`. The outermost block is left to the end of the declaration:
    it has nothing outside of it.
    """
    if len(stack) < 2 or stack[-1].token.type != "LEFT_BRACE":
        return False
    column, indent = token.column, stack[-1].indent
    return column < indent or (column == indent and token.type != "RIGHT_BRACE")


def _report_missing(source: Source, opener: Token, previous: Token, count: int = 1) -> Diagnostic:
    """The report for a missing `}`, or for several at the same place, of which the innermost is shown."""
    end = get_end(previous)
    label = Label(get_span(source, opener), "this `{` is still open")
    message = "Expected `}` to close `{`." if count == 1 else f"Expected {count} times `}}` to close `{{`."
    return Diagnostic("unclosed-brace", "error", message, Span(source, end, end), (label,))
