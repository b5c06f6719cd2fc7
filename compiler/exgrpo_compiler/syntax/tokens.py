"""Source text to tokens for the parser; comments are set aside, broken text is reported and replaced.

A broken piece (an unclosed string, `&&`, a curly quote) is reported once, here, and stands in the stream as
what its author most likely meant, so that the parser does not report it again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from exgrpo_artifact.named import NamedTuple
from exgrpo_compiler.ast import Comment
from exgrpo_compiler.diagnostics import Diagnostic, Edit, Fix
from exgrpo_compiler.source import Source, Span
from exgrpo_compiler.syntax.lex import Scanned, scan_damaged_text
from exgrpo_compiler.syntax.terminals import BROKEN, PUNCTUATION, STRINGS
from exgrpo_compiler.syntax.tree import Token
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


_UNIT_WORDS = {
    "token": "tok",
    "tokens": "tok",
    "dollars": "usd",
    "USD": "usd",
    "seconds": "s",
    "sec": "s",
    "percent": "%",
}
"""Words for units; of a number with one of them that stands apart it is clear what is meant."""


def read_tokens(source: Source) -> Tokens:
    """Tokens, comments, documentation and broken text of a source.

    Every character of the text is in a token, in a comment, in a `///` comment, in broken text that was reported and
    left out, or is white space. `tokens`, `comments` and `docs` are each in order; what stood between two tokens is
    the text between their offsets. So the source can be written again from them, byte for byte.
    """
    return _Reader(source).read()


class _Reader:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.tokens: list[Token] = []
        self.comments: list[Comment] = []
        self.docs: dict[int, Doc] = {}
        self.pending: list[Token] = []
        """Documentation before the token to come."""
        self.problems: list[Diagnostic] = []
        self.swarm_line: int | None = None
        """Strange characters come in swarms: one report a line."""

    def read(self) -> Tokens:
        for token in _place_tokens(self.source, scan_damaged_text(self.source.text)):
            if token.type == "COMMENT":
                span = get_span(self.source, token)
                self.comments.append(Comment(token.text[2:].strip(), span))
            elif token.type == "DOC":
                self._read_doc(token)
            else:
                self._read_token(token)
        if self.pending:
            self.problems.append(report_dangling_doc(join_doc(self.source, self.pending).span))
        return Tokens(tuple(self.tokens), tuple(self.comments), self.docs, tuple(self.problems))

    def _read_doc(self, token: Token) -> None:
        if self.tokens and self.tokens[-1].end_line == token.line:
            self.problems.append(_report_trailing_doc(get_span(self.source, token)))
        else:
            self.pending.append(token)

    def _read_token(self, token: Token) -> None:
        is_unit = token.type in {"NAME", "BAD_OPERATOR"} and self._is_unit_apart(token)
        if token.type in STRINGS:
            token = self._drop_prefix(token)
        elif token.type == "NUMBER":
            token = self._mend_dollars(token)
        if token.type in BROKEN and not is_unit:
            mended = self._mend(token)
            if mended is None:
                return
            token = mended
        elif is_unit:
            number = self.tokens.pop()
            self.problems.append(_report_unit(self.source, number, token))
            text = f"{number}{_UNIT_WORDS.get(token.text, token.text)}"
            token = Token("NUMBER", text, number.start, token.end, number.line, number.column, token.end_line)
        elif token.type == "NAME" and not token.text.isascii():
            self.problems.append(_report_name(self.source, token))
        if self.pending:
            self.docs[token.start] = join_doc(self.source, self.pending)
            self.pending = []
        self.tokens.append(token)

    def _mend(self, token: Token) -> Token | None:
        problem, replacement = _mend_token(self.source, token)
        is_swarm = token.type == "BAD_CHARACTER" and token.line == self.swarm_line
        if problem is not None and not is_swarm:
            self.problems.append(problem)
        if token.type == "BAD_CHARACTER":
            self.swarm_line = token.line
        return replacement

    def _drop_prefix(self, token: Token) -> Token:
        """A string without the letter that stands before it in other languages."""
        previous = self.tokens[-1] if self.tokens else None
        if (
            previous is None
            or previous.end != token.start
            or previous.text not in ("f", "r", "b", "rf", "fr")
        ):
            return token
        self.tokens.pop()
        place = Span(self.source, previous.start, token.end)
        is_raw = previous.text == "r"
        hint = "a raw string stands in backticks" if is_raw else 'a template is `"{{ name }}"`'
        self.problems.append(Diagnostic("syntax-error", "error", "A string has no prefix.", place, hint=hint))
        return _retype(token, "RAW_STRING") if is_raw and token.type == "STRING" else token

    def _mend_dollars(self, token: Token) -> Token:
        """The amount after a `$`, with its unit."""
        last = self.problems[-1] if self.problems else None
        if (
            last is None
            or last.span.end != token.start
            or not self.source.text.startswith("$", last.span.start)
        ):
            return token
        if token.text[-1:] not in "0123456789":
            return token
        text = f"{token}usd"
        fix = Fix(
            f"write `{text}`", (Edit(Span(self.source, last.span.start, token.end), text),), is_safe=True
        )
        message = "An amount of money has its unit after it."
        self.problems[-1] = Diagnostic("bad-character", "error", message, last.span, hint=fix.title, fix=fix)
        return _retype(token, "NUMBER", text)

    def _is_unit_apart(self, token: Token) -> bool:
        """Whether a unit stands with a space after a number that has none: nothing else begins so."""
        if (
            token.text not in UNITS.keys() | _UNIT_WORDS.keys()
            or not self.tokens
            or self.tokens[-1].type != "NUMBER"
        ):
            return False
        between = self.source.text[self.tokens[-1].end : token.start]
        is_bare = not self.tokens[-1].text.endswith(tuple(UNITS))
        # A `%` between two operands is meant as the remainder.
        following = self.source.text[token.end :].lstrip(" \t")[:1]
        is_last = token.text != "%" or following in {"", "\r", "\n", ",", ";", ")", "}", "]", "/"}
        return bool(between) and not between.strip(" \t") and is_bare and is_last


def _place_tokens(source: Source, scanned: Iterable[Scanned]) -> Iterator[Token]:
    """Tokens with their lines and columns."""
    starts = source.line_starts
    line = 1
    for kind, text, start, end in scanned:
        while line < len(starts) and starts[line] <= start:
            line += 1
        first = line
        while line < len(starts) and starts[line] <= end:
            line += 1
        yield Token(kind, text, start, end, first, start - starts[first - 1] + 1, line)


def get_start(token: Token) -> int:
    """Offset of a token's first character."""
    return token.start


