"""Tokens and terminals of the grammar in an author's words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from exgrpo_compiler.syntax.terminals import CLOSERS, OPENERS, PUNCTUATION, RESERVED, STRINGS
from exgrpo_compiler.syntax.tree import Token

_VALUE_START = {"NUMBER", "STRING", "LEFT_PAREN"}
_WORDS = {"WHERE": "where", "IN": "in", "OF": "of", "AS": "as", "FIELD": "field"}
_OPERATORS = frozenset({"PLUS", "MINUS", "STAR", "SLASH", "PIPE", "DOT", "RANGE"})


def describe_token(token: Token) -> str:
    """What was found, in words."""
    if token.type in STRINGS:
        return "a string"
    if token.type in RESERVED:
        return f"the reserved word `{token}`"
    if token.type == "NUMBER":
        return f"the number `{_shorten(token.text)}`"
    return f"`{_shorten(token.text)}`"


def describe_terminals(accepts: frozenset[str]) -> str:
    """What was possible, in words, most telling first."""
    is_value = accepts >= _VALUE_START
    is_after_value = "COMPARISON" in accepts or "PLUS" in accepts
    words = list(_describe_classes(accepts))
    hidden = {"SEMICOLON"} if words else set()
    if accepts & CLOSERS.keys():
        hidden |= {"DOT", *OPENERS}
    if is_value or is_after_value:
        hidden |= OPENERS.keys() | _OPERATORS
    if "FOR" in accepts:
        hidden |= {"COMMA", *OPENERS}
    if accepts >= {"COMMA", "RIGHT_PAREN"}:
        hidden |= {"COLON", "WHERE"}
    words.extend(f"`{sign}`" for terminal, sign in PUNCTUATION.items() if terminal in accepts - hidden)
    if "NAME" not in accepts:
        words.extend(f"`{word}`" for terminal, word in _WORDS.items() if terminal in accepts - hidden)
    if not words and is_after_value:
        words.append("an operator")
    return _join(words[:5], "or") if words else "nothing more"


def _describe_classes(accepts: frozenset[str]) -> Iterator[str]:
    if accepts >= _VALUE_START:
        yield "a value"
        return
    if accepts >= {"NAME", "FOR"}:
        if "COMPARISON" in accepts:
            yield "an operator"
        yield "a statement"
    elif "NAME" in accepts:
        yield "a name"
    elif accepts >= {"DATASET", "USE"}:
        if "COMPARISON" in accepts:
            yield "an operator"
        yield "a declaration"
    if "STRING" in accepts:
        yield "a string"
    elif "NUMBER" in accepts:
        yield "a number"


def _join(words: Sequence[str], conjunction: str = "and") -> str:
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {conjunction} {words[-1]}"


def _shorten(text: str, limit: int = 30) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
