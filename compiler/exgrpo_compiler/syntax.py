"""The grammar as a parser, and what its terminals are called.

The grammar of record is `grammar/exg.lark`; nothing here adds to what it accepts. It is built once, when
first needed. Its LALR(1) table has no conflict (a test builds it in debug mode and listens).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from lark import Lark, Token
from lark.parsers.lalr_analysis import Shift
from lark.parsers.lalr_interactive_parser import InteractiveParser

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
def _load_parser() -> Lark:
    return Lark(
        read_grammar(),
        parser="lalr",
        lexer="basic",
        start=["file", "expression"],
        postlex=_KeepEverything(),
        propagate_positions=True,
        maybe_placeholders=False,
    )


def lex_text(text: str) -> Iterable[Token]:
    """Every token of a text, trivia and broken ones included; never fails."""
    return _load_parser().lex(text)


def start_parser(start: Start) -> InteractiveParser:
    """A parser at the beginning of a file or an expression, to be fed token by token."""
    return _load_parser().parse_interactive(start=start)


def find_accepted(parser: InteractiveParser, states: Sequence[int]) -> frozenset[str]:
    """Terminals that a parser with this stack of states can take, found without feeding it any."""
    table = parser.parser_state.parse_conf.parse_table.states
    candidates = (terminal for terminal in table[states[-1]] if terminal.isupper() and terminal != "$END")
    return frozenset(terminal for terminal in candidates if _can_take(table, list(states), terminal))


def _can_take(table: Mapping[int, Mapping[str, tuple[Any, Any]]], states: list[int], terminal: str) -> bool:
    """Whether the reductions that a terminal causes end in its shift; LALR tables may find out late."""
    while terminal in table[states[-1]]:
        action, rule = table[states[-1]][terminal]
        if action is Shift:
            return True
        del states[len(states) - len(rule.expansion) :]
        states.append(table[states[-1]][rule.origin.name][1])
    return False
