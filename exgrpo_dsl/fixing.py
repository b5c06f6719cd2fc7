"""Fixes of diagnostics applied to spec files, round after round until none is left.

A file never ends with more errors than it had: a fix that would add one is left out. The one exception is what a syntax error hid:
where a declaration can be read again, what else is wrong in it is found.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from exgrpo_compiler.diagnostics import Diagnostic
from exgrpo_compiler.fixes import apply_fixes, list_fixable
from exgrpo_compiler.parse import parse_spec
from exgrpo_compiler.source import Source
from exgrpo_dsl.linting import lint_source
from exgrpo_dsl.rewriting import SpecText

MAX_ROUNDS = 20


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
        after = _try_fixes(source, wanted, _rank_errors(source, found))
        if after is None and len(wanted) > 1:
            wanted = wanted[:1]  # one of them is to blame: they are tried one at a time
            after = _try_fixes(source, wanted, _rank_errors(source, found))
        if after is None:
            refused.add((wanted[0].id, wanted[0].message))
            continue
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


def _try_fixes(source: Source, wanted: Sequence[Diagnostic], rank: _Rank) -> _Tried | None:
    """The source with fixes applied, or None where it has more errors than before, or the same report again."""
    applied = apply_fixes(source, wanted)
    after = Source(source.name, applied.text, source.module)
    found = lint_source(after)
    if applied.text == source.text or _rank_errors(after, found) > rank:
        return None
    return _Tried(after, found, applied.diagnostics)


def _rank_errors(source: Source, diagnostics: Sequence[Diagnostic]) -> _Rank:
    parsed = parse_spec(source).diagnostics
    return _Rank(*(sum(each.severity == "error" for each in found) for found in (parsed, diagnostics)))
