"""Where a `}` is missing, told by indentation, so that one missing brace is one report at its place.

A declaration in which braces balance is left alone. In one that lacks a `}`, a line that stands no deeper
than the line on which a block was opened shows that the block was meant to end before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from lark import Token

from exgrpo_compiler.diagnostics import Diagnostic, Label
from exgrpo_compiler.source import Source, Span
from exgrpo_compiler.tokens import get_end, get_span, is_first_on_line


class Mended(NamedTuple):
    """Tokens with every `{` closed, and a report for each `}` that was missing."""

    tokens: tuple[Token, ...]
    diagnostics: tuple[Diagnostic, ...]


class _Block(NamedTuple):
    opener: Token
    indent: int
    """Column of the first token on the opener's line."""


def mend_braces(source: Source, tokens: Sequence[Token]) -> Mended:
    """Adds the `}` that the tokens of one declaration lack."""
    missing = sum((token.type == "LEFT_BRACE") - (token.type == "RIGHT_BRACE") for token in tokens)
    if missing <= 0:
        return Mended(tuple(tokens), ())
    mended: list[Token] = []
    problems: list[Diagnostic] = []
    blocks: list[_Block] = []
    indent = 1
    for index, token in enumerate(tokens):
        if is_first_on_line(tokens, index):
            indent = token.column or 1
            while missing > 0 and _is_past_end(blocks, token, indent):
                problems.append(_report_missing(source, blocks.pop().opener, mended[-1]))
                mended.append(_make_brace(mended[-1]))
                missing -= 1
        if token.type == "LEFT_BRACE":
            blocks.append(_Block(token, indent))
        elif token.type == "RIGHT_BRACE" and blocks:
            blocks.pop()
        mended.append(token)
    while blocks:
        problems.append(_report_missing(source, blocks.pop().opener, mended[-1]))
        mended.append(_make_brace(mended[-1]))
    return Mended(tuple(mended), tuple(problems))


def _is_past_end(blocks: Sequence[_Block], token: Token, indent: int) -> bool:
    """Whether a token that begins a line stands outside of the innermost block, by its column.

    A `}` may stand as deep as the line of its `{`. The outermost block is left to the end of the declaration:
    it has nothing outside of it.
    """
    if len(blocks) < 2 or blocks[-1].opener.line == token.line:
        return False
    return indent < blocks[-1].indent or (indent == blocks[-1].indent and token.type != "RIGHT_BRACE")


def _make_brace(previous: Token) -> Token:
    end = get_end(previous)
    line, column = previous.end_line, previous.end_column
    return Token("RIGHT_BRACE", "}", end, line, column, line, column, end)


def _report_missing(source: Source, opener: Token, previous: Token) -> Diagnostic:
    end = get_end(previous)
    label = Label(get_span(source, opener), "this `{` is still open")
    message = "expected `}` to close `{`"
    return Diagnostic("unclosed-brace", "error", message, Span(source, end, end), (label,))
