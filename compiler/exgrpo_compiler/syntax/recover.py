"""Tokens of one piece of a file to a parse tree, whatever mistakes they hold.

At a token that has no place the parser is wound back to the innermost `{ … }` around it: a statement that was
whole is kept, a broken one is dropped, and parsing goes on at the next line that looks like a statement.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from exgrpo_artifact.named import NamedTuple
from exgrpo_compiler.diagnostics import Diagnostic
from exgrpo_compiler.source import Source
from exgrpo_compiler.syntax.brackets import match_brackets
from exgrpo_compiler.syntax.errors import Failure, describe_failure
from exgrpo_compiler.syntax.mend_braces import mend_braces
from exgrpo_compiler.syntax.parser_stack import ParserStack
from exgrpo_compiler.syntax.terminals import (
    NAMES,
    STATEMENT_WORDS,
    STRINGS,
    Start,
)
from exgrpo_compiler.syntax.tokens import get_end, get_start, is_first_on_line, make_token
from exgrpo_compiler.syntax.tree import Token, Tree

_AFTER_STATEMENT_START = NAMES | {"EQUALS", "COLON", "DOT", "LEFT_BRACE"}
_YIELDS = ("YIELDS", "LEFT_BRACE")
BRACE_IDS = frozenset({"unclosed-brace", "unopened-brace"})


class ParsedPiece(NamedTuple):
    """What could be read."""

    tree: Tree | None
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
    mended = mend_braces(source, tokens)
    piece = _PieceParser(source, mended.tokens, start, reported, is_end_of_file).parse()
    problems = (*mended.diagnostics, *piece.diagnostics)
    if _may_hide_brackets(source, tokens, reported):
        problems = tuple(problem for problem in problems if problem.id not in BRACE_IDS)
    return piece._replace(diagnostics=problems)


def _may_hide_brackets(source: Source, tokens: Sequence[Token], reported: Sequence[Diagnostic]) -> bool:
    """Whether a string or a `#` ran on among the tokens: then it may hold the bracket that is missed."""
    if not tokens:
        return False
    start, end = get_start(tokens[0]), source.text.find("\n", get_end(tokens[-1]))
    return any(
        start <= problem.span.start and (end < 0 or problem.span.start <= end)
        for problem in reported
        if problem.id == "unclosed-string" or source.text.startswith("#", problem.span.start)
    )


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
        self.start = start
        self.reported_starts = sorted(
            problem.span.start for problem in reported if problem.severity == "error"
        )
        self.is_end_of_file = is_end_of_file
        self.diagnostics: list[Diagnostic] = []
        self.lost_names: set[str] = set()
        self.last_resume = -1
        self.has_ended_badly = False
        self.has_inserted = False
        self.reported_at: set[int] = set()
        self._begin(tokens)

    def _begin(self, tokens: Sequence[Token]) -> None:
        self.tokens = tokens
        self.stack = ParserStack(self.start)
        self.brackets = match_brackets(tokens)
        self.owners = self._find_owners()
        self.index_of = {id(token): index for index, token in enumerate(tokens)}
        self.starts = [token.start for token in tokens]
        types = [token.type for token in tokens]
        self.lacks_brace = types.count("RIGHT_BRACE") > types.count("LEFT_BRACE")

    def parse(self) -> ParsedPiece:
        """Feeds every token, going on after each mistake."""
        index = 0
        while index < len(self.tokens):
            if self._begins_next_statement(index):
                self._report(index, self.stack.find_accepted())
                index = self._recover(index)
            elif self.stack.feed(self.tokens[index]):
                index += 1
            else:
                accepts = self.stack.find_accepted()
                self._report(index, accepts)
                index = 0 if self._insert_brace(index, accepts) else self._recover(index)
        tree = self._finish()
        return ParsedPiece(tree, tuple(self.diagnostics), frozenset(self.lost_names))

    def _finish(self) -> Tree | None:
        """Ends the piece, closing what is still open."""
        while (tree := self.stack.end()) is None:
            if not self.has_ended_badly:
                self._report(len(self.tokens), self.stack.find_accepted())
                self.has_ended_badly = True
            if self.stack.find_block() is not None:
                self._drop(self.stack.drop_statement(self.tokens[-1], is_whole=True), len(self.tokens))
                self.stack.feed(make_token("RIGHT_BRACE", "}", self.tokens[-1]))
            elif self.start == "file":
                self._drop(self.stack.drop_declaration(self.tokens[-1]), len(self.tokens))
            else:
                return None
        return tree

    def _recover(self, index: int) -> int:
        """Index of the token to go on with."""
        block = self.stack.find_block()
        if block is None:
            if self.start == "file":
                start = self.stack.drop_declaration(self.tokens[-1])
                here = self.tokens[index].start
                self._drop(here if start is None else min(start, here), len(self.tokens))
            self.has_ended_badly = True
            return len(self.tokens)
        first = index - 1 if self._continues_name(index) else index
        resume = self._find_resume(first, self.index_of[id(block)])
        self._drop(self.stack.drop_statement(self.tokens[-1], is_whole=resume >= index), resume)
        self.last_resume = resume
        return resume

    def _drop(self, start: int | None, resume: int) -> None:
        """Notes the names between an offset and the token to go on with."""
        if start is None or resume == 0:
            return
        end = get_end(self.tokens[resume - 1])
        dropped = self.tokens[bisect_left(self.starts, start) : bisect_left(self.starts, end)]
        self.lost_names.update(token.text for token in dropped if token.type in NAMES)

    def _insert_brace(self, index: int, accepts: frozenset[str]) -> bool:
        """Begins again with a `{` where one is missing, if the piece has a `}` too many and no other mistake."""
        if self.has_inserted or not self.lacks_brace or "LEFT_BRACE" not in accepts or "NUMBER" in accepts:
            return False
        is_after_label = self.tokens[index].type in {"EQUALS", "COLON"} and accepts == {"LEFT_BRACE"}
        at = index - 1 if is_after_label else index
        if at < 1 or len(self.diagnostics) > 1:
            return False
        self.has_inserted = True
        brace = make_token("LEFT_BRACE", "{", self.tokens[at - 1])
        self._begin([*self.tokens[:at], brace, *self.tokens[at:]])
        return True

    def _begins_next_statement(self, index: int) -> bool:
        """Whether a line begins like `split train` where a value is due: then the value was left out."""
        if index + 1 >= len(self.tokens) or self.tokens[index].type not in STATEMENT_WORDS:
            return False
        following = self.tokens[index + 1].type
        is_statement = following in NAMES | STRINGS or (self.tokens[index].type, following) == _YIELDS
        return (
            is_statement and is_first_on_line(self.tokens, index) and "NUMBER" in self.stack.find_accepted()
        )

    # --- where to go on

    def _continues_name(self, index: int) -> bool:
        """Whether a `=` or `:` has no place since the name before it was taken for a missing value."""
        if index == 0 or self.tokens[index].type not in {"EQUALS", "COLON"}:
            return False
        return self.tokens[index - 1].type in NAMES and is_first_on_line(self.tokens, index - 1)

    def _find_resume(self, index: int, block: int) -> int:
        closer = self.brackets.partner.get(block)
        for at in range(max(index, self.last_resume + 1), len(self.tokens)):
            if at == closer:
                return at
            if self.owners[at] != block:
                continue
            if self.tokens[at].type == "SEMICOLON":
                return at
            if is_first_on_line(self.tokens, at) and self._starts_statement(at):
                return at
        return len(self.tokens)

    def _find_owners(self) -> list[int | None]:
        """For each token the innermost bracket around it, not counting those that are never closed, except blocks."""
        owners: list[int | None] = []
        for owner in self.brackets.enclosing:
            is_counted = (
                owner is None or owner in self.brackets.partner or self.tokens[owner].type == "LEFT_BRACE"
            )
            owners.append(owner if is_counted or owner is None else owners[owner])
        return owners

    def _starts_statement(self, at: int) -> bool:
        token = self.tokens[at]
        if token.type in {"FOR", "EXPECT", "EXAMPLE"}:
            return True
        following = self.tokens[at + 1].type if at + 1 < len(self.tokens) else ""
        return token.type in NAMES and following in _AFTER_STATEMENT_START

    # --- reporting

    def _report(self, index: int, accepts: frozenset[str]) -> None:
        if self._is_explained(index) or self._identify(index) in self.reported_at:
            return
        bracket = self.stack.find_opener()
        opener = None if bracket is None else self.index_of[id(bracket)]
        failure = Failure(
            self.source,
            self.tokens,
            index,
            accepts,
            opener,
            opener is not None and opener in self.brackets.partner,
            self.is_end_of_file,
        )
        self.reported_at.add(self._identify(index))
        self.diagnostics.append(describe_failure(failure))

    def _identify(self, index: int) -> int:
        """What names a token even after others were put before it; 0 for the end."""
        return id(self.tokens[index]) if index < len(self.tokens) else 0

    def _is_explained(self, index: int) -> bool:
        """Whether broken text, already reported, stands near enough before the token to be the cause."""
        if not self.tokens:
            return False
        if index < len(self.tokens) and get_end(self.tokens[index]) == get_start(self.tokens[index]):
            return True  # put there where a bracket is missing, which was reported
        previous = self.tokens[max(0, index - 1)]
        start = self.source.line_starts[(previous.line) - 1]
        end = get_end(self.tokens[min(index, len(self.tokens) - 1)])
        at = bisect_left(self.reported_starts, start)
        return at < len(self.reported_starts) and self.reported_starts[at] <= end
