"""Text to syntax tree.

A file is cut where declarations begin, and each piece is parsed by itself, so that a mistake in one leaves
the others whole; inside of a piece a mistake costs one statement. One mistake is one report.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

from exgrpo_artifact.record import replace
from exgrpo_compiler.ast import Comment, Decl, Expr, SpecFile, Use
from exgrpo_compiler.brackets import find_line_leads, split_declarations
from exgrpo_compiler.build_ast import Header, TreeBuilder, find_unused_docs
from exgrpo_compiler.diagnostics import Diagnostic, Edit, Fix, Outcome, has_errors
from exgrpo_compiler.recover import BRACE_IDS, ParsedPiece, parse_piece
from exgrpo_compiler.source import Source, Span
from exgrpo_compiler.straight import read_straight
from exgrpo_compiler.tokens import (
    get_span,
    is_first_on_line,
    read_tokens,
)
from exgrpo_compiler.tree import Token, Tree

EDITION = 1
_LAYOUT_IDS = frozenset({"syntax-error", "mixed-braces"})
MAX_DEPTH = 100
"""Levels of nesting in one declaration; later stages recurse over the tree."""


def parse_spec(source: Source) -> Outcome[SpecFile]:
    """The syntax tree of a file. There is always one: what cannot be read is reported and left out."""
    straight = read_straight(source, "file")
    if straight is not None and straight.depth <= MAX_DEPTH + 1:  # the file is a level, too
        header = _find_header(straight.value)
        if header is not None:
            spec = _make_spec(source, straight.value, header, straight.comments, ())
            problems = (*straight.builder.diagnostics, *find_unused_docs(straight.builder))
            return Outcome(spec, _sort_diagnostics((*problems, *_check_edition(source, (), header))))
    return _parse_damaged(source)


def _parse_damaged(source: Source) -> Outcome[SpecFile]:
    """As `parse_spec`, for a file that may have any number of mistakes."""
    lexed = read_tokens(source)
    builder = TreeBuilder(source, find_line_leads(lexed.tokens), lexed.docs)
    # A number at the top is a header without its word, which `missing-edition` will say.
    has_bare_number = bool(lexed.tokens) and lexed.tokens[0].type == "NUMBER"
    pieces = split_declarations(lexed.tokens[1:] if has_bare_number else lexed.tokens)
    found: list[Diagnostic] = list(lexed.diagnostics)
    lost: set[str] = set()
    items: list[Header | Use | Decl] = []
    for number, tokens in enumerate(pieces):
        piece = parse_piece(source, tokens, "file", lexed.diagnostics, number == len(pieces) - 1)
        found.extend(piece.diagnostics)
        lost |= piece.lost_names
        items.extend(_build_items(builder, piece, found))
    header = _find_header(items)
    found.extend(builder.diagnostics)
    found.extend(find_unused_docs(builder))
    found.extend(_check_edition(source, lexed.tokens, header))
    return Outcome(_make_spec(source, items, header, lexed.comments, lost), _sort_diagnostics(found))


def _find_header(items: Iterable[Header | Use | Decl]) -> Header | None:
    return next((item for item in items if isinstance(item, Header)), None)


def _make_spec(
    source: Source,
    items: Iterable[Header | Use | Decl],
    header: Header | None,
    comments: tuple[Comment, ...],
    lost: Iterable[str],
) -> SpecFile:
    uses = tuple(item for item in items if isinstance(item, Use))
    decls = tuple(item for item in items if isinstance(item, Decl))
    return SpecFile(source, _read_edition(header), uses, decls, comments, frozenset(lost))


def parse_expression(source: Source) -> Outcome[Expr]:
    """The syntax tree of a text that is one expression, as the value of a `--set` is."""
    straight = read_straight(source, "expression")
    if straight is not None and straight.depth <= MAX_DEPTH:
        return Outcome(cast(Expr, straight.value), tuple(straight.builder.diagnostics))
    lexed = read_tokens(source)
    builder = TreeBuilder(source, find_line_leads(lexed.tokens), lexed.docs)
    piece = parse_piece(source, lexed.tokens, "expression", lexed.diagnostics, True)
    found = [*lexed.diagnostics, *piece.diagnostics]
    value: Expr | None = None
    if piece.tree is not None:
        deep = _find_too_deep(source, piece.tree)
        if deep is None:
            value = cast(Expr, builder.build(piece.tree))
        else:
            found.append(deep)
    found.extend(builder.diagnostics)
    return Outcome(None if has_errors(found) else value, _sort_diagnostics(found))


def _build_items(
    builder: TreeBuilder, piece: ParsedPiece, found: list[Diagnostic]
) -> Sequence[Header | Use | Decl]:
    """The header, imports and declarations of a piece; one that nests too deep is left out."""
    items: list[Header | Use | Decl] = []
    for child in piece.tree.children if piece.tree is not None else ():
        if isinstance(child, Token):
            continue
        deep = _find_too_deep(builder.source, child)
        if deep is not None:
            found.append(deep)
            continue
        known = len(builder.diagnostics)
        item = cast("Header | Use | Decl", builder.build(child))
        builder.diagnostics[known:] = _drop_consequences(builder.diagnostics[known:], piece.diagnostics)
        is_damaged = isinstance(item, Decl) and any(
            problem.severity == "error" and item.span.start <= problem.span.start <= item.span.end
            for problem in found
        )
        items.append(replace(item, is_damaged=True) if is_damaged and isinstance(item, Decl) else item)
    return items


def _drop_consequences(
    problems: Sequence[Diagnostic], syntax_errors: Sequence[Diagnostic]
) -> list[Diagnostic]:
    """Without misplaced signs on a line that the parser could not read, or anywhere if a bracket is amiss."""
    lines = {_get_line(problem) for problem in syntax_errors}
    is_amiss = any(problem.id in BRACE_IDS for problem in syntax_errors)
    return [
        problem
        for problem in problems
        if problem.id not in _LAYOUT_IDS or not (is_amiss or _get_line(problem) in lines)
    ]


def _get_line(problem: Diagnostic) -> int:
    return problem.span.source.locate(problem.span.start).line


def _find_too_deep(source: Source, root: Tree) -> Diagnostic | None:
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


def _read_edition(header: Header | None) -> int | None:
    return int(header.edition.value) if header is not None and header.edition.is_int else None


def _check_edition(source: Source, tokens: Sequence[Token], header: Header | None) -> Sequence[Diagnostic]:
    if header is None:
        if any(token.type == "EXG" and is_first_on_line(tokens, at) for at, token in enumerate(tokens)):
            return ()  # what is wrong with it was said where it stands
        place = get_span(source, tokens[0]) if tokens else Span(source, 0, 0)
        message = "The file does not say which edition of the language it is written in."
        return (
            Diagnostic(
                "missing-edition",
                "error",
                message,
                place,
                hint=f"begin the file with `exg {EDITION}`",
                fix=Fix(
                    f"begin with `exg {EDITION}`",
                    (Edit(Span(source, 0, 0), f"exg {EDITION}\n\n"),),
                    is_safe=True,
                ),
            ),
        )
    if header.edition.text == str(EDITION):
        return ()
    message = f"Edition {header.edition.text} is not known to this compiler."
    hint = f"the only edition so far is edition 1: `exg {EDITION}`"
    return (Diagnostic("unknown-edition", "error", message, header.edition.span, hint=hint),)


def _sort_diagnostics(diagnostics: Sequence[Diagnostic]) -> tuple[Diagnostic, ...]:
    return tuple(sorted(diagnostics, key=lambda problem: (problem.span.start, problem.span.end)))
