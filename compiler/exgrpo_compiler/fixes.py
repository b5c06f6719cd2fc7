"""Applying the edits that diagnostics carry."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from exgrpo_compiler.diagnostics import Diagnostic, Edit, Fix
from exgrpo_compiler.source import Source


class Applied(NamedTuple):
    """A text after edits, and the diagnostics whose fixes made it."""

    text: str
    diagnostics: tuple[Diagnostic, ...]


def list_fixable(
    source: Source, diagnostics: Iterable[Diagnostic], *, is_unsafe: bool
) -> tuple[Diagnostic, ...]:
    """Those with a fix that changes this source only, in the order of their places; unsafe ones only if asked for."""
    found = [
        diagnostic
        for diagnostic in diagnostics
        if diagnostic.fix is not None
        and (diagnostic.fix.is_safe or is_unsafe)
        and diagnostic.fix.edits
        and all(edit.span.source.name == source.name for edit in diagnostic.fix.edits)
    ]
    return tuple(sorted(found, key=lambda each: (each.span.start, each.span.end)))


def apply_fixes(source: Source, diagnostics: Iterable[Diagnostic]) -> Applied:
    """The text with every fix applied as a whole or not at all: of two that overlap the first is."""
    edits: list[Edit] = []
    used: list[Diagnostic] = []
    for diagnostic in diagnostics:
        fix = diagnostic.fix
        if fix is None or any(_overlaps(edit, other) for edit in fix.edits for other in edits):
            continue
        edits.extend(fix.edits)
        used.append(diagnostic)
    text = source.text
    for edit in sorted(edits, key=lambda edit: (edit.span.start, edit.span.end), reverse=True):
        text = _apply_edit(text, edit)
    return Applied(text, tuple(used))


def describe_fix(fix: Fix) -> str:
    """What a fix does, with whether it may change what the spec means."""
    return fix.title if fix.is_safe else f"{fix.title} (unsafe)"


def _overlaps(edit: Edit, other: Edit) -> bool:
    """Whether two edits touch: at one place the order of insertions would decide."""
    return edit.span.start <= other.span.end and other.span.start <= edit.span.end


def _apply_edit(text: str, edit: Edit) -> str:
    """One edit; a line of which nothing is left goes with what was removed from it."""
    before, after = text[: edit.span.start], text[edit.span.end :]
    if edit.text or edit.span.start == edit.span.end:
        return before + edit.text + after
    line_start, line_end = before.rfind("\n") + 1, after.find("\n")
    rest = after if line_end < 0 else after[:line_end]
    if before[line_start:].strip():
        return (before.rstrip(" \t") if not rest.strip() else before) + after
    if rest.strip():
        return before + after.lstrip(" \t")
    return before[:line_start] + (after[line_end + 1 :] if line_end >= 0 else "")
