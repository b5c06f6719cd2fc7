"""Tokens of one piece of a file to a parse tree, whatever mistakes they hold.

At a token that has no place the parser is wound back to the innermost `{ … }` around it: a statement that
was whole is kept, a broken one is dropped, and parsing goes on at the next line that looks like a statement of
that block.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any, NamedTuple

from lark import Token, Tree
from lark.exceptions import UnexpectedToken

from exgrpo_compiler.diagnostics import Diagnostic
from exgrpo_compiler.source import Source
from exgrpo_compiler.syntax import NAMES, OPENERS, Start, start_parser
from exgrpo_compiler.syntax_errors import Failure, describe_failure
from exgrpo_compiler.tokens import get_end, get_start, is_first_on_line, match_brackets

_AFTER_STATEMENT_START = NAMES | {"EQUALS", "COLON", "DOT", "LEFT_BRACE"}
_PARTIAL_LISTS = frozenset({"_members", "_yields"})
_PARTIAL_FILE = frozenset({"header", "_items"})


class ParsedPiece(NamedTuple):
    """What could be read."""

    tree: Tree[Token] | None
    """None only for an expression that could not be read at all."""
    diagnostics: tuple[Diagnostic, ...]
    lost_names: frozenset[str]


def parse_piece(
    source: Source, tokens: Sequence[Token], start: Start, broken: Sequence[int], is_end_of_file: bool
) -> ParsedPiece:
    """Parses tokens; `broken` are the offsets of text that was already reported by the lexer."""
    return _PieceParser(source, tokens, start, broken, is_end_of_file).parse()


class _PieceParser:
    def __init__(
        self,
        source: Source,
        tokens: Sequence[Token],
        start: Start,
        broken: Sequence[int],
        is_end_of_file: bool,
    ) -> None:
        self.source = source
        self.tokens = tokens
        self.start = start
        self.broken = broken
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
                    self._drop_statement(block, len(self.tokens))
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
        resume = self._find_resume(index, self.index_at[get_start(opener)])
        self._drop_statement(block, resume)
        self.last_resume = resume
        return resume

    # --- where to go on

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
                return None if at > 0 and _is_token(values[at - 1], "DOT") else at
        return None

    def _find_opener(self) -> int | None:
        """Index of the innermost bracket that the parser has open."""
        for value in reversed(self.parser.parser_state.value_stack):
            if isinstance(value, Token) and value.type in OPENERS:
                return self.index_at.get(get_start(value))
        return None

    def _drop_statement(self, block: int, resume: int) -> None:
        """Winds back to the block at `block`, keeping the statement before if it was whole."""
        state = self.parser.parser_state
        innermost = max(at for at, value in enumerate(state.value_stack) if _is_opener(value))
        if innermost == block and "SEMICOLON" in self._find_accepted(state.state_stack):
            self.parser.feed_token(self._make_token("SEMICOLON", ";"))
        keep = block + 1
        if len(state.value_stack) > keep and _is_tree(state.value_stack[keep], _PARTIAL_LISTS):
            keep += 1
        self._unwind(keep, resume)

    def _drop_declaration(self) -> None:
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
            self._find_accepted(states),
            opener,
            opener is not None and opener in self.brackets.partner,
            self.is_end_of_file,
        )
        self.diagnostics.append(describe_failure(failure))

    def _is_explained(self, index: int) -> bool:
        """Whether broken text, already reported, stands near enough before the token to be the cause."""
        if not self.tokens:
            return False
        previous = self.tokens[max(0, index - 1)]
        start = self.source.line_starts[(previous.line or 1) - 1]
        end = get_end(self.tokens[min(index, len(self.tokens) - 1)])
        return any(start <= offset <= end for offset in self.broken)

    def _find_accepted(self, states: Sequence[int]) -> frozenset[str]:
        """Terminals possible before the offending one had any effect on the parser."""
        probe: Any = copy(self.parser)
        probe.parser_state.state_stack = list(states)
        probe.parser_state.value_stack = [None] * (len(states) - 1)
        return frozenset(probe.accepts())


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
