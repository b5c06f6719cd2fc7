"""Runs of consecutive statements of one form, and the columns in which their signs stand.

A run ends at a blank line, at a statement of another form, and after one that has a block or a string of several lines.
Comments between statements do not end it.
"""

from __future__ import annotations

from collections.abc import Sequence

from exgrpo_artifact.named import NamedTuple
from exgrpo_compiler.format.flat import fits, join_parts
from exgrpo_compiler.format.pieces import Item, Part, Word, has_block, has_line_break

_NAMED = frozenset({"SPLIT", "SCENARIO", "STAGE", "CONST", "MODEL"})
_LOOSE = frozenset({"AND", "OR", "IF", "ELSE", "NOT", "COMPARISON"})


class Cells(NamedTuple):
    """A statement's beginning in columns, and what follows them."""

    form: str
    """Only statements of the same form are aligned with each other; `on_failure` is no term of its reward."""
    texts: tuple[str, ...]
    rest: tuple[Part, ...]


def split_cells(item: Item) -> Cells | None:
    """The columns of a statement, or None where its form has none."""
    match item.kind:
        case "Assign":
            name = _get_text(item.parts[0])
            return _split_at_equals(item, name if name == "on_failure" else "assign")
        case "NamedStmt" | "Decl":
            first = item.parts[0]
            is_named = isinstance(first, Word) and first.type in _NAMED
            return _split_at_equals(item, _get_text(first)) if is_named else None
        case "FieldStmt":
            return _split_field(item)
        case "ExpectStmt":
            return _split_expect(item)
        case "GroupBlock":
            return _make_cells("group", item.parts, (2,)) if len(item.parts) == 3 else None
        case _:
            return None


def measure_runs(items: Sequence[Item], singles: Sequence[bool], indent: int) -> list[tuple[int, ...]]:
    """For each item the widths of its columns, empty where it has none; an item that is not single stands with others on a line."""
    cells = [split_cells(item) if single else None for item, single in zip(items, singles, strict=True)]
    widths: list[tuple[int, ...]] = [() for _ in items]
    run: list[int] = []
    for index, (item, own) in enumerate(zip(items, cells, strict=True)):
        last = cells[run[-1]] if run else None
        if own is None or last is None or own.form != last.form or starts_with_blank(item):
            _close_run(run, cells, widths)
            run = []
        if own is not None:
            run.append(index)
        if is_tall(item, indent):
            _close_run(run, cells, widths)
            run = []
    _close_run(run, cells, widths)
    return widths


def starts_with_blank(item: Item) -> bool:
    """Whether a blank line stands before an item and its comments."""
    return item.notes[0].has_blank if item.notes else item.has_blank


def is_tall(item: Item, indent: int) -> bool:
    """Whether a statement takes several lines for a block or a string; calls and lists that wrap do not count."""
    if any(map(has_line_break, item.parts)):
        return True
    if not any(map(has_block, item.parts)):
        return False
    text = join_parts(item.parts)
    return text is None or not fits(text, indent)


def _close_run(run: Sequence[int], cells: Sequence[Cells | None], widths: list[tuple[int, ...]]) -> None:
    columns = [own.texts for index in run if (own := cells[index]) is not None]
    measured = tuple(max(map(len, column)) for column in zip(*columns, strict=True))
    for index in run:
        widths[index] = measured


def _split_at_equals(item: Item, form: str) -> Cells | None:
    at = _find(item.parts, "EQUALS")
    return _make_cells(form, item.parts, (at,)) if at is not None else None


def _split_field(item: Item) -> Cells | None:
    colon, equals = _find(item.parts, "COLON"), _find(item.parts, "EQUALS")
    if colon is None:
        return None
    end = len(item.parts) if equals is None else equals
    return _make_cells(f"field {_get_text(item.parts[0])}", item.parts, (colon + 1, end))


def _split_expect(item: Item) -> Cells | None:
    signs = [
        (index, part.text)
        for index, part in enumerate(item.parts)
        if isinstance(part, Word) and part.type in _LOOSE
    ]
    if len(signs) != 1 or signs[0][1] != "==":
        return None
    return _make_cells("expect", item.parts, (signs[0][0],))


def _make_cells(form: str, parts: tuple[Part, ...], ends: tuple[int, ...]) -> Cells | None:
    texts = [join_parts(parts[start:end]) for start, end in zip((0, *ends), ends, strict=False)]
    whole = tuple(text for text in texts if text is not None and "\n" not in text)
    return Cells(form, whole, parts[ends[-1] :]) if len(whole) == len(texts) else None


def _find(parts: Sequence[Part], type_: str) -> int | None:
    places = (index for index, part in enumerate(parts) if isinstance(part, Word) and part.type == type_)
    return next(places, None)


def _get_text(part: Part) -> str:
    return part.text if isinstance(part, Word) else ""
