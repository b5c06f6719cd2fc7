"""One stage of the compiler as text, also for a spec with mistakes as far as the stage gets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from exgrpo_artifact.named import NamedTuple
from exgrpo_compiler.diagnostics import Diagnostic
from exgrpo_compiler.dump_stages import dump_artifact, dump_checked, dump_ir, dump_resolved
from exgrpo_compiler.overrides import apply_overrides
from exgrpo_compiler.parse import parse_expression, parse_spec
from exgrpo_compiler.resolve import resolve_program
from exgrpo_compiler.source import Source
from exgrpo_dsl.api import compile_file
from exgrpo_dsl.loading import UnreadableSpecError, open_loader, open_spec
from exgrpo_dsl.specs import load_spec

STAGES: Final = ("tokens", "ast", "resolved", "checked", "ir", "artifact")


class Emitted(NamedTuple):
    """A stage's text, or None where it cannot be reached, and everything found on the way."""

    text: str | None
    diagnostics: tuple[Diagnostic, ...]


def emit_stage(path: Path, stage: str, *, task: str | None = None, overrides: Sequence[str] = ()) -> Emitted:
    """What a stage makes of a spec file.

    Raises:
        UsageError: there is no such file.
    """
    try:
        return _emit(path, stage, task, overrides)
    except UnreadableSpecError as error:
        # The spec's own file, or one that it imports.
        return Emitted(None, (error.diagnostic,))


def _emit(path: Path, stage: str, task: str | None, overrides: Sequence[str]) -> Emitted:
    source = open_spec(path)
    if stage in ("tokens", "ast"):
        return _emit_syntax(source, stage)
    if stage == "resolved":
        return _emit_resolved(source, overrides)
    if stage == "checked":
        loaded = load_spec(path, overrides=overrides)
        program = loaded.spec.program if loaded.spec is not None else None
        return Emitted(dump_checked(program) if program is not None else None, loaded.diagnostics)
    compiled = compile_file(path, task=task, overrides=overrides)
    if compiled.artifacts is None:
        return Emitted(None, compiled.diagnostics)
    if stage == "artifact":
        return Emitted(dump_artifact(compiled.artifacts), compiled.diagnostics)
    spec = load_spec(path, overrides=overrides).spec
    assert spec is not None
    return Emitted(dump_ir(spec.program, list(compiled.artifacts)), compiled.diagnostics)


def _emit_syntax(source: Source, stage: str) -> Emitted:
    from exgrpo_compiler.dump import dump_ast, dump_tokens

    if stage == "tokens":
        return Emitted(dump_tokens(source).rstrip("\n") + "\n", ())
    parsed = parse_spec(source)
    text = dump_ast(parsed.value).rstrip("\n") + "\n" if parsed.value is not None else None
    return Emitted(text, parsed.diagnostics)


def _emit_resolved(source: Source, overrides: Sequence[str]) -> Emitted:
    resolved = resolve_program(source, open_loader(source.name), parse_spec)
    if resolved.value is None:
        return Emitted(None, resolved.diagnostics)
    changed = apply_overrides(resolved.value, overrides, parse_expression)
    program = changed.value.program if changed.value is not None else resolved.value
    return Emitted(dump_resolved(program), (*resolved.diagnostics, *changed.diagnostics))
