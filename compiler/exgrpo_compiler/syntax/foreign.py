"""What authors bring from other languages: recognized where it stands, with how it is written here."""

from __future__ import annotations

from collections.abc import Sequence

from exgrpo_compiler.diagnostics import Diagnostic, find_closest
from exgrpo_compiler.source import Source, Span
from exgrpo_compiler.syntax.terminals import NAMES, STATEMENT_WORDS, STRINGS
from exgrpo_compiler.syntax.tokens import is_first_on_line
from exgrpo_compiler.syntax.tree import Token

_DECLARATIONS = {
    "def": "there are no functions to define; a reward's terms are statements, `name = value`",
    "function": "there are no functions to define; a reward's terms are statements, `name = value`",
    "class": "a declaration begins with its kind, as `dataset rows { … }`",
    "let": "write `const`",
    "var": "write `const`",
    "import": "write `use a.b.{c}`",
    "from": "write `use a.b.{c}`",
    "include": 'write `use "./file.exg".{c}`',
}
_STATEMENTS = {
    "return": "the value of a reward is the statement `total = …`",
    "print": "nothing is printed; `exgrpo preview` shows what a spec makes of a row",
    "while": "the only loop is `for probe in …`, in a dialogue",
    "let": "write `name = value` alone",
}
_TEXT_STATEMENTS = ("example",)
"""Words of statements in which a text follows at once."""
_INFIX = {
    "is": "write `==`",
    "elif": "conditions are chained: `a if x else b if y else c`",
    "then": "a conditional is `a if condition else b`",
    "mod": "the remainder is `mod(a, b)`",
    "xor": "write `a != b`",
}
_CHARACTERS = {
    "?": "a conditional is `a if condition else b`",
    "$": "a name stands as it is; in a template `{{ name }}`",
    "@": "a declaration or statement has no decorators; settings are statements of their own",
    "~": "write `not`",
    "\\": "lines may be broken anywhere, without a sign",
    "\u2212": "write `-`",
    "\u2013": "write `-`",
    "\u2014": "write `-`",
    "\u00d7": "write `*`",
    "\u00f7": "write `/`",
    "\u2264": "write `<=`",
    "\u2265": "write `>=`",
    "\u2260": "write `!=`",
    "\u2192": "write `->`",
    "\u2026": "write `..`",
    "\u00a0": "write a plain space",
    "\u200b": "remove it: it is invisible",
}


def find_character_hint(character: str) -> str:
    """How a character that has no meaning is written here."""
    return _CHARACTERS.get(character, "outside of strings and comments a spec is plain ASCII")


def find_statement_hint(word: str) -> str | None:
    """How what a word of another language begins is written here, inside of a block."""
    return _STATEMENTS.get(word)


def describe_foreign(
    source: Source, tokens: Sequence[Token], at: int, accepts: frozenset[str]
) -> Diagnostic | None:
    """The report for something that another language would have a place for, at the token `at`."""
    if at >= len(tokens):
        return None
    token = tokens[at]
    previous = tokens[at - 1] if at > 0 else None
    following = tokens[at + 1] if at + 1 < len(tokens) else None
    found = (
        _describe_range(tokens, at)
        or _describe_python_if(tokens, at, accepts)
        or _describe_import(tokens, at, accepts)
        or _describe_pair(token, previous, following, accepts)
        or _describe_first(token, previous, tokens, at, accepts)
        or _describe_inner(token, previous, following, accepts)
    )
    if found is None:
        return None
    message, hint, first, last = found
    return Diagnostic("syntax-error", "error", message, Span(source, first.start, last.end), hint=hint)


_Found = tuple[str, str, Token, Token]


def _describe_range(tokens: Sequence[Token], at: int) -> _Found | None:
    """`-> 0,1.5` or `-> [0, 1.5]`."""
    bounds = find_foreign_range(tokens, at)
    if bounds is None:
        return None
    low, high = (tokens[place] for place in bounds)
    return f"A range is written `{low}..{high}`.", f"write `-> {low}..{high}`", low, high


_BRACKETED_RANGES = (
    ["LEFT_BRACKET", "NUMBER", "COMMA", "NUMBER", "RIGHT_BRACKET"],
    ["LEFT_PAREN", "NUMBER", "COMMA", "NUMBER", "RIGHT_PAREN"],
)


def find_foreign_range(tokens: Sequence[Token], at: int) -> tuple[int, int] | None:
    """The two numbers after an arrow that stand around the token `at` in another notation."""
    before, after = (
        [token.type for token in tokens[max(0, at - 2) : at]],
        [token.type for token in tokens[at : at + 5]],
    )
    if before == ["ARROW", "NUMBER"] and after[:2] == ["COMMA", "NUMBER"]:
        return at - 1, at + 1
    if before[-1:] == ["ARROW"] and after in _BRACKETED_RANGES:
        return at + 1, at + 3
    return None


def _describe_python_if(tokens: Sequence[Token], at: int, accepts: frozenset[str]) -> _Found | None:
    """`if a > b:` as a statement, where a conditional has its condition in the middle."""
    if tokens[at].type != "COLON" or "ELSE" not in accepts:
        return None
    word = next(
        (token for token in reversed(tokens[:at]) if token.type == "IF" and token.line == tokens[at].line),
        None,
    )
    if word is None or not is_first_on_line(
        tokens, next(i for i, token in enumerate(tokens) if token is word)
    ):
        return None
    hint = "a value depends on a condition as in `total = a if condition else b`"
    return "There is no `if` statement.", hint, word, tokens[at]


