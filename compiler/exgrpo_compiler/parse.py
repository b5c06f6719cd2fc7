"""Text to syntax tree, in one go where nothing is wrong, and with all its mistakes reported where something is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

from exgrpo_compiler.ast import Comment, Decl, Expr, SpecFile, Use
from exgrpo_compiler.diagnostics import Diagnostic, Edit, Fix, Outcome, has_errors
from exgrpo_compiler.source import Source, Span
from exgrpo_compiler.syntax.brackets import find_line_leads
from exgrpo_compiler.syntax.build_ast import Header, TreeBuilder, find_unused_docs
from exgrpo_compiler.syntax.straight import read_straight
from exgrpo_compiler.syntax.tokens import get_span, is_first_on_line, read_tokens
from exgrpo_compiler.syntax.tree import MAX_DEPTH, Token

__all__ = ["EDITION", "MAX_DEPTH", "parse_expression", "parse_spec"]

EDITION = 1


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
    from exgrpo_compiler.syntax.damaged import parse_damaged  # here: most files have no mistake

    read = parse_damaged(source)
    header = _find_header(read.items)
    spec = _make_spec(source, read.items, header, read.tokens.comments, read.lost_names)
    found = (*read.diagnostics, *_check_edition(source, read.tokens.tokens, header))
    return Outcome(spec, _sort_diagnostics(found))


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
    from exgrpo_compiler.syntax.damaged import find_too_deep
    from exgrpo_compiler.syntax.recover import parse_piece

    lexed = read_tokens(source)
    builder = TreeBuilder(source, find_line_leads(lexed.tokens), lexed.docs)
    piece = parse_piece(source, lexed.tokens, "expression", lexed.diagnostics, True)
    found = [*lexed.diagnostics, *piece.diagnostics]
    value: Expr | None = None
    if piece.tree is not None:
        deep = find_too_deep(source, piece.tree)
        if deep is None:
            value = cast(Expr, builder.build(piece.tree))
        else:
            found.append(deep)
    found.extend(builder.diagnostics)
    return Outcome(None if has_errors(found) else value, _sort_diagnostics(found))


def _read_edition(header: Header | None) -> int | None:
    return int(header.edition.value) if header is not None and header.edition.is_int else None


def _check_edition(source: Source, tokens: Sequence[Token], header: Header | None) -> Sequence[Diagnostic]:
    if header is None:
        from exgrpo_compiler.syntax.errors import is_misspelt_header

        if any(
            token.type == "EXG" and (at < 3 or is_first_on_line(tokens, at))
            for at, token in enumerate(tokens)
        ):
            return ()  # what is wrong with it was said where it stands
        if len(tokens) > 1 and is_misspelt_header(tokens[0], tokens[1]):
            return ()
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
