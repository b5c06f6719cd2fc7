"""Where a report shows text of a spec that `--set` put something else in the place of, a label says what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from exgrpo_artifact.record import Record, get_fields, replace
from exgrpo_compiler.ast import Assign, Decl, Expr
from exgrpo_compiler.diagnostics import Diagnostic, Label
from exgrpo_compiler.program import Replaced
from exgrpo_compiler.source import Source, Span


def find_replaced(old: Decl, new: Decl, value: Expr) -> Span:
    """Where a declaration's text says something else than its tree, now that `value` is in it.

    It is the text of the old value; where there was none, that of the innermost node around.
    """
    return _find_in(old, new, value, old.span) or old.span


def find_term(decl: Decl, name: str) -> Span:
    """Where a term of a reward is written."""
    statements = decl.block.statements if decl.block is not None else ()
    terms = [item for item in statements if isinstance(item, Assign) and item.path[0].text == name]
    return terms[0].span if terms else decl.name.span


def find_removed(old: Decl, new: Decl) -> Span:
    """Where the statement is written that the new declaration lacks."""
    kept = {id(item) for item in new.block.statements} if new.block is not None else set()
    statements = old.block.statements if old.block is not None else ()
    return next((item.span for item in statements if id(item) not in kept), old.name.span)


def _find_in(old: Any, new: Any, value: Expr, around: Span) -> Span | None:
    """The place of `value` in `new`, as a place in `old`; None where it is not in there."""
    if new is value:
        return old.span if isinstance(old, Record) and hasattr(old, "span") else around
    if old is new or isinstance(new, Span | Source):
        return None
    if isinstance(new, tuple):
        olds = (*old, *([None] * len(new))) if isinstance(old, tuple) else (None,) * len(new)
        pairs = zip(olds, new, strict=False)
        return next((found for a, b in pairs if (found := _find_in(a, b, value, around))), None)
    if not isinstance(new, Record):
        return None
    inner = getattr(old, "span", None)
    near = inner if isinstance(inner, Span) else around
    parts = [(getattr(old, name, None), getattr(new, name)) for name in get_fields(type(new))]
    return next((found for a, b in parts if (found := _find_in(a, b, value, near))), None)


def label_overrides(
    replaced: Sequence[Replaced], diagnostics: Sequence[Diagnostic]
) -> tuple[Diagnostic, ...]:
    """The diagnostics, those that show replaced text with the text that took its place."""
    return tuple(_label(replaced, diagnostic) for diagnostic in diagnostics)


def _label(replaced: Sequence[Replaced], diagnostic: Diagnostic) -> Diagnostic:
    shown = (diagnostic.span, *(label.span for label in diagnostic.labels))
    labels = [
        Label(change.value, change.text)
        for change in replaced
        if any(_covers(span, change.place) for span in shown)
        and not any(span.source.name == change.value.source.name for span in shown)
    ]
    return replace(diagnostic, labels=(*diagnostic.labels, *labels)) if labels else diagnostic


def _covers(span: Span, place: Span) -> bool:
    """Whether what is shown holds what was replaced, or is a part of it."""
    if span.source.name != place.source.name:
        return False
    return (span.start <= place.start and place.end <= span.end) or (
        place.start <= span.start and span.end <= place.end
    )
