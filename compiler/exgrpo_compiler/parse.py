"""Text to syntax tree.

A file is cut where declarations begin, and each piece is parsed by itself, so that a mistake in one leaves
the others whole; inside of a piece a mistake costs one statement. One mistake is one report.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from lark import Token, Tree

from exgrpo_compiler.ast import Decl, Expr, SpecFile, Use
from exgrpo_compiler.build_ast import Header, TreeBuilder, find_unused_docs
from exgrpo_compiler.diagnostics import Diagnostic, Outcome, has_errors
from exgrpo_compiler.mend_braces import mend_braces
from exgrpo_compiler.recover import ParsedPiece, has_unclosed_string, parse_piece
from exgrpo_compiler.source import Source, Span
from exgrpo_compiler.tokens import (
    Tokens,
    find_line_leads,
    get_span,
    is_first_on_line,
    read_tokens,
    split_declarations,
)

EDITION = 1
MAX_DEPTH = 100
"""Levels of nesting in one declaration; later stages recurse over the tree."""


def parse_spec(source: Source) -> Outcome[SpecFile]:
    """The syntax tree of a file. There is always one: what cannot be read is reported and left out."""
    lexed = read_tokens(source)
    builder = TreeBuilder(source, find_line_leads(lexed.tokens), lexed.docs)
    pieces = split_declarations(lexed.tokens)
    found: list[Diagnostic] = list(lexed.diagnostics)
    lost: set[str] = set()
    items: list[Header | Use | Decl] = []
    for number, tokens in enumerate(pieces):
        mended = mend_braces(source, tokens)
        if not has_unclosed_string(tokens, lexed.diagnostics):
            found.extend(mended.diagnostics)
        is_last = number == len(pieces) - 1
        piece = parse_piece(source, mended.tokens, "file", lexed.diagnostics, is_last)
        found.extend(piece.diagnostics)
        lost |= piece.lost_names
        items.extend(_build_items(builder, piece, found))
    header = next((item for item in items if isinstance(item, Header)), None)
    found.extend(builder.diagnostics)
    found.extend(find_unused_docs(builder))
    found.extend(_check_edition(source, lexed, header))
    spec = SpecFile(
        source,
        _read_edition(header),
        tuple(item for item in items if isinstance(item, Use)),
        tuple(item for item in items if isinstance(item, Decl)),
        lexed.comments,
        frozenset(lost),
    )
    return Outcome(spec, _sort_diagnostics(found))


def parse_expression(source: Source) -> Outcome[Expr]:
    """The syntax tree of a text that is one expression, as the value of a `--set` is."""
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
        item = cast("Header | Use | Decl", builder.build(child))
        is_damaged = isinstance(item, Decl) and any(
            problem.severity == "error" and item.span.start <= problem.span.start <= item.span.end
            for problem in found
        )
        items.append(replace(item, is_damaged=True) if is_damaged and isinstance(item, Decl) else item)
    return items


def _find_too_deep(source: Source, root: Tree[Token]) -> Diagnostic | None:
    """A report where nesting first passes MAX_DEPTH, or None."""
    todo = [(root, 1)]
    while todo:
        tree, depth = todo.pop()
        if depth > MAX_DEPTH:
            start = 0 if tree.meta.empty else tree.meta.start_pos
            return Diagnostic(
                "too-deep",
                "error",
                f"this is nested more than {MAX_DEPTH} levels deep",
                Span(source, start, start + 1),
                hint="give parts of it names of their own",
            )
        todo.extend((child, depth + 1) for child in reversed(tree.children) if isinstance(child, Tree))
    return None


def _read_edition(header: Header | None) -> int | None:
    return int(header.edition.value) if header is not None and header.edition.is_int else None


def _check_edition(source: Source, lexed: Tokens, header: Header | None) -> Sequence[Diagnostic]:
    if header is None:
        if any(
            token.type == "EXG" and is_first_on_line(lexed.tokens, at)
            for at, token in enumerate(lexed.tokens)
        ):
            return ()  # what is wrong with it was said where it stands
        place = get_span(source, lexed.tokens[0]) if lexed.tokens else Span(source, 0, 0)
        message = "the file does not say which edition of the language it is written in"
        return (
            Diagnostic(
                "missing-edition", "error", message, place, hint=f"begin the file with `exg {EDITION}`"
            ),
        )
    if header.edition.text == str(EDITION):
        return ()
    message = f"edition {header.edition.text} is not known to this compiler"
    hint = f"the only edition so far is edition 1: `exg {EDITION}`"
    return (Diagnostic("unknown-edition", "error", message, header.edition.span, hint=hint),)


def _sort_diagnostics(diagnostics: Sequence[Diagnostic]) -> tuple[Diagnostic, ...]:
    return tuple(sorted(diagnostics, key=lambda problem: (problem.span.start, problem.span.end)))
