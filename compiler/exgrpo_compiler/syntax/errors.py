"""Words for syntax errors. No terminal of the grammar is ever named: the words are the author's."""

from __future__ import annotations

from collections.abc import Sequence

from exgrpo_artifact.named import NamedTuple
from exgrpo_compiler.diagnostics import Diagnostic, Edit, Fix, Label, find_closest, suggest_name
from exgrpo_compiler.problems import is_one_slip, suggest_fix
from exgrpo_compiler.source import Source, Span
from exgrpo_compiler.syntax.foreign import describe_foreign, find_statement_hint
from exgrpo_compiler.syntax.terminals import (
    CLOSERS,
    KINDS,
    NAMES,
    OPENERS,
    PUNCTUATION,
    RESERVED,
    STATEMENT_WORDS,
    STRINGS,
)
from exgrpo_compiler.syntax.tokens import get_end, get_span, is_first_on_line
from exgrpo_compiler.syntax.tree import Token
from exgrpo_compiler.syntax.words import describe_terminals, describe_token

_DECLARATION_BLOCK_USE_HINT = 'the forms are `use a.b.{c}`, `use a.b as c` and `use "./file.exg".{c}`'

_DECLARATION_WORDS = ("use", *sorted(kind.lower() for kind in KINDS))
_BLOCK_WORDS = (*sorted(word.lower() for word in STATEMENT_WORDS), "user", "for", "lora", "variant", "price")
_USE_HINT = 'the forms are `use a.b.{c}`, `use a.b as c` and `use "./file.exg".{c}`'
_DECLARATION_HINT = "a declaration begins with a word such as `dataset`, `model`, `reward` or `task`"


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
    for describe in (
        _describe_end,
        _describe_foreign,
        _describe_comma,
        _describe_bracket,
        _describe_equals,
        _describe_word,
        _describe_name,
        _describe_statement,
    ):
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
    return _get_gap(failure) if token is None else get_span(failure.source, token)


def _get_gap(failure: Failure) -> Span:
    """The point after the token before the offending one."""
    previous = _get_token(failure, -1)
    end = 0 if previous is None else get_end(previous)
    return Span(failure.source, end, end)


def _is_first_on_line(failure: Failure) -> bool:
    return 0 < failure.at < len(failure.tokens) and is_first_on_line(failure.tokens, failure.at)


def _report(
    failure: Failure,
    message: str,
    hint: str | None = None,
    labels: tuple[Label, ...] = (),
    fix: Fix | None = None,
) -> Diagnostic:
    return Diagnostic("syntax-error", "error", message, _get_place(failure), labels, hint, fix)


def _report_unclosed(failure: Failure, opener: Token) -> Diagnostic:
    place = _get_gap(failure) if _is_first_on_line(failure) else _get_place(failure)
    closer = PUNCTUATION[OPENERS[opener.type]]
    label = Label(get_span(failure.source, opener), f"this `{opener}` is still open")
    return Diagnostic("unclosed-brace", "error", f"Expected `{closer}` to close `{opener}`.", place, (label,))


def _describe_end(failure: Failure) -> Diagnostic | None:
    if failure.at < len(failure.tokens) or failure.opener is None:
        return None
    return _report_unclosed(failure, failure.tokens[failure.opener])


def _describe_foreign(failure: Failure) -> Diagnostic | None:
    return describe_foreign(failure.source, failure.tokens, failure.at, failure.accepts)


def _describe_bracket(failure: Failure) -> Diagnostic | None:
    token = _get_token(failure)
    if token is None:
        return None
    opener = None if failure.opener is None else failure.tokens[failure.opener]
    if token.type in CLOSERS:
        if opener is None or (opener.type != CLOSERS[token.type] and failure.is_opener_closed):
            return Diagnostic(
                "unopened-brace", "error", f"This `{token}` closes nothing.", _get_place(failure)
            )
        if opener.type != CLOSERS[token.type] and OPENERS[opener.type] in failure.accepts:
            return _report_unclosed(failure, opener)
        return None
    is_broken_off = opener is not None and opener.type != "LEFT_BRACE" and not failure.is_opener_closed
    if is_broken_off and opener is not None and (_is_first_on_line(failure) or token.type == "LEFT_BRACE"):
        return _report_unclosed(failure, opener)
    if token.type == "LEFT_BRACKET" and "LEFT_PAREN" in failure.accepts and "NUMBER" not in failure.accepts:
        return _report(
            failure, "A value cannot be indexed with `[ ]`.", "the pipes `first` and `last` take from a list"
        )
    return None


