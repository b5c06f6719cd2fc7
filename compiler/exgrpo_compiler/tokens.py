"""Source text to tokens for the parser; comments are set aside, broken text is reported and replaced.

A broken piece (an unclosed string, `&&`, a curly quote) is reported once, here, and stands in the stream as
what its author most likely meant, so that the parser does not report it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from lark import Token

from exgrpo_compiler.ast import Comment
from exgrpo_compiler.diagnostics import Diagnostic
from exgrpo_compiler.lex import lex_text
from exgrpo_compiler.source import Source, Span
from exgrpo_compiler.syntax import BROKEN
from exgrpo_compiler.units import UNITS


class Doc(NamedTuple):
    """The lines of a `///` comment, joined."""

    text: str
    span: Span


class Tokens(NamedTuple):
    """The tokens of a source, and what stood between them."""

    tokens: tuple[Token, ...]
    comments: tuple[Comment, ...]
    docs: dict[int, Doc]
    """By the offset of the token that follows."""
    diagnostics: tuple[Diagnostic, ...]


_OPERATOR_HINTS = {
    "&&": ("AND", "and", "write `and`"),
    "&": ("AND", "and", "write `and`"),
    "||": ("OR", "or", "write `or`"),
    "!": ("NOT", "not", "write `not`"),
    "===": ("COMPARISON", "==", "write `==`"),
    "=>": ("ARROW", "->", "a comparison is `>=`, an arrow is `->`"),
    "%": ("STAR", "*", "`%` is a unit, as in `20%`; the remainder is `mod(a, b)`"),
    "**": ("STAR", "*", "a power is a product: `x * x`"),
    "^": ("STAR", "*", "a power is a product: `x * x`"),
}


def read_tokens(source: Source) -> Tokens:
    """Tokens, comments, documentation and broken text of a source."""
    tokens: list[Token] = []
    comments: list[Comment] = []
    docs: dict[int, Doc] = {}
    pending: list[Token] = []
    problems: list[Diagnostic] = []
    swarm_line: int | None = None  # strange characters come in swarms: one report a line
    for token in lex_text(source.text):
        if token.type == "COMMENT":
            comments.append(Comment(token[2:].strip(), get_span(source, token)))
            continue
        if token.type == "DOC":
            if tokens and tokens[-1].end_line == token.line:
                problems.append(_report_trailing_doc(get_span(source, token)))
            else:
                pending.append(token)
            continue
        if token.type in BROKEN:
            problem, replacement = _mend_token(source, token)
            is_swarm = token.type == "BAD_CHARACTER" and token.line == swarm_line
            if problem is not None and not is_swarm:
                problems.append(problem)
            swarm_line = token.line if token.type == "BAD_CHARACTER" else swarm_line
            if replacement is None:
                continue
            token = replacement
        elif token.type == "NAME" and _is_unit_apart(source, tokens, token):
            number = tokens.pop()
            problems.append(_report_unit(source, number, token))
            token = Token(
                "NUMBER",
                f"{number}{token}",
                number.start_pos,
                number.line,
                number.column,
                token.end_line,
                token.end_column,
                token.end_pos,
            )
        elif token.type == "NAME" and not token.isascii():
            problems.append(_report_name(source, token))
        if pending:
            docs[get_start(token)] = _join_doc(source, pending)
            pending = []
        tokens.append(token)
    if pending:
        problems.append(report_dangling_doc(_join_doc(source, pending).span))
    return Tokens(tuple(tokens), tuple(comments), docs, tuple(problems))


def get_start(token: Token) -> int:
    """Offset of a token's first character."""
    return token.start_pos or 0


def get_end(token: Token) -> int:
    """Offset after a token's last character."""
    return token.end_pos or 0


def get_span(source: Source, token: Token) -> Span:
    """Where a token stands."""
    return Span(source, get_start(token), get_end(token))


def make_token(terminal: str, text: str, previous: Token) -> Token:
    """A token that nobody wrote, without width, right after `previous`."""
    end, line, column = previous.end_pos, previous.end_line, previous.end_column
    return Token(terminal, text, end, line, column, line, column, end)


def is_first_on_line(tokens: Sequence[Token], index: int) -> bool:
    """Whether no token stands before this one on its line."""
    return index == 0 or tokens[index - 1].end_line != tokens[index].line