def get_end(token: Token) -> int:
    """Offset after a token's last character."""
    return token.end


def get_span(source: Source, token: Token) -> Span:
    """Where a token stands."""
    return Span(source, token.start, token.end)


def make_token(terminal: str, text: str, previous: Token) -> Token:
    """A token that nobody wrote, without width, right after `previous`."""
    end, line = previous.end, previous.end_line
    column = previous.column + end - previous.start  # of no use where a token runs over lines: it begins none
    return Token(terminal, text, end, end, line, column, line)


def replace_token(token: Token, terminal: str) -> Token:
    """A token as another terminal, with that terminal's text where it is a sign or a word."""
    return _retype(token, terminal, PUNCTUATION.get(terminal, terminal.lower()))


def is_first_on_line(tokens: Sequence[Token], index: int) -> bool:
    """Whether no token stands before this one on its line."""
    return index == 0 or tokens[index - 1].end_line != tokens[index].line


def leads_line(text: str, offset: int) -> bool:
    """Whether nothing but white space stands before an offset on its line."""
    at = offset
    while at > 0 and text[at - 1] in " \t\f\r":
        at -= 1
    return at == 0 or text[at - 1] == "\n"


def report_dangling_doc(span: Span) -> Diagnostic:
    """The warning for a `///` comment that documents nothing."""
    return Diagnostic(
        "dangling-doc",
        "warning",
        "This documentation comment documents nothing.",
        span,
        hint="`///` belongs on the lines before a declaration or a statement; other comments are `//`",
        fix=_build_comment_fix(span),
    )


def _report_trailing_doc(span: Span) -> Diagnostic:
    return Diagnostic(
        "dangling-doc",
        "warning",
        "A documentation comment documents what follows it, not the line that it ends.",
        span,
        hint="move it to the line before, or write `//`",
        fix=_build_comment_fix(span),
    )


def _build_comment_fix(span: Span) -> Fix:
    """Each line of a documentation comment as a plain one."""
    text = span.source.text
    starts = [span.start]
    while (at := text.find("\n", starts[-1], span.end)) >= 0:
        starts.append(text.index("///", at))
    edits = tuple(Edit(Span(span.source, start, start + 3), "//") for start in starts)
    return Fix("write `//`", edits, is_safe=True)


def join_doc(source: Source, pending: Sequence[Token]) -> Doc:
    """The documentation that stands in `///` comments, one after the other."""
    lines = [token.text[3:].removeprefix(" ").rstrip() for token in pending]
    span = get_span(source, pending[0]).to(get_span(source, pending[-1]))
    return Doc("\n".join(lines), span)


def _report_name(source: Source, token: Token) -> Diagnostic:
    place = next(index for index, char in enumerate(token.text) if not char.isascii())
    at = token.start + place
    return Diagnostic(
        "bad-character",
        "error",
        f"`{token.text[place]}` cannot stand in a name.",
        Span(source, at, at + 1),
        hint="names are written with a-z, 0-9 and `_`",
    )


def _report_unit(source: Source, number: Token, unit: Token) -> Diagnostic:
    span = get_span(source, number).to(get_span(source, unit))
    message = "A unit stands right after its number, without a space."
    text = f"{number}{_UNIT_WORDS.get(unit.text, unit.text)}"
    fix = Fix(f"write `{text}`", (Edit(span, text),), is_safe=True)
    return Diagnostic("syntax-error", "error", message, span, hint=fix.title, fix=fix)