def _describe_equals(failure: Failure) -> Diagnostic | None:
    token, previous, before = (_get_token(failure, step) for step in (0, -1, -2))
    if token is None or token.type != "EQUALS" or previous is None:
        return None
    opener = None if failure.opener is None else failure.tokens[failure.opener]
    is_next_name = previous.type in NAMES and is_first_on_line(failure.tokens, failure.at - 1)
    if before is not None and is_next_name and "COMPARISON" in failure.accepts:
        earlier = failure._replace(at=failure.at - 1)
        if opener is before and not failure.is_opener_closed:
            return _report_unclosed(earlier, opener)
        return Diagnostic(
            "syntax-error", "error", f"Expected a value after this `{before}`.", _get_gap(earlier)
        )
    if (
        opener is not None
        and opener.type == "LEFT_PAREN"
        and previous.type in NAMES
        and "COLON" in failure.accepts
    ):
        place = Span(failure.source, get_end(previous), _get_place(failure).end)
        return _report(
            failure,
            "Arguments are written `name: value`, with a colon.",
            f"write `{previous}: …`",
            fix=Fix("write `:`", (Edit(place, ":"),), is_safe=True),
        )
    if "COMPARISON" in failure.accepts:
        return _report(
            failure,
            "A value cannot be assigned inside an expression.",
            "to compare, write `==`",
            fix=Fix("write `==`", (Edit(_get_place(failure), "=="),), is_safe=True),
        )
    return None


def _describe_word(failure: Failure) -> Diagnostic | None:
    token = _get_token(failure)
    if token is None or token.type not in RESERVED:
        return None
    if token.type == "WHERE" and "COMPARISON" in failure.accepts:
        return _report(
            failure,
            "`where` has no place here: it says which values an aggregate takes.",
            "write mean(x where condition); a value of one rollout is `a if condition else b`",
        )
    if "NAME" in failure.accepts and "NUMBER" not in failure.accepts:
        return _report(failure, f"`{token}` is a reserved word and cannot be a name.", "choose another name")
    return None


def _describe_statement(failure: Failure) -> Diagnostic | None:
    token, previous, before = (_get_token(failure, step) for step in (0, -1, -2))
    if token is None:
        return None
    if token.type == "EXG" and failure.opener is None and "DATASET" in failure.accepts:
        return _report(failure, "The header stands at the top of the file, and once.")
    is_top_level = "DATASET" in failure.accepts and "NAME" not in failure.accepts and failure.opener is None
    if is_top_level and (_is_first_on_line(failure) or "COMPARISON" not in failure.accepts):
        if failure.tokens[0].type == "USE" and token.line == failure.tokens[0].line:
            return _report(failure, f"Expected `.{{` or `as`, found {describe_token(token)}.", _USE_HINT)
        following = _get_token(failure, 1)
        if following is not None and is_misspelt_header(token, following):
            fix = Fix("write `exg`", (Edit(_get_place(failure), "exg"),), is_safe=True)
            return _report(failure, f"The header is misspelt: `{token}`.", "did you mean `exg`?", fix=fix)
        hint = suggest_name(str(token), _DECLARATION_WORDS) or _DECLARATION_HINT
        return _report(
            failure,
            f"Expected a declaration, found {describe_token(token)}.",
            hint,
            fix=suggest_fix(_get_place(failure), str(token), _DECLARATION_WORDS),
        )
    if previous is None or previous.type not in NAMES or "LEFT_BRACE" not in failure.accepts:
        return None
    if failure.accepts == {"LEFT_BRACE"} and before is not None and before.type in NAMES:
        return _report_no_statement(failure, before)
    is_alone = failure.accepts >= {"EQUALS", "COLON", "NAME"} and failure.opener is not None
    return _report_no_statement(failure, previous) if is_alone else None


def is_misspelt_header(word: Token, number: Token) -> bool:
    """Whether the two begin a file but for a slip in `exg`."""
    is_meant = word.text.lower() == "exg" or is_one_slip(word.text.lower(), "exg")
    return word.type in NAMES and number.type == "NUMBER" and word.line == number.line and is_meant


def _report_no_statement(failure: Failure, word: Token) -> Diagnostic:
    place = get_span(failure.source, word)
    name = _get_token(failure, -1)
    if word.type in KINDS and name is not None and name is not word:
        end = Span(failure.source, get_end(name), get_end(name))
        message = f"Expected `{{` after `{word} {name}`."
        return Diagnostic("syntax-error", "error", message, end, hint=f"write `{word} {name} {{ … }}`")
    if str(word) in _BLOCK_WORDS:
        end = Span(failure.source, place.end, place.end)
        return Diagnostic("syntax-error", "error", f"Expected `{{` after `{word}`.", end)
    token = _get_token(failure)
    if token is not None and token.text == "==" and name is word:
        equals = Fix("write `=`", (Edit(get_span(failure.source, token), "="),), is_safe=True)
        message = f"`{word}` is given its value by `=`; `==` compares."
        return _report(failure, message, equals.title, fix=equals)
    told = _describe_leftover(failure, word)
    if told is not None:
        return told
    foreign = find_statement_hint(str(word))
    hint = foreign or suggest_name(str(word), _BLOCK_WORDS) or "a setting is written `name = value`"
    fix = None if foreign else suggest_fix(place, str(word), _BLOCK_WORDS)
    return Diagnostic("syntax-error", "error", f"`{word}` begins no statement.", place, hint=hint, fix=fix)