def report_dangling_doc(span: Span) -> Diagnostic:
    """The warning for a `///` comment that documents nothing."""
    return Diagnostic(
        "dangling-doc",
        "warning",
        "This documentation comment documents nothing.",
        span,
        hint="`///` belongs on the lines before a declaration or a statement; other comments are `//`",
    )


def _report_trailing_doc(span: Span) -> Diagnostic:
    return Diagnostic(
        "dangling-doc",
        "warning",
        "A documentation comment documents what follows it, not the line that it ends.",
        span,
        hint="move it to the line before, or write `//`",
    )


def _join_doc(source: Source, pending: Sequence[Token]) -> Doc:
    lines = [token[3:].removeprefix(" ").rstrip() for token in pending]
    span = get_span(source, pending[0]).to(get_span(source, pending[-1]))
    return Doc("\n".join(lines), span)


def _report_name(source: Source, token: Token) -> Diagnostic:
    place = next(index for index, char in enumerate(token) if not char.isascii())
    at = get_start(token) + place
    return Diagnostic(
        "bad-character",
        "error",
        f"`{token[place]}` cannot stand in a name.",
        Span(source, at, at + 1),
        hint="names are written with a-z, 0-9 and `_`",
    )


def _is_unit_apart(source: Source, tokens: Sequence[Token], token: Token) -> bool:
    """Whether a unit stands with a space after a number that has none: nothing else begins so."""
    if token not in UNITS or not tokens or tokens[-1].type != "NUMBER":
        return False
    between = source.text[get_end(tokens[-1]) : get_start(token)]
    return bool(between) and not between.strip(" \t") and not str(tokens[-1]).endswith(tuple(UNITS))


def _report_unit(source: Source, number: Token, unit: Token) -> Diagnostic:
    span = get_span(source, number).to(get_span(source, unit))
    message = "A unit stands right after its number, without a space."
    return Diagnostic("syntax-error", "error", message, span, hint=f"write `{number}{unit}`")


def _mend_token(source: Source, token: Token) -> tuple[Diagnostic | None, Token | None]:
    """What is wrong with a broken token, and the token to go on with."""
    match token.type:
        case "UNCLOSED_BLOCK" | "UNCLOSED_STRING" | "UNCLOSED_RAW":
            return _mend_unclosed(source, token)
        case "BAD_QUOTES":
            problem = _report_text(source, token, "Strings stand in straight double quotes.", 'write `"…"`')
            return problem, _retype(token, "STRING")
        case "BAD_COMMENT":
            start = get_start(token)
            return Diagnostic(
                "bad-character",
                "error",
                "A comment starts with `//`, not with `#`.",
                Span(source, start, start + 1),
            ), None
        case "BAD_OPERATOR":
            terminal, value, hint = _OPERATOR_HINTS[str(token)]
            problem = _report_text(source, token, f"`{token}` is not an operator.", hint)
            return problem, _retype(token, terminal, value)
        case _:
            if token == "\ufeff" and get_start(token) == 0:
                return None, None
            return _report_character(source, token), None


def _mend_unclosed(source: Source, token: Token) -> tuple[Diagnostic, Token]:
    kind, quote = {
        "UNCLOSED_BLOCK": ("BLOCK_STRING", '"""'),
        "UNCLOSED_STRING": ("STRING", '"'),
        "UNCLOSED_RAW": ("RAW_STRING", "`"),
    }[token.type]
    start = get_start(token)
    problem = Diagnostic(
        "unclosed-string",
        "error",
        f"This string is never closed: a `{quote}` is missing."
        if kind == "BLOCK_STRING"
        else "This string is not closed on its line.",
        Span(source, start, start + len(quote)) if kind == "BLOCK_STRING" else get_span(source, token),
        hint=None if kind != "STRING" else 'text over several lines stands between `"""` and `"""`',
    )
    return problem, _retype(token, kind)


def _report_text(source: Source, token: Token, message: str, hint: str) -> Diagnostic:
    return Diagnostic("bad-character", "error", message, get_span(source, token), hint=hint)


def _report_character(source: Source, token: Token) -> Diagnostic:
    shown = token if token.isprintable() else f"U+{ord(token[0]):04X}"
    return _report_text(
        source,
        token,
        f"The character `{shown}` has no meaning here.",
        "outside of strings and comments a spec is plain ASCII",
    )


def _retype(token: Token, terminal: str, value: str | None = None) -> Token:
    return Token.new_borrow_pos(terminal, str(token) if value is None else value, token)
