"""All lints of one file, in the order of their places."""

from __future__ import annotations

from exgrpo_compiler.ast import SpecFile
from exgrpo_compiler.diagnostics import Diagnostic
from exgrpo_compiler.ir import CheckedProgram
from exgrpo_compiler.lint.documentation import lint_documentation
from exgrpo_compiler.lint.models import lint_models
from exgrpo_compiler.lint.rules import lint_rules
from exgrpo_compiler.lint.tasks import lint_tasks
from exgrpo_compiler.lint.tests import lint_tests
from exgrpo_compiler.problems import Problems
from exgrpo_compiler.silences import apply_lint_silences


def lint_program(spec: SpecFile, program: CheckedProgram) -> tuple[Diagnostic, ...]:
    """What is to be said about the file, after its silences; the file has no errors."""
    problems = Problems()
    lint_documentation(spec, problems)
    lint_models(spec, problems)
    lint_rules(spec, problems)
    lint_tasks(program, problems)
    lint_tests(spec, problems)
    found = sorted(problems.found, key=lambda each: (each.span.start, each.span.end))
    return apply_lint_silences(spec, found)
