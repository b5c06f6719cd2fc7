"""The driver: source -> parse -> resolve -> override -> check -> prove -> lower -> emit, in a straight line.

What only some calls need (overrides, emission) is imported when it is needed: a cold `check` is mostly imports.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from exgrpo_artifact.named import NamedTuple
from exgrpo_compiler.ast import SpecFile
from exgrpo_compiler.check.program import check_program
from exgrpo_compiler.check.secrets import check_secrets
from exgrpo_compiler.diagnostics import Diagnostic, Outcome, has_errors, suggest_name
from exgrpo_compiler.ir import CheckedProgram
from exgrpo_compiler.parse import parse_expression, parse_spec
from exgrpo_compiler.problems import list_names
from exgrpo_compiler.program import Load, Overridden, Program, TermsOff
from exgrpo_compiler.prove.program import Proved, prove_program
from exgrpo_compiler.resolve import resolve_program
from exgrpo_compiler.silences import apply_silences
from exgrpo_compiler.source import Source, Span

__all__ = ["ArtifactFiles", "CheckedSpec", "Load", "check_spec", "compile_spec"]

ArtifactFiles = dict[str, str]
"""Path inside the artifact -> text."""

Parse = Callable[[Source], Outcome[SpecFile]]
"""How a file is parsed: `parse_spec`, or what remembers its results."""


class CheckedSpec(NamedTuple):
    """A checked program and what was changed from outside."""

    program: CheckedProgram
    overrides: tuple[str, ...]
    turned_off: tuple[str, ...]
    notes: tuple[str, ...]
    """What is worth knowing though nothing is wrong."""


def check_spec(
    source: Source, load: Load, *, overrides: Sequence[str] = (), parse: Parse = parse_spec
) -> Outcome[CheckedSpec]:
    """Everything up to and including the checks. The value may hold broken declarations: look at the diagnostics."""
    resolved = resolve_program(source, load, parse)
    if resolved.value is None:
        return Outcome(None, resolved.diagnostics)
    changed = _override(resolved.value, overrides)
    assert changed.value is not None
    program, turned_off, terms_off = changed.value.program, changed.value.turned_off, changed.value.terms_off
    # Where a file could not be read as a whole, or an import not found, what was lost may be what a proof misses.
    is_whole = not has_errors((*resolved.diagnostics, *changed.diagnostics))
    own = _examine(program, terms_off, resolved.value, is_proved=is_whole)
    is_proved = is_whole and not has_errors(own.diagnostics)
    variants = _check_variants(program, terms_off, resolved.value, own.diagnostics, is_proved=is_proved)
    diagnostics = _merge(resolved.diagnostics, changed.diagnostics, own.diagnostics, variants)
    specs = [module.spec for module in resolved.value.modules.values()]
    if has_errors(diagnostics):
        from exgrpo_compiler.consequences import drop_consequences  # here: most specs have no mistake

        diagnostics = drop_consequences(specs, resolved.diagnostics, diagnostics)
    if overrides:
        from exgrpo_compiler.override_labels import label_overrides

        diagnostics = label_overrides(changed.value.replaced, diagnostics)
    reported = apply_silences(specs, diagnostics, is_overridden=bool(overrides))
    return Outcome(CheckedSpec(own.checked, tuple(overrides), turned_off, own.notes), reported)


class _Examined(NamedTuple):
    """A checked program with all that was found in it, by checks, flow and proofs."""

    checked: CheckedProgram
    diagnostics: tuple[Diagnostic, ...]
    notes: tuple[str, ...]


def _examine(program: Program, terms_off: TermsOff, written: Program, *, is_proved: bool = True) -> _Examined:
    checked = check_program(program, terms_off, written)
    assert checked.value is not None
    secrets = check_secrets(checked.value, program)
    proved = prove_program(program, checked.value) if is_proved else Proved((), ())
    found = _merge(checked.diagnostics, secrets, proved.diagnostics)
    return _Examined(checked.value, found, proved.notes)


def _check_variants(
    program: Program,
    terms_off: TermsOff,
    written: Program,
    found: tuple[Diagnostic, ...],
    *,
    is_proved: bool,
) -> tuple[Diagnostic, ...]:
    """What is wrong in the variants of studies, each of them a program of its own."""
    if not program.keys_of("study"):
        return ()
    from exgrpo_compiler.check.variants import check_variants

    return check_variants(
        program,
        found,
        lambda variant, off: _examine(variant, terms_off | off, written, is_proved=is_proved).diagnostics,
    )


def compile_spec(
    source: Source, load: Load, *, task: str | None = None, overrides: Sequence[str] = ()
) -> Outcome[dict[str, ArtifactFiles]]:
    """The artifact files of one task, or of all tasks of the file, by task name."""
    checked = check_spec(source, load, overrides=overrides)
    if checked.value is None or has_errors(checked.diagnostics):
        return Outcome(None, checked.diagnostics)
    problem = _find_task_problem(source, checked.value.program, task)
    if problem is not None:
        return Outcome(None, (*checked.diagnostics, problem))
    from exgrpo_compiler.emit import emit_artifact
    from exgrpo_compiler.lower.task import lower_task

    names = [task] if task is not None else list(checked.value.program.tasks)
    artifacts = {
        name: emit_artifact(
            lower_task(checked.value.program, name), checked.value.overrides, checked.value.turned_off
        )
        for name in names
    }
    return Outcome(artifacts, checked.diagnostics)


def _override(program: Program, overrides: Sequence[str]) -> Outcome[Overridden]:
    if not overrides:
        return Outcome(Overridden(program))
    from exgrpo_compiler.overrides import apply_overrides

    return apply_overrides(program, overrides, parse_expression)


def _find_task_problem(source: Source, program: CheckedProgram, task: str | None) -> Diagnostic | None:
    start = Span(source, 0, min(1, len(source.text)))
    if not program.tasks:
        return Diagnostic(
            "no-task",
            "error",
            "This spec declares no task, so there is nothing to compile.",
            start,
            hint="add `task NAME { data = …; student = …; stage … }`; a library of rules has none and is only imported",
        )
    if task is not None and task not in program.tasks:
        hint = suggest_name(task, program.tasks) or list_names(program.tasks, "its tasks are")
        return Diagnostic("unknown-task", "error", f"This spec has no task `{task}`.", start, hint=hint)
    return None


def _merge(*parts: tuple[Diagnostic, ...]) -> tuple[Diagnostic, ...]:
    return tuple(diagnostic for part in parts for diagnostic in part)
