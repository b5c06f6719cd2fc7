"""What the terminals of the grammar are called, and which belong together.

The grammar of record is `grammar/exg.lark`; nothing here adds to what it accepts. Parsing goes by the tables
that Lark made of it, `grammar_tables`, and Lark is not loaded. A test compares the two.
"""

from __future__ import annotations

from typing import Literal

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


def read_grammar() -> str:
    """The text of the grammar of record."""
    from importlib.resources import files

    return files("exgrpo_compiler").joinpath("grammar/exg.lark").read_text(encoding="utf-8")
