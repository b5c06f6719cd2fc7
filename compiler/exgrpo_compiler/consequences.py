"""One mistake is one report: what only follows from another report is left out, and what is missed in many places is said once.

Stages after a broken one go on with what is there, so that all mistakes are told at once; what they miss then may be there for the
author. Which report is the mistake and which its consequence is told here, in one place, from what was found and where.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from exgrpo_artifact.named import NamedTuple
from exgrpo_artifact.record import replace
from exgrpo_compiler.ast import Assign, Block, Configured, Decl, ForStep, GroupBlock, SpecFile, Stmt
from exgrpo_compiler.diagnostics import Diagnostic, Edit, Fix, Label, find_closest
from exgrpo_compiler.source import Span
from exgrpo_compiler.syntax.terminals import KINDS, STATEMENT_WORDS

_BRACKETS = frozenset({"unclosed-brace", "unopened-brace"})
_SHAPES = frozenset(
    {
        "dialogue-shape",
        "missing-argument",
        "missing-judgement",
        "missing-key",
        "missing-probes",
        "missing-total",
        "misplaced-statement",
        "mixed-braces",
        "value-count-mismatch",
    }
)
"""What a declaration may seem to lack or to have too much of because a part of it could not be read."""
_UNKNOWN = frozenset(
    {
        "rule-field-mismatch",
        "unknown-field",
        "unknown-name",
        "unknown-part",
        "unknown-path",
        "unknown-scenario",
        "unknown-split",
        "unknown-stage",
        "unknown-term",
    }
)
"""Reports about names that a spec declares itself: one slip where it is declared is missed wherever it is used."""
_UNUSED = "unused-"
_HEADER = re.compile(rf"^[ \t]*(?:{'|'.join(sorted(KINDS)).lower()})[ \t]+(\w+)", re.MULTILINE)
_STATEMENT = re.compile(rf"\s*(?:(?:{'|'.join(sorted(STATEMENT_WORDS)).lower()}|for)\b|[\w.]+\s*=[^=])")
MOST_LABELS = 5
"""Further places that one report shows."""


class _Miss(NamedTuple):
    """A name that is not there, and the one that may have been meant."""

    name: str
    meant: str | None


def drop_consequences(
    specs: Sequence[SpecFile], syntax: Sequence[Diagnostic], found: Sequence[Diagnostic]
) -> tuple[Diagnostic, ...]:
    """What was found without the consequences among it.

    Args:
        specs: every file of the compilation.
        syntax: what was found before names were looked up.
        found: everything, `syntax` among it.
    """
    kept = _drop_in_broken_text(specs, syntax, found)
    return tuple(_gather_misses(specs, kept))


# --- broken text --------------------------------------------------------------------------------------------


def _drop_in_broken_text(
    specs: Sequence[SpecFile], syntax: Sequence[Diagnostic], found: Sequence[Diagnostic]
) -> list[Diagnostic]:
    errors = [each for each in syntax if each.severity == "error" and not each.id.startswith("unknown-")]
    swallowed = list(_find_swallowed(errors))
    known = {id(each) for each in errors}
    kept = [
        each
        for each in found
        if id(each) not in known
        or not (_is_swallowed(each, swallowed) or any(_may_hide_signs(each, spec, errors) for spec in specs))
    ]
    later = {id(each) for each in kept} - known
    for spec in specs:
        for decl in spec.decls:
            # Only few declarations of a text are damaged: time stays linear in its length.
            inside = [each for each in errors if _is_inside(each, decl.span)] if decl.is_damaged else []
            if inside:
                dropped = {
                    id(each)
                    for each in kept
                    if id(each) in later and _is_inside(each, decl.span) and _follows(each, decl, inside)
                }
                kept = [each for each in kept if id(each) not in dropped]
    return kept


def _find_swallowed(errors: Sequence[Diagnostic]) -> Iterator[tuple[Diagnostic, int, int]]:
    """The first report about a quote, and the stretch in which further reports follow from it."""
    quotes = [each for each in errors if each.id == "unclosed-string"]
    for at, quote in enumerate(quotes):
        source = quote.span.source
        start = source.text.rfind("\n", 0, quote.span.start) + 1
        end = _find_line_end(quote.span)
        partner = quotes[at + 1] if at + 1 < len(quotes) else None
        is_block = (
            partner is not None
            and partner.span.source.name == source.name
            and _get_text(partner.span) == '"""'
        )
        if is_block and partner is not None and not _get_text(quote.span).strip('"').strip():
            end = _find_line_end(
                partner.span
            )  # the text between was meant to stand between `\"""` and `\"""`
        yield quote, start, end


