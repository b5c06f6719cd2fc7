"""Tokens of one piece of a file to a parse tree, whatever mistakes they hold.

At a token that has no place the parser is wound back to the innermost `{ … }` around it: a statement that was
whole is kept, a broken one is dropped, and parsing goes on at the next line that looks like a statement.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from lark import Token, Tree
from lark.exceptions import UnexpectedToken

from exgrpo_compiler.diagnostics import Diagnostic
from exgrpo_compiler.source import Source
from exgrpo_compiler.syntax import NAMES, OPENERS, STATEMENT_WORDS, Start, find_accepted, start_parser
from exgrpo_compiler.syntax_errors import Failure, describe_failure
from exgrpo_compiler.tokens import get_end, get_start, is_first_on_line, match_brackets

_AFTER_STATEMENT_START = NAMES | {"EQUALS", "COLON", "DOT", "LEFT_BRACE"}
_PARTIAL_LISTS = frozenset({"_members", "_yields"})
_BRACE_IDS = frozenset({"unclosed-brace", "unopened-brace"})
_PARTIAL_FILE = frozenset({"header", "_items"})


class ParsedPiece(NamedTuple):
    """What could be read."""

    tree: Tree[Token] | None
    """None only for an expression that could not be read at all."""
    diagnostics: tuple[Diagnostic, ...]
    lost_names: frozenset[str]


def parse_piece(
    source: Source,
    tokens: Sequence[Token],
    start: Start,
    reported: Sequence[Diagnostic],
    is_end_of_file: bool,
) -> ParsedPiece:
    """Parses tokens; `reported` is what was already found in their text."""
    return _PieceParser(source, tokens, start, reported, is_end_of_file).parse()


class _PieceParser:
    def __init__(
        self,
        source: Source,
        tokens: Sequence[Token],
        start: Start,
        reported: Sequence[Diagnostic],
        is_end_of_file: bool,
    ) -> None:
        self.source = source
        self.tokens = tokens
        self.start = start
        self.reported = reported
        self.is_end_of_file = is_end_of_file
        self.parser = start_parser(start)
        self.brackets = match_brackets(tokens)
        self.index_at = {get_start(token): index for index, token in enumerate(tokens)}
        self.diagnostics: list[Diagnostic] = []
        self.lost_names: set[str] = set()
        self.last_resume = -1
        self.has_ended_badly = False

    def parse(self) -> ParsedPiece:
        index = 0
        while index < len(self.tokens):
            states = list(self.parser.parser_state.state_stack)
            if self._begins_next_statement(index, states):
                self._report(index, states)
                index = self._recover(index)
                continue
            try:
                self.parser.feed_token(self.tokens[index])
                index += 1
            except UnexpectedToken:
                self._report(index, states)
                index = self._recover(index)
        tree = self._finish()
        return ParsedPiece(tree, tuple(self.diagnostics), frozenset(self.lost_names))

    def _finish(self) -> Tree[Token] | None:
        """Ends the piece, closing what is still open."""
        while True:
            states = list(self.parser.parser_state.state_stack)
            try:
                tree: Tree[Token] = self.parser.feed_token(Token("$END", ""))
                return tree
            except UnexpectedToken:
                if not self.has_ended_badly:
                    self._report(len(self.tokens), states)
                    self.has_ended_badly = True
                block = self._find_block()
                if block is None:
                    if self.start == "expression":
                        return None
                    self._drop_declaration()
                else:
                    self._drop_statement(block, len(self.tokens), is_whole=True)
                    self.parser.feed_token(self._make_token("RIGHT_BRACE", "}"))

    def _recover(self, index: int) -> int:
        """Index of the token to go on with."""
        block = self._find_block()
        if block is None:
            if self.start == "file":
                self._drop_declaration()
            self.has_ended_badly = True
            return len(self.tokens)
        opener = self.parser.parser_state.value_stack[block]
        first = index - 1 if self._continues_name(index) else index
        resume = self._find_resume(first, self.index_at[get_start(opener)])
        self._drop_statement(block, resume, is_whole=resume >= index)
        self.last_resume = resume
        return resume

    def _begins_next_statement(self, index: int, states: Sequence[int]) -> bool:
        """Whether a line begins like `split train` where a value is due: then the value was left out."""
        if index + 1 >= len(self.tokens) or self.tokens[index].type not in STATEMENT_WORDS:
            return False
        is_statement = is_first_on_line(self.tokens, index) and self.tokens[index + 1].type in NAMES
        return is_statement and "NUMBER" in find_accepted(self.parser, states)

    # --- where to go on

    def _continues_name(self, index: int) -> bool:
        """Whether a `=` or `:` has no place since the name before it was taken for a missing value."""
        is_sign = self.tokens[index].type in {"EQUALS", "COLON"}
        return is_sign and index > 0 and is_first_on_line(self.tokens, index - 1)

    def _find_resume(self, index: int, block: int) -> int:
        closer = self.brackets.partner.get(block)
        for at in range(index, len(self.tokens)):
            if at == closer:
                return at
            if self._find_owner(at) != block:
                continue
            if self.tokens[at].type == "SEMICOLON":
                return at
            if at != self.last_resume and is_first_on_line(self.tokens, at) and self._starts_statement(at):
                return at
        return len(self.tokens)

    def _find_owner(self, at: int) -> int | None:
        """The innermost bracket around a token, not counting those that are never closed, except blocks."""
        owner = self.brackets.enclosing[at]
        while (
            owner is not None
            and owner not in self.brackets.partner
            and self.tokens[owner].type != "LEFT_BRACE"
        ):
            owner = self.brackets.enclosing[owner]
        return owner

    def _starts_statement(self, at: int) -> bool:
        token = self.tokens[at]
        if token.type in {"FOR", "EXPECT", "EXAMPLE"}:
            return True
        following = self.tokens[at + 1].type if at + 1 < len(self.tokens) else ""
        return token.type in NAMES and following in _AFTER_STATEMENT_START

    # --- winding back

    def _find_block(self) -> int | None:
        """Position in the parser's stack of the innermost open `{` of a block or record."""
        values = self.parser.parser_state.value_stack
        for at in range(len(values) - 1, -1, -1):
            if _is_token(values[at], "LEFT_BRACE"):
                is_import = at > 0 and (_is_token(values[at - 1], "DOT") or _is_token(values[0], "USE"))
                return None if is_import else at
        return None

    def _find_opener(self) -> int | None:
        """Index of the innermost bracket that the parser has open."""
        for value in reversed(self.parser.parser_state.value_stack):
            if isinstance(value, Token) and value.type in OPENERS:
                return self.index_at.get(get_start(value))
        return None

    def _drop_statement(self, block: int, resume: int, is_whole: bool) -> None:
        """Winds back to the block at `block`, keeping the statement before if it is whole."""
        state = self.parser.parser_state
        innermost = max(at for at, value in enumerate(state.value_stack) if _is_opener(value))
        if is_whole and innermost == block and "SEMICOLON" in find_accepted(self.parser, state.state_stack):
            self.parser.feed_token(self._make_token("SEMICOLON", ";"))
        keep = block + 1
        if len(state.value_stack) > keep and _is_tree(state.value_stack[keep], _PARTIAL_LISTS):
            keep += 1
        self._unwind(keep, resume)

    def _drop_declaration(self) -> None:
        """Winds back to the declarations before, keeping the last one if it was whole."""
        if "SEMICOLON" in find_accepted(self.parser, self.parser.parser_state.state_stack):
            self.parser.feed_token(self._make_token("SEMICOLON", ";"))
        keep = 0
        for value in self.parser.parser_state.value_stack:
            if not _is_tree(value, _PARTIAL_FILE):
                break
            keep += 1
        self._unwind(keep, len(self.tokens))

    def _unwind(self, keep: int, resume: int) -> None:
        state = self.parser.parser_state
        dropped = state.value_stack[keep:]
        if dropped:
            start = _find_start(dropped)
            end = get_end(self.tokens[resume - 1]) if resume > 0 else 0
            self.lost_names.update(
                str(token)
                for token in self.tokens
                if token.type in NAMES and start is not None and start <= get_start(token) < end
            )
        del state.value_stack[keep:]
        del state.state_stack[keep + 1 :]

    def _make_token(self, terminal: str, text: str) -> Token:
        """A token that nobody wrote, at the end of the piece."""
        last = self.tokens[-1]
        end = get_end(last)
        return Token(terminal, text, end, last.end_line, last.end_column, last.end_line, last.end_column, end)

    # --- reporting

    def _report(self, index: int, states: Sequence[int]) -> None:
        if self._is_explained(index):
            return
        opener = self._find_opener()
        failure = Failure(
            self.source,
            self.tokens,
            index,
            find_accepted(self.parser, states),
            opener,
            opener is not None and opener in self.brackets.partner,
            self.is_end_of_file,
        )
        diagnostic = describe_failure(failure)
        if diagnostic.id in _BRACE_IDS and self._has_unclosed_string():
            return
        self.diagnostics.append(diagnostic)

    def _is_explained(self, index: int) -> bool:
        """Whether broken text, already reported, stands near enough before the token to be the cause."""
        if not self.tokens:
            return False
        previous = self.tokens[max(0, index - 1)]
        start = self.source.line_starts[(previous.line or 1) - 1]
        end = get_end(self.tokens[min(index, len(self.tokens) - 1)])
        return any(start <= problem.span.start <= end for problem in self.reported)

    def _has_unclosed_string(self) -> bool:
        """Whether a string ran on in this piece: then it may hold the bracket that is missed."""
        return has_unclosed_string(self.tokens, self.reported)


def has_unclosed_string(tokens: Sequence[Token], reported: Sequence[Diagnostic]) -> bool:
    """Whether a report about an unclosed string falls among the tokens."""
    ids = (problem for problem in reported if problem.id == "unclosed-string")
    return any(get_start(tokens[0]) <= problem.span.start <= get_end(tokens[-1]) for problem in ids)


def _is_token(value: object, terminal: str) -> bool:
    return isinstance(value, Token) and value.type == terminal


def _is_opener(value: object) -> bool:
    return isinstance(value, Token) and value.type in OPENERS


def _is_tree(value: object, names: frozenset[str]) -> bool:
    return isinstance(value, Tree) and str(value.data) in names


def _find_start(values: Sequence[object]) -> int | None:
    for value in values:
        if isinstance(value, Token):
            return value.start_pos
        if isinstance(value, Tree) and not value.meta.empty:
            return int(value.meta.start_pos)
    return None
