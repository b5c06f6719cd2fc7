"""A file with mistakes in it to its declarations, piece by piece, and a report for each mistake.

A piece runs from where one declaration begins to where the next one does. One in which nothing is wrong is read as
in a file without mistakes. Where one token's edit explains all that seems wrong, the tree is that of the mended piece,
and there is one report; without such an edit a mistake costs its statement.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import cast

from exgrpo_artifact.named import NamedTuple
from exgrpo_artifact.record import replace
from exgrpo_compiler.ast import Decl, Use
from exgrpo_compiler.diagnostics import Diagnostic, Label, has_errors
from exgrpo_compiler.source import Source, Span
from exgrpo_compiler.syntax.brackets import find_line_leads, split_declarations
from exgrpo_compiler.syntax.build_ast import Header, TreeBuilder
from exgrpo_compiler.syntax.recover import BRACE_IDS, ParsedPiece, parse_piece
from exgrpo_compiler.syntax.repair import Mended, PieceMender
from exgrpo_compiler.syntax.straight import parse_tokens
from exgrpo_compiler.syntax.tokens import Tokens, read_tokens, report_dangling_doc
from exgrpo_compiler.syntax.tree import MAX_DEPTH, Token, Tree

_LAYOUT_IDS = frozenset({"syntax-error", "mixed-braces"})

Item = Header | Use | Decl


class DamagedFile(NamedTuple):
    """What could be read."""

    items: tuple[Item, ...]
    tokens: Tokens
    diagnostics: tuple[Diagnostic, ...]
    lost_names: frozenset[str]


class _Piece(NamedTuple):
    items: Sequence[Item]
    diagnostics: Sequence[Diagnostic]
    used_docs: frozenset[int]
    lost_names: frozenset[str] = frozenset()


def parse_damaged(source: Source) -> DamagedFile:
    """Every declaration of a file that may have any number of mistakes."""
    return _Parser(source).parse()


class _Parser:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.lexed = read_tokens(source)
        self.line_leads = find_line_leads(self.lexed.tokens)
        self.broken = sorted(
            (problem for problem in self.lexed.diagnostics if problem.severity == "error"),
            key=lambda problem: problem.span.start,
        )
        self.broken_starts = [problem.span.start for problem in self.broken]

    def parse(self) -> DamagedFile:
        tokens = self.lexed.tokens
        # A number at the top is a header without its word, which `missing-edition` will say.
        has_bare_number = bool(tokens) and tokens[0].type == "NUMBER"
        pieces = split_declarations(tokens[1:] if has_bare_number else tokens)
        items: list[Item] = []
        found = list(self.lexed.diagnostics)
        lost: set[str] = set()
        used_docs: set[int] = set()
        for number, piece in enumerate(pieces):
            read = self._read_piece(piece, number == len(pieces) - 1)
            items.extend(read.items)
            found.extend(read.diagnostics)
            lost |= read.lost_names
            used_docs |= read.used_docs
        found.extend(
            report_dangling_doc(doc.span) for start, doc in self.lexed.docs.items() if start not in used_docs
        )
        return DamagedFile(tuple(items), self.lexed, tuple(found), frozenset(lost))

    def _make_builder(self) -> TreeBuilder:
        return TreeBuilder(self.source, self.line_leads, self.lexed.docs)

    def _read_piece(self, tokens: Sequence[Token], is_last: bool) -> _Piece:
        broken = self._find_broken(tokens)
        builder = self._make_builder()
        parsed = parse_tokens(tokens, builder, "file")
        if (
            not broken
            and not isinstance(parsed, int)
            and not has_errors(builder.diagnostics)
            and parsed[1] <= MAX_DEPTH + 1  # the file is a level, too
        ):
            return _Piece(parsed[0], builder.diagnostics, frozenset(builder.used_docs))
        piece = self._recover(tokens, broken, is_last)
        errors = [problem for problem in piece.diagnostics if problem.severity == "error"]
        if broken or not errors or not (isinstance(parsed, int) or len(errors) > 1):
            return piece
        mended = PieceMender(self.source, tokens, self.line_leads, self.lexed.docs, MAX_DEPTH + 1).mend()
        return piece if mended is None else self._explain(mended, errors, piece)

    def _explain(self, mended: Mended, errors: Sequence[Diagnostic], piece: _Piece) -> _Piece:
        """One report for the one mistake that there was: the nearest to it."""
        error = min(errors, key=lambda problem: abs(problem.span.start - mended.place))
        if error.id == "unopened-brace" and mended.opener:
            place = Label(
                Span(self.source, mended.place, mended.place), f"a `{mended.opener}` may be missing here"
            )
            error = replace(error, labels=(*error.labels, place))
        items = [self._mark_damage(item, [error]) for item in mended.items]
        used = mended.used_docs | piece.used_docs
        return _Piece(items, (error, *mended.warnings), used, piece.lost_names)

    def _find_broken(self, tokens: Sequence[Token]) -> list[Diagnostic]:
        """Errors that the lexer found on the lines of a piece."""
        if not tokens:
            return []
        start = self.source.line_starts[tokens[0].line - 1]
        end = self.source.text.find("\n", tokens[-1].end)
        low = bisect_left(self.broken_starts, start)
        high = len(self.broken) if end < 0 else bisect_right(self.broken_starts, end)
        return self.broken[low:high]

    def _recover(self, tokens: Sequence[Token], broken: Sequence[Diagnostic], is_last: bool) -> _Piece:
        piece = parse_piece(self.source, tokens, "file", broken, is_last)
        builder = self._make_builder()
        found = [*piece.diagnostics]
        items: list[Item] = []
        for child in piece.tree.children if piece.tree is not None else ():
            deep = None if isinstance(child, Token) else find_too_deep(self.source, child)
            if deep is not None:
                found.append(deep)
            elif isinstance(child, Tree):
                items.append(cast(Item, builder.build(child)))
        found.extend(_drop_consequences(builder.diagnostics, piece, broken))
        errors = sorted(
            (problem for problem in (*found, *broken) if problem.severity == "error"),
            key=lambda problem: problem.span.start,
        )
        # What documents a statement that was dropped does document something.
        used = {token.start for token in tokens} & self.lexed.docs.keys() if errors else builder.used_docs
        marked = [self._mark_damage(item, errors) for item in items]
        return _Piece(marked, found, frozenset(used), piece.lost_names)

    def _mark_damage(self, item: Item, errors: Sequence[Diagnostic]) -> Item:
        """The item, marked if one of the errors, which are in order, stands in it."""
        if not isinstance(item, Decl):
            return item
        at = bisect_left(errors, item.span.start, key=lambda problem: problem.span.start)
        is_damaged = at < len(errors) and errors[at].span.start <= item.span.end
        return replace(item, is_damaged=True) if is_damaged else item


def _drop_consequences(
    problems: Sequence[Diagnostic], piece: ParsedPiece, broken: Sequence[Diagnostic]
) -> list[Diagnostic]:
    """Without misplaced signs on a line that could not be read, or anywhere if a bracket is amiss."""
    lines = {_get_line(problem) for problem in (*piece.diagnostics, *broken)}
    is_amiss = any(problem.id in BRACE_IDS for problem in piece.diagnostics)
    return [
        problem
        for problem in problems
        if problem.id not in _LAYOUT_IDS or not (is_amiss or _get_line(problem) in lines)
    ]


def _get_line(problem: Diagnostic) -> int:
    return problem.span.source.locate(problem.span.start).line


def find_too_deep(source: Source, root: Tree) -> Diagnostic | None:
    """A report where nesting first passes MAX_DEPTH, or None."""
    todo = [(root, 1)]
    while todo:
        tree, depth = todo.pop()
        if depth > MAX_DEPTH:
            return Diagnostic(
                "too-deep",
                "error",
                f"This is nested more than {MAX_DEPTH} levels deep.",
                Span(source, tree.start, tree.start + 1),
                hint="give parts of it names of their own",
            )
        todo.extend((child, depth + 1) for child in reversed(tree.children) if isinstance(child, Tree))
    return None
