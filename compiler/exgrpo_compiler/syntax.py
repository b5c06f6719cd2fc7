"""The grammar as a parser, and what its terminals are called.

The grammar of record is `grammar/exg.lark`; nothing here adds to what it accepts. It is built once, when
first needed. Its LALR(1) table has no conflict (a test builds it in debug mode and listens).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Literal

from lark import Lark, Token

Start = Literal["file", "expression"]

TRIVIA = frozenset({"COMMENT", "DOC"})
BROKEN = frozenset(
    {
        "UNCLOSED_BLOCK",
        "UNCLOSED_STRING",
        "UNCLOSED_RAW",
        "BAD_QUOTES",
        "BAD_COMMENT",
        "BAD_OPERATOR",
        "BAD_CHARACTER",
    }
)

KINDS = frozenset(
    {
        "CONST",
        "DATASET",
        "RULE",
        "PROBES",
        "DIALOGUE",
        "ANSWER",
        "RUBRIC",
        "REWARD",
        "MODEL",
        "TASK",
        "TEST",
        "STUDY",
    }
)
STATEMENT_WORDS = frozenset(
    {
        "SECRET",
        "FIELD",
        "SPLIT",
        "SCENARIO",
        "STAGE",
        "KEEP",
        "YIELDS",
        "OPEN",
        "ASSISTANT",
        "EXAMPLE",
        "EXPECT",
        "DROP",
    }
)
RESERVED = frozenset({"IF", "ELSE", "FOR", "IN", "WHERE", "AND", "OR", "NOT", "TRUE", "FALSE"})
NAMES = frozenset({"NAME", "EXG", "AS", "OF", "USE"}) | KINDS | STATEMENT_WORDS
STRINGS = frozenset({"STRING", "BLOCK_STRING", "RAW_STRING"})
OPENERS = {"LEFT_BRACE": "RIGHT_BRACE", "LEFT_PAREN": "RIGHT_PAREN", "LEFT_BRACKET": "RIGHT_BRACKET"}
CLOSERS = {closer: opener for opener, closer in OPENERS.items()}

PUNCTUATION = {
    "LEFT_BRACE": "{",
    "RIGHT_BRACE": "}",
    "LEFT_PAREN": "(",
    "RIGHT_PAREN": ")",
    "LEFT_BRACKET": "[",
    "RIGHT_BRACKET": "]",
    "COMMA": ",",
    "SEMICOLON": ";",
    "COLON": ":",
    "EQUALS": "=",
    "ARROW": "->",
    "RANGE": "..",
    "DOT": ".",
    "PIPE": "|",
    "PLUS": "+",
    "MINUS": "-",
    "STAR": "*",
    "SLASH": "/",
}


class _KeepEverything:
    """Keeps in the lexer the terminals that no rule mentions: trivia and broken text."""

    always_accept = tuple(sorted(TRIVIA | BROKEN))

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        """The stream as it is."""
        return stream


def read_grammar() -> str:
    """The text of the grammar of record."""
    return files(__package__).joinpath("grammar/exg.lark").read_text(encoding="utf-8")


@cache
def load_parser() -> Lark:
    """The parser of both start rules, with a lexer that never fails."""
    return Lark(
        read_grammar(),
        parser="lalr",
        lexer="basic",
        start=["file", "expression"],
        postlex=_KeepEverything(),
        propagate_positions=True,
        maybe_placeholders=False,
    )
