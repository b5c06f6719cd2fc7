"""Text to every token of it, broken ones and comments included; never fails.

A block string without its closing fence would swallow the declarations after it, up to the next fence, and turn
all strings that follow inside out. Where fences do not pair up, a string that runs over the beginning of a
declaration is therefore ended before that line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from lark import Token

from exgrpo_compiler.syntax import KINDS, load_parser

_KINDS = "|".join(sorted(kind.lower() for kind in KINDS))
_DECLARATION = re.compile(rf"^(?:{_KINDS}) +(?:[a-z_]\w* *[=:({{]|[a-z_]\w* of |\")", re.MULTILINE)
"""A line that nobody writes at the margin of a prompt: a kind, a name and the sign that follows it."""


def lex_text(text: str) -> list[Token]:
    """The tokens of a text in order."""
    done: list[Token] = []
    while True:
        tokens = list(load_parser().lex(text))
        if not tokens or tokens[-1].type != "UNCLOSED_BLOCK":
            return done + tokens
        index, cut = next(_find_cuts(text, tokens), (0, 0))
        if cut == 0:
            return done + tokens
        done += [*tokens[:index], *load_parser().lex(_blank(text, tokens[index].start_pos or 0)[:cut])]
        text = _blank(text, cut)


def _find_cuts(text: str, tokens: Sequence[Token]) -> Iterator[tuple[int, int]]:
    """Index of a block string that runs over the beginning of a declaration, and the offset of that."""
    for index, token in enumerate(tokens):
        if token.type in {"BLOCK_STRING", "UNCLOSED_BLOCK"}:
            match = _DECLARATION.search(text, token.start_pos or 0, token.end_pos or 0)
            if match is not None:
                yield index, match.start()


def _blank(text: str, end: int) -> str:
    """The text with nothing but line breaks before `end`, so that what follows keeps its place."""
    return re.sub(r"[^\n]", " ", text[:end]) + text[end:]
