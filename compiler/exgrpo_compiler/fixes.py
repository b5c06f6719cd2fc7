"""Applying the edits that diagnostics carry."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from exgrpo_artifact.named import NamedTuple
from exgrpo_compiler.diagnostics import Diagnostic, Edit, Fix
from exgrpo_compiler.source import Source, Span

_UNREADABLE = frozenset({"syntax-error", "bad-character", "unclosed-string"})


class Applied(NamedTuple):
    """A text after edits, and the diagnostics whose fixes made it."""

    text: str
    diagnostics: tuple[Diagnostic, ...]


def list_fixable(
    source: Source, diagnostics: Sequence[Diagnostic], *, is_unsafe: bool
) -> tuple[Diagnostic, ...]:
    """Those with a fix that changes this source only, in the order of their places; unsafe ones only if asked for."""
    found = [
        diagnostic
        for diagnostic in diagnostics
        if diagnostic.fix is not None
        and (is_unsafe or (diagnostic.fix.is_safe and not is_doubtful(diagnostic, diagnostics)))
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


def is_doubtful(mended: Diagnostic, found: Sequence[Diagnostic]) -> bool:
    """Whether an edit that is called safe stands where another error says that something else is meant."""
    fix = mended.fix
    if fix is None or not fix.is_safe:
        return False
    spans = [edit.span for edit in fix.edits]
    return any(
        other.severity == "error"
        and other != mended
        and (other.fix is None or not other.fix.is_safe)
        and other.span.source.name == mended.span.source.name
        and any(_is_near(span, other) for span in spans)
        for other in found
    )


def _is_near(span: Span, other: Diagnostic) -> bool:
    """Whether they touch, or a text that cannot be read stands on the line."""
    place, text = other.span, span.source.text
    if other.id in _UNREADABLE:
        line_end = text.find("\n", span.end)
        return text.rfind("\n", 0, span.start) < place.start and (line_end < 0 or place.start <= line_end)
    return span.start <= place.end and place.start <= span.end


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