def _may_hide_signs(problem: Diagnostic, spec: SpecFile, errors: Sequence[Diagnostic]) -> bool:
    """Whether a string that is not closed hides what would make sense of the braces in its declaration."""
    if problem.id != "mixed-braces":
        return False
    return any(
        _is_inside(problem, decl.span)
        and any(each.id == "unclosed-string" and _is_inside(each, decl.span) for each in errors)
        for decl in spec.decls
        if decl.is_damaged
    )


def _is_swallowed(problem: Diagnostic, swallowed: Iterable[tuple[Diagnostic, int, int]]) -> bool:
    return any(
        problem is not quote
        and problem.span.source.name == quote.span.source.name
        and start <= problem.span.start <= end
        and (problem.id != "unclosed-string" or problem.span.start > quote.span.start)
        for quote, start, end in swallowed
    )


def _follows(problem: Diagnostic, decl: Decl, errors: Sequence[Diagnostic]) -> bool:
    """Whether a report inside of a declaration may come of a syntax error there."""
    if problem.id in _SHAPES:
        return True
    if problem.id == "unknown-key" and problem.fix is None and any(each.id in _BRACKETS for each in errors):
        return True
    first, last = _find_stretch(problem.span, decl)
    return any(start <= last and first <= end for start, end in (_find_broken_lines(each) for each in errors))


def _find_broken_lines(error: Diagnostic) -> tuple[int, int]:
    """The line of a syntax error; where a bracket has no partner, from the line on which its statement begins."""
    line = _get_line(error.span, error.span.start)
    if error.id != "unopened-brace":
        return line, line
    lines = error.span.source.text.split("\n")
    first = next((at for at in range(line, 0, -1) if _STATEMENT.match(lines[at - 1])), line)
    return first, line


def _find_stretch(span: Span, decl: Decl) -> tuple[int, int]:
    """First and last line of the statement around a place, or of the place."""
    for statement in _list_statements(decl.block):
        if statement.span.start <= span.start <= statement.span.end:
            return _get_line(span, statement.span.start), _get_line(span, statement.span.end)
    return _get_line(span, span.start), _get_line(span, span.end)


def _list_statements(block: Block | None) -> Iterator[Stmt]:
    """Statements without statements in them."""
    for statement in block.statements if block is not None else ():
        if isinstance(statement, ForStep | GroupBlock):
            yield from _list_statements(statement.block)
        elif isinstance(statement, Assign) and isinstance(statement.value, Configured):
            yield from _list_statements(statement.value.block)
        else:
            yield statement


def _is_inside(problem: Diagnostic, span: Span) -> bool:
    return problem.span.source.name == span.source.name and span.start <= problem.span.start <= span.end


def _get_line(span: Span, offset: int) -> int:
    return span.source.locate(offset).line


def _find_line_end(span: Span) -> int:
    end = span.source.text.find("\n", span.end)
    return end if end >= 0 else len(span.source.text)


def _get_text(span: Span) -> str:
    return span.source.text[span.start : span.end]


# --- names --------------------------------------------------------------------------------------------------


