r"""A template's text in pieces: what stands as it is, what is printed, what is decided.

The words of Jinja 3.1's default syntax, whitespace control and `raw` included, each with its offsets in the text; comments
are gone. Python and Jinja itself are not needed to read a template: its names must be shown at their exact place, and a
`check` has no time to import a template engine.
"""

from __future__ import annotations

import re
from typing import Literal

from exgrpo_artifact.record import Record

_OPEN = re.compile(r"\{([{%#])([-+]?)")
_RAW = re.compile(r"\s*raw\s*(-?)%\}")
_END_RAW = re.compile(r"\{%([-+]?)\s*endraw\s*([-+]?)%\}")
_END_COMMENT = re.compile(r"([-+]?)#\}")
_ENDS = {"{": re.compile(r"(-?)\}\}"), "%": re.compile(r"([-+]?)%\}")}
_TOKEN = re.compile(
    r"(?P<space>\s+)"
    r"|(?P<float>(?<!\.)(?:\d+_)*\d+(?:(?:\.(?:\d+_)*\d+)?[eE][+-]?(?:\d+_)*\d+|\.(?:\d+_)*\d+))"
    r"|(?P<int>0[bB](?:_?[01])+|0[oO](?:_?[0-7])+|0[xX](?:_?[0-9a-fA-F])+|[1-9](?:_?\d)*|0(?:_?0)*)"
    r"|(?P<name>\w+)"
    r"|(?P<string>'[^'\\]*(?:\\.[^'\\]*)*'|\"[^\"\\]*(?:\\.[^\"\\]*)*\")"
    r"|(?P<sign>//|\*\*|==|!=|>=|<=|[-+/*%~\[\](){}><=.:|,;])",
    re.DOTALL,
)
_CLOSING = {"(": ")", "[": "]", "{": "}"}

Kind = Literal["name", "int", "float", "string", "sign", "end"]


class TemplateError(Exception):
    """A template that cannot be read; `message` continues "this template is malformed: "."""

    def __init__(self, at: int, length: int, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint
        self.at = at
        self.length = length
        self.message = message


class Token(Record, guarded=False):
    """A word of an expression or a statement; `end` tokens are the closing `}}` or `%}`."""

    kind: Kind
    text: str
    start: int
    end: int


class Piece(Record, guarded=False):
    """`data` is plain text, after whitespace control; `print` and `block` have tokens, the last one an `end`."""

    kind: Literal["data", "print", "block"]
    text: str
    tokens: tuple[Token, ...]
    start: int
    end: int


def split_template(text: str) -> list[Piece]:
    """The pieces of a template in order.

    Raises:
        TemplateError: a tag, a comment or `raw` is never closed, or there is a character that no expression has.
    """
    pieces: list[Piece] = []
    at, is_stripped = 0, False
    while True:
        opening = _OPEN.search(text, at)
        stop = opening.start() if opening else len(text)
        _add_data(pieces, text, at, stop, is_stripped, opening is not None and opening[2] == "-")
        if opening is None:
            return pieces
        if opening[1] == "#":
            closing = _END_COMMENT.search(text, opening.end())
            if closing is None:
                raise TemplateError(stop, 2, "`{#` begins a comment, and no `#}` ends it")
            at, is_stripped = closing.end(), closing[1] == "-"
            continue
        raw = _RAW.match(text, opening.end()) if opening[1] == "%" else None
        if raw is not None:
            closing = _END_RAW.search(text, raw.end())
            if closing is None:
                raise TemplateError(stop, raw.end() - stop, "`raw` is never ended: `{% endraw %}` is missing")
            _add_data(pieces, text, raw.end(), closing.start(), raw[1] == "-", closing[1] == "-")
            at, is_stripped = closing.end(), closing[2] == "-"
            continue
        tokens = _read_tokens(text, opening)
        kind: Literal["print", "block"] = "print" if opening[1] == "{" else "block"
        at, is_stripped = tokens[-1].end, tokens[-1].text.startswith("-")
        pieces.append(Piece(kind, "", tokens, stop, at))


def _add_data(
    pieces: list[Piece], text: str, start: int, stop: int, is_left_stripped: bool, is_right_stripped: bool
) -> None:
    data = text[start:stop]
    if is_left_stripped:
        data = data.lstrip()
    if is_right_stripped:
        data = data.rstrip()
    if data:
        pieces.append(Piece("data", data, (), start, stop))


def _read_tokens(text: str, opening: re.Match[str]) -> tuple[Token, ...]:
    tokens: list[Token] = []
    due: list[str] = []
    end, at = _ENDS[opening[1]], opening.end()
    while True:
        closing = end.match(text, at) if not due else None
        if closing is not None:
            return (*tokens, Token("end", closing[0], at, closing.end()))
        found = _TOKEN.match(text, at)
        if found is None:
            raise _describe_stop(text, at, opening)
        kind, at = found.lastgroup, found.end()
        if kind == "space":
            continue
        sign = found[0]
        if kind == "sign":
            _balance(sign, due, found.start(), "}}" if opening[1] == "{" else "%}")
        if kind == "name" and not sign.isidentifier():
            raise TemplateError(found.start(), len(sign), f"`{sign}` is no name")
        tokens.append(Token(kind, sign, found.start(), at))  # type: ignore[arg-type]


def _balance(sign: str, due: list[str], at: int, closing: str) -> None:
    if sign in _CLOSING:
        due.append(_CLOSING[sign])
    elif sign in (")", "]", "}"):
        if not due and sign == "}":
            raise TemplateError(at, 1, f"`{closing}` is due here, not `}}`")
        if not due:
            raise TemplateError(at, 1, f"`{sign}` closes nothing here")
        expected = due.pop()
        if expected != sign:
            raise TemplateError(at, 1, f"`{expected}` is due here, not `{sign}`")


def _describe_stop(text: str, at: int, opening: re.Match[str]) -> TemplateError:
    closing = "}}" if opening[1] == "{" else "%}"
    if at >= len(text):
        return TemplateError(
            opening.start(), 2, f"`{opening[0][:2]}` is never closed: `{closing}` is missing"
        )
    if text[at] in "'\"":
        return TemplateError(at, 1, "this quote is never closed")
    return TemplateError(at, 1, f"`{text[at]}` is no part of an expression")
