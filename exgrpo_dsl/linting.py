"""Lints of spec files: what `check` finds, and what could be better though it is right."""

from __future__ import annotations

from exgrpo_compiler.diagnostics import Diagnostic, has_errors
from exgrpo_compiler.lint.program import lint_program
from exgrpo_compiler.parse import parse_spec
from exgrpo_compiler.pipeline import check_spec
from exgrpo_compiler.source import Source
from exgrpo_dsl.loading import UnreadableSpecError, open_loader
from exgrpo_dsl.rewriting import read_spec_text


def lint_source(source: Source) -> tuple[Diagnostic, ...]:
    """What `check` finds and, where that holds no error, the lints.

    Raises:
        UnreadableSpecError: an imported file is no text.
    """
    checked = check_spec(source, open_loader(source.name))
    if checked.value is None or has_errors(checked.diagnostics):
        return checked.diagnostics
    parsed = parse_spec(source)
    assert parsed.value is not None
    return (*checked.diagnostics, *lint_program(parsed.value, checked.value.program))


def lint_file(path: str) -> tuple[Diagnostic, ...]:
    """The same of a file.

    Raises:
        UsageError: there is no such file, or it cannot be read.
    """
    try:
        return lint_source(read_spec_text(path).source)
    except UnreadableSpecError as error:
        return (error.diagnostic,)
