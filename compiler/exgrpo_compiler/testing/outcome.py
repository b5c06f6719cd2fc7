"""Tests of many files, run: what `exgrpo test` prints in any of its forms."""

from __future__ import annotations

from exgrpo_artifact.record import Record
from exgrpo_compiler.diagnostics import Diagnostic, has_errors
from exgrpo_compiler.ir import CheckedProgram
from exgrpo_compiler.testing.run import Graphs, Result, lower_tested_rewards, run_test


class FileOutcome(Record):
    """One file's tests. None of them was run where the file has errors."""

    name: str
    diagnostics: tuple[Diagnostic, ...]
    results: tuple[Result, ...]

    @property
    def is_broken(self) -> bool:
        """Whether the file has errors."""
        return has_errors(self.diagnostics)


class Totals(Record):
    """Counts over all files."""

    passed: int
    failed: int
    broken: int
    """Files with errors."""

    @property
    def is_ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.failed and not self.broken


def run_program(
    name: str,
    program: CheckedProgram | None,
    diagnostics: tuple[Diagnostic, ...],
    graphs: Graphs | None = None,
) -> FileOutcome:
    """The file's own tests, run. `graphs` are its tested rewards where they were lowered before."""
    if program is None or has_errors(diagnostics):
        return FileOutcome(name, diagnostics, ())
    lowered = lower_tested_rewards(program) if graphs is None else graphs
    return FileOutcome(name, diagnostics, tuple(run_test(test, lowered) for test in program.tests))


def count_results(outcomes: tuple[FileOutcome, ...]) -> Totals:
    """Counts over all files."""
    results = [result for outcome in outcomes for result in outcome.results]
    passed = sum(result.has_passed for result in results)
    return Totals(passed, len(results) - passed, sum(outcome.is_broken for outcome in outcomes))
