"""Silences: `// allow: ID -- reason`, which takes a warning out of the report at the place where it is given.

A silence stands at the end of a line or alone on a line above it, and covers the diagnostics whose primary span begins on that
line. Where a statement without braces begins on the line, all of its lines are covered, and so a template is covered by a comment
above the statement that holds it; of a declaration or another block only the first line is. Several ids are separated by commas.

Only warnings can be silenced. A silence that says no reason, names no diagnostic, meant an error, or silenced nothing is reported
itself. This one function serves the command line and editors.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from exgrpo_artifact.named import NamedTuple
from exgrpo_compiler.ast import Block, Comment, Configured, SpecFile, Stmt
from exgrpo_compiler.diagnostics import Diagnostic, Edit, Fix, Label, has_errors
from exgrpo_compiler.lint import LINTS
from exgrpo_compiler.problems import Problems
from exgrpo_compiler.source import Source, Span

_MARK = "allow:"
_FORM = r"allow:\s*([\w-]+(?:\s*,\s*[\w-]+)*)\s*(?:--\s*(.*?))?\s*"
_REASON_HINT = "write `// allow: ID -- reason`"
_LOOSE_FORM = r"allow:?\s*([a-z]+(?:-[a-z0-9]+)+(?:\s*,\s*[\w-]+)*)\s*(?:(--)|[-\u2013\u2014:]+)?\s*(.*)"
"""What a silence with a slip in its signs looks like: no colon, or another dash before the reason."""


ON_REQUEST = LINTS | {"prompt-budget", "template-drift"}
"""What `lint` looks for, and what is measured only where a tokenizer and rows are at hand."""


class _Silence(NamedTuple):
    """One id of a silence."""

    id: str
    span: Span
    """Where the id stands."""
    comment: Span
    is_alone: bool
    """Whether its comment names no other id."""
    covered: Span


def drop_silenced(specs: Sequence[SpecFile], diagnostics: Sequence[Diagnostic]) -> tuple[Diagnostic, ...]:
    """The diagnostics without the silenced ones; for what is found after the silences themselves were looked at."""
    silences = _read_silences(specs, Problems())
    return tuple(
        found
        for found in diagnostics
        if found.severity == "error" or not any(_is_covered(found, silence) for silence in silences)
    )


def apply_lint_silences(spec: SpecFile, lints: Sequence[Diagnostic]) -> tuple[Diagnostic, ...]:
    """The lints of a file without the silenced ones, and its silences of lints that silenced none."""
    problems = Problems()
    for silence in _read_silences([spec], Problems()):
        if silence.id in LINTS and not any(_is_covered(found, silence) for found in lints):
            _report_unused(silence, problems)
    return (*drop_silenced([spec], lints), *problems.found)


def apply_silences(
    specs: Sequence[SpecFile], diagnostics: Sequence[Diagnostic], *, is_overridden: bool = False
) -> tuple[Diagnostic, ...]:
    """The diagnostics without those that are silenced where they stand, and what is wrong with the silences.

    Args:
        specs: every file of the compilation, the one that is checked first.
        diagnostics: what was found in all of them.
        is_overridden: values were changed from outside; a silence that the spec needs as it stands may then have no use.
    """
    problems = Problems()
    silences = _read_silences(specs, problems)
    if not silences and not problems:
        return tuple(diagnostics)
    used: set[_Silence] = set()
    kept: list[Diagnostic] = []
    for diagnostic in diagnostics:
        here = [silence for silence in silences if _is_covered(diagnostic, silence)]
        used.update(here)
        for silence in here if diagnostic.severity == "error" else ():
            _report_silenced_error(silence, diagnostic, problems)
        if not here or diagnostic.severity == "error":
            kept.append(diagnostic)
    if not is_overridden and _is_fully_checked(specs[0], diagnostics):
        for silence in silences:
            is_expected = silence.span.source.name == specs[0].source.name and silence.id not in ON_REQUEST
            if is_expected and silence not in used:
                _report_unused(silence, problems)
    return (*kept, *problems.found)


def _is_covered(diagnostic: Diagnostic, silence: _Silence) -> bool:
    covered = silence.covered
    return (
        diagnostic.id == silence.id
        and diagnostic.span.source.name == covered.source.name
        and covered.start <= diagnostic.span.start <= covered.end
    )


def _is_fully_checked(entry: SpecFile, diagnostics: Iterable[Diagnostic]) -> bool:
    """Whether every analysis has run: errors keep some from running, and a library without a task others."""
    return not has_errors(diagnostics) and any(decl.kind == "task" for decl in entry.decls)


def _read_silences(specs: Sequence[SpecFile], problems: Problems) -> list[_Silence]:
    return [
        silence
        for spec in specs
        for comment in spec.comments
        if _is_silence(comment.text)
        for silence in _read_silence(spec, comment, problems)
    ]


def _is_silence(text: str) -> bool:
    """Whether a comment is a silence, or was meant as one: `allow` without its colon before the id of a diagnostic."""
    if text.startswith(_MARK):
        return True
    if not text.startswith("allow "):
        return False
    from exgrpo_compiler.hints import GENERAL_HINTS

    match = re.fullmatch(_LOOSE_FORM, text)
    return match is not None and re.split(r"\s*,", match[1])[0] in GENERAL_HINTS


def _report_malformed(comment: Comment, has_ids: bool, problems: Problems) -> bool:
    """Reports a silence that lacks something; True where that is a sign only, so that it can be read all the same."""
    loose = re.fullmatch(_LOOSE_FORM, comment.text)
    fix: Fix | None = None
    if has_ids:
        message, hint = "This silence does not say why.", _REASON_HINT
    elif loose is None:
        message, hint = "This silence does not say what it silences.", _REASON_HINT
    elif not loose[3]:
        message, hint = "This silence does not say why.", f"write `// allow: {loose[1]} -- reason`"
    else:
        source = comment.span.source
        start = comment.span.start + source.text[comment.span.start : comment.span.end].index(comment.text)
        lacks = (
            "has no colon after `allow`"
            if not comment.text.startswith(_MARK)
            else "has no `--` before its reason"
        )
        text = f"allow: {loose[1]} -- {loose[3]}"
        message, hint = f"This silence {lacks}.", f"write `// {text}`"
        fix = Fix(hint, (Edit(Span(source, start, start + len(comment.text)), text),), is_safe=True)
    problems.error("silence-without-reason", comment.span, message, hint=hint, fix=fix)
    return fix is not None


def _read_silence(spec: SpecFile, comment: Comment, problems: Problems) -> Iterator[_Silence]:
    match = re.fullmatch(_FORM, comment.text)
    if match is None or not match[2]:
        if not _report_malformed(comment, match is not None, problems):
            return
        match = re.fullmatch(_LOOSE_FORM, comment.text)
        assert match is not None
    from exgrpo_compiler.hints import GENERAL_HINTS

    start = comment.span.start + spec.source.text[comment.span.start : comment.span.end].index(comment.text)
    names = list(re.finditer(r"[\w-]+", match[1]))
    covered = _find_covered(spec, comment)
    for name in names:
        at = start + match.start(1) + name.start()
        span = Span(spec.source, at, at + len(name[0]))
        if name[0] in GENERAL_HINTS:
            yield _Silence(name[0], span, comment.span, len(names) == 1, covered)
        else:
            problems.unknown(
                "unknown-silence",
                span,
                f"There is no diagnostic `{name[0]}`.",
                name[0],
                GENERAL_HINTS,
                "`exgrpo explain` lists them all:",
            )


def _find_covered(spec: SpecFile, comment: Comment) -> Span:
    """The line that a silence is about, or the whole statement without braces that begins on it."""
    source = spec.source
    line = source.locate(comment.span.start).line
    if not source.text[source.line_starts[line - 1] : comment.span.start].strip():
        line = _find_next_line(source, line)
    start = source.line_starts[line - 1]
    end = start + len(source.get_line(line))
    for span in _list_statements(spec):
        if start <= span.start <= end:
            end = max(end, span.end)
    return Span(source, start, end)


def _find_next_line(source: Source, line: int) -> int:
    """The first line after this one that holds more than a comment."""
    for number in range(line + 1, len(source.line_starts) + 1):
        text = source.get_line(number).strip()
        if text and not text.startswith("//"):
            return number
    return line


def _list_statements(spec: SpecFile) -> Iterator[Span]:
    """Every statement and declaration without braces of its own."""
    for use in spec.uses:
        yield use.span
    for decl in spec.decls:
        block = decl.value.block if isinstance(decl.value, Configured) else decl.block
        if block is None:
            yield decl.span
        else:
            yield from _list_block(block)


def _list_block(block: Block) -> Iterator[Span]:
    for statement in block.statements:
        inner = _get_block(statement)
        if inner is None:
            yield statement.span
        else:
            yield from _list_block(inner)


def _get_block(statement: Stmt) -> Block | None:
    return getattr(statement, "block", None)


def _report_silenced_error(silence: _Silence, diagnostic: Diagnostic, problems: Problems) -> None:
    problems.error(
        "silenced-error",
        silence.span,
        f"`{silence.id}` is an error here, and only warnings can be silenced.",
        labels=(Label(diagnostic.span, "the error is here"),),
    )


def _report_unused(silence: _Silence, problems: Problems) -> None:
    span = silence.comment if silence.is_alone else silence.span
    fix = Fix("remove the silence", (Edit(span, ""),), is_safe=True) if silence.is_alone else None
    problems.warning(
        "unused-silence", span, f"Nothing here gives `{silence.id}`, so this silences nothing.", fix=fix
    )
