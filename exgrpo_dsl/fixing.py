"""Fixes of diagnostics applied to spec files, round after round until none is left.

Fixes are applied together where that goes well, else one at a time, and one that does not go well is left out. It goes well where
what was mended is gone, fewer errors are left, and no safe edit stands where something else is wrong. The one exception is what a
syntax error hid: where a declaration can be read again, what else is wrong in it is found.
"""

from __future__ import annotations

from collections.abc import Sequence

from exgrpo_artifact.named import NamedTuple
from exgrpo_compiler.diagnostics import Diagnostic
from exgrpo_compiler.fixes import apply_fixes, list_fixable
from exgrpo_compiler.parse import parse_spec
from exgrpo_compiler.source import Source
from exgrpo_dsl.linting import lint_source
from exgrpo_dsl.rewriting import SpecText

MAX_ROUNDS = 20
MAX_SINGLE = 50
"""Fixes that are tried one at a time: each costs a check of the whole file."""


class Fixed(NamedTuple):
    """A spec after all fixes, what was applied to make it, and what is still found in it."""

    source: Source
    applied: tuple[Diagnostic, ...]
    remaining: tuple[Diagnostic, ...]


def fix_spec(spec: SpecText, *, is_unsafe: bool) -> Fixed:
    """The text of a spec with its fixes applied; nothing is written.

    Raises:
        UnreadableSpecError: an imported file is no text.
    """
    source = spec.source
    found = lint_source(source)
    applied: list[Diagnostic] = []
    refused: set[tuple[str, str]] = set()
    for _ in range(MAX_ROUNDS):
        wanted = [
            each
            for each in list_fixable(source, found, is_unsafe=is_unsafe)
            if (each.id, each.message) not in refused
        ]
        if not wanted:
            break
        after = _try_fixes(source, wanted, found)
        for each in wanted if after is None and len(wanted) <= MAX_SINGLE else ():
            after = _try_fixes(source, [each], found)
            if after is not None:
                break
            refused.add((each.id, each.message))
        if after is None:
            break
        source, found, used = after
        applied.extend(used)
    return Fixed(source, tuple(applied), found)


class _Rank(NamedTuple):
    """How bad a spec is: its syntax first, for that decides what else is found."""

    num_syntax_errors: int
    num_errors: int


class _Tried(NamedTuple):
    source: Source
    diagnostics: tuple[Diagnostic, ...]
    used: tuple[Diagnostic, ...]


def _try_fixes(source: Source, wanted: Sequence[Diagnostic], before: Sequence[Diagnostic]) -> _Tried | None:
    """The source with fixes applied, or None where that does not go well."""
    applied = apply_fixes(source, wanted)
    after = Source(source.name, applied.text, source.module)
    found = lint_source(after)
    rank, was = _rank_errors(after, found), _rank_errors(source, before)
    mends_error = any(each.severity == "error" for each in applied.diagnostics)
    if applied.text == source.text or rank > was or (mends_error and rank == was):
        return None
    if _count(found, applied.diagnostics) >= _count(before, applied.diagnostics):
        return None
    if rank.num_syntax_errors == was.num_syntax_errors and _list_errors(found) - _list_errors(before):
        return None
    return _Tried(after, found, applied.diagnostics)


def _list_errors(found: Sequence[Diagnostic]) -> set[tuple[str, str]]:
    return {(each.id, each.message) for each in found if each.severity == "error"}


def _count(found: Sequence[Diagnostic], mended: Sequence[Diagnostic]) -> int:
    """How many reports say what the mended ones said."""
    said = {(each.id, each.message) for each in mended}
    return sum((each.id, each.message) in said for each in found)


def _rank_errors(source: Source, diagnostics: Sequence[Diagnostic]) -> _Rank:
    parsed = parse_spec(source).diagnostics
    return _Rank(*(sum(each.severity == "error" for each in found) for found in (parsed, diagnostics)))