def _describe_import(tokens: Sequence[Token], at: int, accepts: frozenset[str]) -> _Found | None:
    """`from a.b import c, d`, with the names that stand there."""
    if tokens[at].text != "from" or "DATASET" not in accepts or not is_first_on_line(tokens, at):
        return None
    words = [token for token in tokens[at + 1 :] if token.line == tokens[at].line]
    split = next((place for place, word in enumerate(words) if word.text == "import"), len(words))
    module = "".join(word.text for word in words[:split])
    names = ", ".join(word.text for word in words[split + 1 :] if word.type in NAMES)
    if not module or not names:
        return None
    return "`from` begins no declaration.", f"write `use {module}.{{{names}}}`", tokens[at], tokens[at]


def _describe_pair(
    token: Token, previous: Token | None, following: Token | None, accepts: frozenset[str]
) -> _Found | None:
    """Two signs that are one in other languages."""
    if previous is not None and previous.end == token.start and f"{previous}{token}" == "<>":
        return "`<>` is not an operator.", "write `!=`", previous, token
    if following is None or token.end != following.start:
        return None
    pair = f"{token}{following}"
    if pair in ("+=", "-=", "*=", "/=") and "EQUALS" in accepts:
        return f"`{pair}` is not an operator.", "a name is given its value once, by `=`", token, following
    if pair in ("/*", "*/"):
        return (
            "A comment starts with `//` and ends with its line.",
            "write `//` on every line",
            token,
            following,
        )
    if pair in ("++", "--") and "NUMBER" not in accepts:
        return f"`{pair}` is not an operator.", "a name is given its value once, by `=`", token, following
    return None


def _describe_first(
    token: Token, previous: Token | None, tokens: Sequence[Token], at: int, accepts: frozenset[str]
) -> _Found | None:
    """A word that begins a line."""
    is_first = is_first_on_line(tokens, at)
    if token.type == "IF" and is_first and "NAME" in accepts and "NUMBER" not in accepts:
        hint = "a value depends on a condition as in `total = a if condition else b`"
        return "There is no `if` statement.", hint, token, token
    if token.text in _DECLARATIONS and "DATASET" in accepts and is_first:
        return f"`{token}` begins no declaration.", _DECLARATIONS[token.text], token, token
    is_statement = {"EQUALS", "COLON"} <= accepts and not accepts & {"NUMBER", "COMPARISON"}
    if previous is not None and is_statement and is_first_on_line(tokens, at - 1):
        if previous.text in _STATEMENTS:
            return f"`{previous}` begins no statement.", _STATEMENTS[previous.text], previous, previous
        if token.type in STRINGS | {"NUMBER"} and previous.type in NAMES - STATEMENT_WORDS and not is_first:
            if find_closest(previous.text, _TEXT_STATEMENTS) is not None:
                return None  # a statement's word, misspelt
            return f"Expected `=` after `{previous}`.", f"write `{previous} = …`", token, token
    return None


def _describe_inner(
    token: Token, previous: Token | None, following: Token | None, accepts: frozenset[str]
) -> _Found | None:
    """Something inside of an expression."""
    if token.text in _INFIX and "COMPARISON" in accepts:
        return f"`{token}` is not an operator.", _INFIX[token.text], token, token
    if token.type in ("IN", "NOT") and "COMPARISON" in accepts:
        hint = "compare with each: `a == b or a == c`"
        last = (
            following if token.type == "NOT" and following is not None and following.type == "IN" else token
        )
        shown = "not in" if last is not token else token.text
        return f"`{shown}` is not an operator.", hint, token, last
    if previous is None:
        return None
    if token.type == "COLON" and previous.type in ("ELSE", "IF"):
        hint = "a value depends on a condition as in `total = a if condition else b`"
        return f"No `:` follows `{previous}`.", hint, token, token
    is_tight = previous.end == token.start
    if token.type in STRINGS and is_tight and previous.text in ("f", "r", "b"):
        message = "A string has no prefix."
        return message, 'a template is `"{{ name }}"`, a raw string stands in backticks', previous, token
    is_decimal = token.type == "COMMA" and is_tight and previous.type == "NUMBER" and "COMMA" not in accepts
    if is_decimal and following is not None and following.type == "NUMBER" and following.start == token.end:
        return "The decimal sign is a point.", f"write `{previous}.{following}`", token, token
    if token.type == "STRING" and following is not None and following.type == "COLON" and "NAME" in accepts:
        return "The keys of a record are names, without quotes.", "write `name: value`", token, token
    is_item = accepts >= {"COMMA", "RIGHT_BRACKET"} and "NUMBER" not in accepts
    if is_item and token.type in NAMES | STRINGS | {"NUMBER"} and previous.end_line == token.line:
        message = f"Expected `,` between the items of a list, found {_show(token)}."
        return (
            message,
            f"write `{previous if len(previous.text) < 20 else '…'}, {_show_short(token)}`",
            token,
            token,
        )
    return None


def _show(token: Token) -> str:
    return "a string" if token.type in STRINGS else f"`{_show_short(token)}`"


def _show_short(token: Token) -> str:
    return token.text if len(token.text) < 20 else "…"