def _mend_token(source: Source, token: Token) -> tuple[Diagnostic | None, Token | None]:
    """What is wrong with a broken token, and the token to go on with."""
    match token.type:
        case "UNCLOSED_BLOCK" | "UNCLOSED_STRING" | "UNCLOSED_RAW":
            return _mend_unclosed(source, token)
        case "BAD_QUOTES" if token.text.startswith("'''"):
            ends = [Span(source, token.start, token.start + 3)]
            if token.text.endswith("'''"):
                ends.append(Span(source, token.end - 3, token.end))
            message = "A text over several lines stands in double quotes, three at each end."
            hint = 'write `"""`'
            whole = Fix(hint, tuple(Edit(end, '"""') for end in ends), is_safe='"""' not in token.text[:-3])
            return Diagnostic("bad-character", "error", message, ends[0], hint=hint, fix=whole), _retype(
                token, "BLOCK_STRING"
            )
        case "BAD_QUOTES":
            text = token.text[1:-1]
            fix = None if '"' in text or "\\" in text else _build_quote_fix(source, token)
            message = "Strings stand in straight double quotes."
            problem = _report_text(source, token, message, 'write `"…"`', fix)
            return problem, _retype(token, "STRING")
        case "BAD_COMMENT":
            place = Span(source, token.start, token.start + 1)
            if _is_inside_brackets(source, token):
                message = "A text stands in quotes; `#` has no meaning here."
                hint = f'write `"{"#" * (len(token.text) - len(token.text.lstrip("#")))}"`'
                return Diagnostic("bad-character", "error", message, place, hint=hint), None
            message = "A comment starts with `//`, not with `#`."
            slashes = Fix("write `//`", (Edit(place, "//"),), is_safe=True)
            return Diagnostic("bad-character", "error", message, place, hint=slashes.title, fix=slashes), None
        case "BAD_OPERATOR":
            terminal, value, hint = _OPERATOR_HINTS[token.text]
            fix = _build_word_fix(get_span(source, token), value) if hint == f"write `{value}`" else None
            problem = _report_text(source, token, f"`{token}` is not an operator.", hint, fix)
            return problem, _retype(token, terminal, value)
        case _:
            if token.text == "\ufeff" and token.start == 0:
                return None, None
            return _report_character(source, token), None


def _is_inside_brackets(source: Source, token: Token) -> bool:
    """Whether a round bracket right before a token is open, and closed after it on the line: it holds an argument."""
    line_start = source.text.rfind("\n", 0, token.start) + 1
    before = source.text[line_start : token.start].rstrip()
    return before.endswith("(") and ")" in token.text


def _mend_unclosed(source: Source, token: Token) -> tuple[Diagnostic, Token]:
    kind, quote = {
        "UNCLOSED_BLOCK": ("BLOCK_STRING", '"""'),
        "UNCLOSED_STRING": ("STRING", '"'),
        "UNCLOSED_RAW": ("RAW_STRING", "`"),
    }[token.type]
    start = token.start
    problem = Diagnostic(
        "unclosed-string",
        "error",
        f"This string is never closed: a `{quote}` is missing."
        if kind == "BLOCK_STRING"
        else "This string is not closed on its line.",
        Span(source, start, start + len(quote)) if kind == "BLOCK_STRING" else get_span(source, token),
        hint=None if kind != "STRING" else _suggest_quotes(token),
    )
    return problem, _retype(token, kind)


def _suggest_quotes(token: Token) -> str:
    several = 'text over several lines stands between `"""` and `"""`'
    return (
        several
        if len(token.text) > 1
        else f"if it ends a text, the quote before that text is missing; {several}"
    )


def _build_word_fix(span: Span, word: str) -> Fix:
    """A word for an operator, with a space on the side where it would run into another word."""
    text = span.source.text
    before = " " if text[span.start - 1 : span.start].isalnum() else ""
    after = "" if text[span.end : span.end + 1].isspace() else " "
    return Fix(f"write `{word}`", (Edit(span, f"{before}{word}{after}"),), is_safe=True)


def _build_quote_fix(source: Source, token: Token) -> Fix:
    ends = (Span(source, token.start, token.start + 1), Span(source, token.end - 1, token.end))
    return Fix("write straight quotes", tuple(Edit(end, '"') for end in ends), is_safe=True)


def _report_text(source: Source, token: Token, message: str, hint: str, fix: Fix | None = None) -> Diagnostic:
    return Diagnostic("bad-character", "error", message, get_span(source, token), hint=hint, fix=fix)


def _report_character(source: Source, token: Token) -> Diagnostic:
    from exgrpo_compiler.syntax.foreign import find_character_hint

    shown = token.text if token.text.isprintable() else f"U+{ord(token.text):04X}"
    return _report_text(
        source,
        token,
        f"The character `{shown}` has no meaning here.",
        find_character_hint(token.text),
    )


def _retype(token: Token, terminal: str, value: str | None = None) -> Token:
    text = token.text if value is None else value
    return Token(terminal, text, token.start, token.end, token.line, token.column, token.end_line)