def _gather_misses(specs: Sequence[SpecFile], found: Sequence[Diagnostic]) -> Iterator[Diagnostic]:
    """What was found, a name that is missed in several places once, with the further places as labels."""
    lost = frozenset[str]().union(*(spec.lost_names for spec in specs))
    headers = [name for spec in specs if spec.lost_names for name in _list_lost_headers(spec)]
    misses = {id(each): miss for each in found if (miss := _get_miss(each)) is not None}
    groups: dict[frozenset[str], list[Diagnostic]] = {}
    for each in found:
        miss = misses.get(id(each))
        if miss is not None:
            groups.setdefault(_find_cause(each, miss, misses.values()), []).append(each)
    others = {id(each) for group in groups.values() for each in group[1:]}
    firsts = {id(group[0]): group for group in groups.values()}
    meant = {name for miss in misses.values() for name in (miss.meant,) if name is not None}
    meant.update(
        each.fix.edits[0].text for each in found if each.id == "kind-mismatch" and each.fix is not None
    )
    for each in found:
        if id(each) in others or (each.id.startswith(_UNUSED) and _get_text(each.span) in meant):
            continue
        if id(each) in misses and _is_lost(misses[id(each)].name, lost, headers):
            continue  # it stands in text that could not be read, which was reported
        yield _join(firsts[id(each)]) if id(each) in firsts else each


def _list_lost_headers(spec: SpecFile) -> list[str]:
    """Names in what begins like a declaration and could not be read."""
    declared = {decl.name.text for decl in spec.decls}
    return [name for name in _HEADER.findall(spec.source.text) if name not in declared]


def _is_lost(name: str, lost: frozenset[str], headers: Sequence[str]) -> bool:
    return (
        name in lost
        or any(header.startswith(name) for header in headers)
        or (bool(headers) and find_closest(name, headers) is not None)
    )


def _get_miss(problem: Diagnostic) -> _Miss | None:
    if problem.severity != "error" or problem.id not in _UNKNOWN:
        return None
    if problem.missed is not None:
        return _Miss(*problem.missed)
    meant = problem.fix.edits[0].text.strip('"') if problem.fix is not None else None
    return _Miss(_get_text(problem.span).strip('"'), meant)


def _find_cause(problem: Diagnostic, miss: _Miss, misses: Iterable[_Miss]) -> frozenset[str]:
    """What reports of one mistake share: two names that stand for each other, or one name missed in one way."""
    if miss.meant is not None:
        return frozenset((miss.name, miss.meant))
    other = next((each for each in misses if each.meant == miss.name), None)
    if other is not None:
        return frozenset((miss.name, other.name))
    if problem.id == "unknown-scenario":
        return frozenset((miss.name, problem.id))  # rewards, stages and tests say it in words of their own
    return frozenset((miss.name, problem.id, problem.message))


def _join(group: Sequence[Diagnostic]) -> Diagnostic:
    """One report for all of a group: the first, with the places of the others."""
    first, others = group[0], group[1:]
    if not others:
        return first
    places: Mapping[tuple[str, int], Diagnostic] = {
        (each.span.source.name, each.span.start): each for each in others
    }
    shown = list(places.values())[:MOST_LABELS]
    labels = [Label(each.span, _describe_place(each, first)) for each in shown]
    if len(places) > len(shown):
        labels[-1] = Label(shown[-1].span, f"and here, and in {len(places) - len(shown)} more places")
    return replace(first, labels=(*first.labels, *labels), fix=_join_fixes(group))


def _describe_place(problem: Diagnostic, first: Diagnostic) -> str:
    if problem.message == first.message or problem.id == first.id:
        return "and here"
    return problem.message[:1].lower() + problem.message[1:].removesuffix(".")


def _join_fixes(group: Sequence[Diagnostic]) -> Fix | None:
    """The same edit in every place of the first one's file, or the first one's alone where one place has another."""
    fix, file = group[0].fix, group[0].span.source.name
    fixes = [each.fix for each in group if each.fix is not None and each.span.source.name == file]
    if fix is None or any(each.title != fix.title for each in fixes):
        return fix
    edits: dict[tuple[str, int], Edit] = {}
    for each in fixes:
        edits.update(((edit.span.source.name, edit.span.start), edit) for edit in each.edits)
    return Fix(fix.title, tuple(edits.values()), is_safe=all(each.is_safe for each in fixes))