def _describe_leftover(failure: Failure, word: Token) -> Diagnostic | None:
    """A word that goes on with the value before it on its line, rather than begin a statement."""
    step = -1 if _get_token(failure, -1) is word else -2
    before = _get_token(failure, step - 1)
    if before is None or before.end_line != word.line:
        return None
    place = get_span(failure.source, word)
    if before.type in STRINGS and before.end == word.start:
        message = f"The string ends at the quote before `{word}`."
        hint = 'a quote inside of it is written `\\"`; between three quotes it stands as it is'
        return Diagnostic("syntax-error", "error", message, place, hint=hint)
    if before.type == "NUMBER" and find_closest(word.text, _BLOCK_WORDS) is None:
        message = f"Expected an operator between `{before}` and `{word}`."
        return Diagnostic("syntax-error", "error", message, place, hint=f"as `{before} * {word}`")
    return None


def _describe_comma(failure: Failure) -> Diagnostic | None:
    """A list without brackets: its first `,` ended nothing, and what follows it makes no sense."""
    if failure.opener is None or failure.tokens[failure.opener].type != "LEFT_BRACE":
        return None
    before = (_get_token(failure, -1), _get_token(failure, -2))
    comma = next((each for each in before if each is not None and each.type == "COMMA"), None)
    is_block = any(
        token.type == "EQUALS" for token in failure.tokens[failure.opener + 1 : failure.opener + 4]
    )
    if comma is None or not is_block:
        return None
    place = get_span(failure.source, comma)
    return Diagnostic(
        "syntax-error", "error", "A `,` has no place in a block.", place, hint="a list stands in `[ ]`"
    )


def _describe_name(failure: Failure) -> Diagnostic | None:
    previous = _get_token(failure, -1)
    if previous is None:
        return None
    if previous.type == "EXG" and failure.accepts == {"NUMBER"}:
        place = _get_gap(failure)
        return Diagnostic("syntax-error", "error", "Expected the number of the edition after `exg`.", place)
    if previous.type == "YIELDS" and "LEFT_BRACE" in failure.accepts:
        return _report(failure, "Expected `{` after `yields`.")
    if previous.type in STATEMENT_WORDS and failure.accepts >= {"NAME", "EQUALS"}:
        return _report(failure, f"Expected a name after `{previous}`.")
    return None


def _is_marked_late(failure: Failure) -> bool:
    """Whether this is the name in `field secret gold`."""
    token, mark, field = (_get_token(failure, step) for step in (0, -1, -2))
    is_name = token is not None and token.type in NAMES
    return (
        is_name and mark is not None and field is not None and (mark.type, field.type) == ("SECRET", "FIELD")
    )


def _describe_expected(failure: Failure) -> Diagnostic:
    token = _get_token(failure)
    expected = describe_terminals(failure.accepts)
    hint: str | None = None
    if "ELSE" in failure.accepts and "IF" not in failure.accepts and "COMPARISON" in failure.accepts:
        hint = "a conditional needs both branches: `a if condition else b`"
        expected = "`else`"
    elif failure.accepts == {"COLON"} and token is not None and _is_marked_late(failure):
        mark = _get_token(failure, -1)
        return _report(failure, f"`{mark}` stands before `field`.", f"write `{mark} field {token}: …`")
    elif token is not None and token.type == "LEFT_BRACKET" and {"NAME", "LEFT_BRACE"} <= failure.accepts:
        item = _get_token(failure, 1)
        shown = item if item is not None and item.type in NAMES else "text"
        return _report(failure, "A type has no `[ ]`.", f"write `list[{shown}]`")
    elif failure.accepts == {"COLON"}:
        name, word = _get_token(failure, -1), _get_token(failure, -2)
        marked = f"{word} " if word is not None and word.type in ("OPEN", "SECRET") else ""
        shown = name if name is not None and name.type in NAMES else "question"
        hint = f"a type follows the name: `{marked}{shown}: text`"
    elif failure.accepts == {"LEFT_BRACE"}:
        hint = "what belongs to it stands between `{` and `}`"
    elif failure.accepts == {"STRING"}:
        hint = "a test is named by a sentence in quotes"
    elif token is not None and token.type == "DOT":
        hint = "a number begins with a digit: `0.5`"
    if token is None:
        found = "the file ends" if failure.is_end_of_file else "the next declaration begins"
        return _report(failure, f"Expected {expected}, but {found}.", hint)
    if _is_first_on_line(failure):
        return Diagnostic(
            "syntax-error",
            "error",
            f"Expected {expected} at the end of this line.",
            _get_gap(failure),
            hint=hint,
        )
    return _report(failure, f"Expected {expected}, found {describe_token(token)}.", hint)
