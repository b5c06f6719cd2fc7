"""The parser of templates: the subset of Jinja's grammar that a spec may use, and a word for what it may not.

Precedence is Jinja's, from the loosest: `a if c else b`, `or`, `and`, `not`, comparisons, `+ -`, `~`, `* /`, signs, then `.name`,
`["name"]` and `| filter`. Whatever is accepted here, Jinja reads the same way: `tests/compiler/test_template_syntax.py`
holds both against each other over random templates.
"""

from __future__ import annotations

from exgrpo_artifact.named import NamedTuple
from exgrpo_compiler.template.nodes import (
    Assigned,
    Branch,
    Data,
    Decided,
    Looped,
    Printed,
    Statement,
)
from exgrpo_compiler.template.tokens import Piece, TemplateError, Token, split_template
from exgrpo_compiler.template.values import Refusal, Stream, ValueParser

_MAX_DEPTH = 12
"""Blocks within blocks: a template becomes Python code at run time, which has a bound of its own."""

_WITH_BODY = ("macro", "call", "filter", "block", "with", "autoescape", "trans")
"""Jinja's other blocks that hold text up to their own `end…`."""
_OTHER = ("include", "import", "from", "extends", "do", "break", "continue", "debug")
_KNOWN = ("if", "for", "set", "raw")
_CONSTRUCT_HINT = "templates have expressions, if, for, set, filters, raw and comments"


class ParsedTemplate(NamedTuple):
    """A template's tree, and what in it templates do not have."""

    body: tuple[Statement, ...]
    refusals: tuple[Refusal, ...]


def parse_template(text: str) -> ParsedTemplate:
    """The tree of a template.

    Raises:
        TemplateError: it is malformed.
    """
    parser = _Parser(split_template(text), len(text))
    body = parser.read_body((), None, 0)
    return ParsedTemplate(tuple(body), tuple(parser.refusals))


class _Parser:
    """Reads statements. `at` is the piece to be read next."""

    def __init__(self, pieces: list[Piece], length: int) -> None:
        self.pieces = pieces
        self.length = length
        self.at = 0
        self.refusals: list[Refusal] = []

    def read_body(self, ends: tuple[str, ...], opened: Piece | None, depth: int) -> list[Statement]:
        """Statements up to a block that begins with one of `ends`, which is not taken; `opened` began the body."""
        if depth > _MAX_DEPTH and opened is not None:
            raise TemplateError(opened.start, 2, f"blocks nest more than {_MAX_DEPTH} deep")
        body: list[Statement] = []
        while self.at < len(self.pieces):
            piece = self.pieces[self.at]
            if piece.kind == "block" and piece.tokens[0].text in ends:
                return body
            self.at += 1
            if piece.kind == "data":
                body.append(Data(piece.start, piece.end))
            elif piece.kind == "print":
                body.append(self._read_print(piece))
            else:
                statement = self._read_block(piece, depth)
                if statement is not None:
                    body.append(statement)
        if opened is not None:
            word = opened.tokens[0].text
            raise TemplateError(
                opened.start,
                opened.end - opened.start,
                f"`{word}` is never ended: `{{% {ends[-1]} %}}` is missing",
            )
        return body

    def _read_print(self, piece: Piece) -> Printed:
        parser = self._start(piece, 0)
        value = parser.read_tuple()
        parser.stream.finish()
        return Printed(value, piece.start, piece.end)

    def _start(self, piece: Piece, skipped: int) -> ValueParser:
        return ValueParser(Stream(piece.tokens, skipped), self.refusals)

    def _read_block(self, piece: Piece, depth: int) -> Statement | None:
        word = piece.tokens[0]
        if word.kind == "end":
            raise TemplateError(word.start, word.end - word.start, "a statement is due between `{%` and `%}`")
        if word.text == "if":
            return self._read_if(piece, depth)
        if word.text == "for":
            return self._read_for(piece, depth)
        if word.text == "set":
            return self._read_set(piece)
        if word.text in _WITH_BODY:
            self._skip_block(word.text)
        elif word.text not in _OTHER:
            raise _report_unknown(word)
        self.refusals.append(
            Refusal(word.start, word.end - word.start, f"Templates have no `{word.text}`.", _CONSTRUCT_HINT)
        )
        return None

    def _skip_block(self, word: str) -> None:
        depth = 1
        for index in range(self.at, len(self.pieces)):
            piece = self.pieces[index]
            first = piece.tokens[0].text if piece.kind == "block" else ""
            depth += (first == word) - (first == f"end{word}")
            if depth == 0:
                self.at = index + 1
                return

    def _read_if(self, piece: Piece, depth: int) -> Decided:
        branches: list[Branch] = []
        head = piece
        while True:
            parser = self._start(head, 1)
            test = parser.read_tuple(takes_condition=False)
            parser.stream.finish()
            body = self.read_body(("elif", "else", "endif"), piece, depth + 1)
            branches.append(Branch(test, tuple(body)))
            head = self._take()
            if head.tokens[0].text != "elif":
                break
        otherwise: tuple[Statement, ...] | None = None
        if head.tokens[0].text == "else":
            self._start(head, 1).stream.finish()
            otherwise = tuple(self.read_body(("endif",), piece, depth + 1))
            head = self._take()
        self._start(head, 1).stream.finish()
        return Decided(tuple(branches), otherwise, piece.start, head.end)

    def _read_for(self, piece: Piece, depth: int) -> Looped:
        parser = self._start(piece, 1)
        stream = parser.stream
        name = stream.take_target("for")
        stream.take_word("in")
        items = parser.read_tuple(takes_condition=False)
        test = None
        if stream.skip("if"):
            test = parser.read_value()
        recursive = stream.peek()
        if recursive.text == "recursive" and recursive.kind == "name":
            stream.next()
            length = recursive.end - recursive.start
            self.refusals.append(
                Refusal(recursive.start, length, "A template's loop is not recursive.", None)
            )
        stream.finish()
        body = self.read_body(("else", "endfor"), piece, depth + 1)
        head = self._take()
        otherwise: list[Statement] = []
        if head.tokens[0].text == "else":
            self._start(head, 1).stream.finish()
            otherwise = self.read_body(("endfor",), piece, depth + 1)
            head = self._take()
        self._start(head, 1).stream.finish()
        return Looped(
            name.text, name.start, items, test, tuple(body), tuple(otherwise), piece.start, head.end
        )

    def _read_set(self, piece: Piece) -> Assigned | None:
        parser = self._start(piece, 1)
        name = parser.stream.take_target("set")
        if parser.stream.peek().kind == "end":
            word = piece.tokens[0]
            self._skip_block("set")
            message = "Templates have no `set … endset`; `set` gives a value to a name: {% set x = y %}."
            self.refusals.append(Refusal(word.start, name.end - word.start, message, None))
            return None
        parser.stream.take_word("=")
        value = parser.read_tuple()
        parser.stream.finish()
        return Assigned(name.text, name.start, value, piece.start, piece.end)

    def _take(self) -> Piece:
        self.at += 1
        return self.pieces[self.at - 1]


def _report_unknown(token: Token) -> TemplateError:
    word, length = token.text, token.end - token.start
    if word in ("elif", "else") or word.startswith("end"):
        return TemplateError(token.start, length, f"there is nothing open that `{word}` could belong to")
    from exgrpo_compiler.diagnostics import suggest_name

    hint = suggest_name(word, _KNOWN) or _CONSTRUCT_HINT
    return TemplateError(token.start, length, f"there is no statement `{word}`", hint)
