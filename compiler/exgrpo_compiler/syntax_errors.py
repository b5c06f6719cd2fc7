"""Words for syntax errors. No terminal of the grammar is ever named; what was expected is said in the author's terms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from lark import Token

from exgrpo_compiler.diagnostics import Diagnostic, Label, suggest_name
from exgrpo_compiler.source import Source, Span
from exgrpo_compiler.syntax import (
    CLOSERS,
    KINDS,
    NAMES,
    OPENERS,
    PUNCTUATION,
    RESERVED,
    STATEMENT_WORDS,
    STRINGS,
)
from exgrpo_compiler.tokens import get_end, get_span, is_first_on_line

_DECLARATION_WORDS = ("use", *sorted(kind.lower() for kind in KINDS))
_BLOCK_WORDS = (*sorted(word.lower() for word in STATEMENT_WORDS), "user", "for", "lora", "variant", "price")
_VALUE_START = {"NUMBER", "STRING", "NOT", "LEFT_PAREN"}
_WORDS = {"WHERE": "where", "ELSE": "else", "IN": "in", "OF": "of", "AS": "as", "FIELD": "field"}


class Failure(NamedTuple):
    """A token that the grammar has no place for."""

    source: Source
    tokens: Sequence[Token]
    """The tokens of the piece that is being parsed."""
    at: int
    """The offending token; one past the last means the end."""
    accepts: frozenset[str]
    """Terminals that had been possible."""
    opener: int | None
    """The innermost bracket open at this point."""
    is_opener_closed: bool
    is_end_of_file: bool
    """Whether the piece ends with the file."""


def describe_failure(failure: Failure) -> Diagnostic:
    """The most specific report for a failure."""
    for describe in (_describe_end, _describe_bracket, _describe_equals, _describe_word, _describe_statement):
        diagnostic = describe(failure)
        if diagnostic is not None:
            return diagnostic
    return _describe_expected(failure)


def _get_token(failure: Failure, step: int = 0) -> Token | None:
    index = failure.at + step
    return failure.tokens[index] if 0 <= index < len(failure.tokens) else None


def _get_place(failure: Failure) -> Span:
    """The offending token, or the point after the last one."""
    token = _get_token(failure)
    if token is not None:
        return get_span(failure.source, token)
    end = get_end(failure.tokens[-1]) if failure.tokens else 0
    return Span(failure.source, end, end)


def _report(
    failure: Failure, message: str, hint: str | None = None, labels: tuple[Label, ...] = ()
) -> Diagnostic:
    return Diagnostic("syntax-error", "error", message, _get_place(failure), labels, hint)


def _report_unclosed(failure: Failure, opener: Token, place: Span) -> Diagnostic:
    closer = PUNCTUATION[OPENERS[opener.type]]
    label = Label(get_span(failure.source, opener), f"this `{opener}` is still open")
    return Diagnostic("unclosed-brace", "error", f"expected `{closer}` to close `{opener}`", place, (label,))


def _describe_end(failure: Failure) -> Diagnostic | None:
    if failure.at < len(failure.tokens) or failure.opener is None:
        return None
    return _report_unclosed(failure, failure.tokens[failure.opener], _get_place(failure))


def _describe_bracket(failure: Failure) -> Diagnostic | None:
    token = _get_token(failure)
    if token is None:
        return None
    opener = None if failure.opener is None else failure.tokens[failure.opener]
    if token.type in CLOSERS:
        if opener is None:
            return _report(failure, f"this `{token}` closes nothing")
        if opener.type != CLOSERS[token.type] and OPENERS[opener.type] in failure.accepts:
            return _report_unclosed(failure, opener, _get_place(failure))
        return None
    is_broken_off = opener is not None and opener.type != "LEFT_BRACE" and not failure.is_opener_closed
    if is_broken_off and opener is not None and is_first_on_line(failure.tokens, failure.at):
        return _report_unclosed(failure, opener, _get_place(failure))
    if token.type == "LEFT_BRACKET" and "LEFT_PAREN" in failure.accepts and "NUMBER" not in failure.accepts:
        return _report(
            failure, "a value cannot be indexed with `[ ]`", "the pipes `first` and `last` take from a list"
        )
    return None


def _describe_equals(failure: Failure) -> Diagnostic | None:
    token, previous, before = (_get_token(failure, step) for step in (0, -1, -2))
    if token is None or token.type != "EQUALS" or previous is None:
        return None
    opener = None if failure.opener is None else failure.tokens[failure.opener]
    if before is not None and before.type == "EQUALS" and is_first_on_line(failure.tokens, failure.at - 1):
        place = Span(failure.source, get_end(before), get_end(before))
        return Diagnostic("syntax-error", "error", "expected a value after this `=`", place)
    if (
        opener is not None
        and opener.type == "LEFT_PAREN"
        and previous.type in NAMES
        and "COLON" in failure.accepts
    ):
        return _report(failure, "arguments are written `name: value`, with a colon", f"write `{previous}: …`")
    if "COMPARISON" in failure.accepts:
        return _report(failure, "a value cannot be assigned inside an expression", "to compare, write `==`")
    return None


def _describe_word(failure: Failure) -> Diagnostic | None:
    token = _get_token(failure)
    if token is None or token.type not in RESERVED:
        return None
    if "NAME" in failure.accepts and "NUMBER" not in failure.accepts:
        return _report(failure, f"`{token}` is a reserved word and cannot be a name")
    return None


def _describe_statement(failure: Failure) -> Diagnostic | None:
    token, previous = _get_token(failure), _get_token(failure, -1)
    if token is None:
        return None
    if "DATASET" in failure.accepts and "NAME" not in failure.accepts and failure.opener is None:
        hint = suggest_name(str(token), _DECLARATION_WORDS)
        hint = hint or "a declaration begins with one of " + _join(
            [f"`{word}`" for word in _DECLARATION_WORDS]
        )
        return _report(failure, f"expected a declaration, found {describe_token(token)}", hint)
    is_after_words = previous is not None and previous.type in NAMES and "LEFT_BRACE" in failure.accepts
    if is_after_words and failure.accepts <= {"LEFT_BRACE"}:
        first = _get_token(failure, -2)
        hint = suggest_name(str(first), _BLOCK_WORDS) if first is not None else None
        if first is not None and hint is not None:
            span = get_span(failure.source, first)
            return Diagnostic("syntax-error", "error", f"`{first}` begins no statement", span, hint=hint)
    return None


def _describe_expected(failure: Failure) -> Diagnostic:
    token = _get_token(failure)
    if token is None:
        where = "the end of the file" if failure.is_end_of_file else "the next declaration"
        found = where
    else:
        found = describe_token(token)
    expected = describe_terminals(failure.accepts)
    hint: str | None = None
    if "ELSE" in failure.accepts and "IF" not in failure.accepts and "COMPARISON" in failure.accepts:
        hint = "a conditional needs both branches: `a if condition else b`"
        expected = "`else`"
    return _report(failure, f"expected {expected}, found {found}", hint)


def describe_token(token: Token) -> str:
    """What was found, in words."""
    if token.type in STRINGS:
        return "a string"
    if token.type in RESERVED:
        return f"the reserved word `{token}`"
    if token.type == "NUMBER":
        return f"the number `{_shorten(token)}`"
    return f"`{_shorten(token)}`"


def describe_terminals(accepts: frozenset[str]) -> str:
    """What was possible, in words, most telling first."""
    words: list[str] = []
    if accepts >= _VALUE_START:
        words.append("a value")
    elif accepts >= {"NAME", "FOR"}:
        words.append("a statement")
    elif "NAME" in accepts:
        words.append("a name")
    elif accepts >= {"DATASET", "USE"}:
        words.append("a declaration")
    elif "STRING" in accepts:
        words.append("a string")
    elif "NUMBER" in accepts:
        words.append("a number")
    if "NAME" in accepts and "STRING" in accepts and not accepts >= _VALUE_START:
        words.append("a string")
    is_after_value = "COMPARISON" in accepts or "PLUS" in accepts
    for terminal, sign in PUNCTUATION.items():
        is_operator = terminal in {"PLUS", "MINUS", "STAR", "SLASH", "PIPE", "DOT", "RANGE"}
        is_value = terminal in OPENERS and ("a value" in words or is_after_value)
        is_separator = terminal == "SEMICOLON" and len(words) > 0
        if terminal in accepts and not is_value and not is_separator and not (is_operator and is_after_value):
            words.append(f"`{sign}`")
    if "NAME" not in accepts:
        words.extend(
            f"`{word}`" for terminal, word in _WORDS.items() if terminal in accepts and terminal != "ELSE"
        )
    if not words and is_after_value:
        words.append("an operator")
    return _join(words[:5], "or") if words else "nothing more"


def _join(words: Sequence[str], conjunction: str = "and") -> str:
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {conjunction} {words[-1]}"


def _shorten(text: str, limit: int = 30) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
