"""`exgrpo compile`: spec to artifact."""

from __future__ import annotations

from pathlib import Path

import click

from exgrpo_dsl.cli.options import format_option, set_option, task_option


@click.command(name="compile")
@click.argument("spec", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), default=Path("build"), show_default=True)
@click.option(
    "--emit",
    "stage",
    type=click.Choice(["tokens", "ast", "resolved", "checked", "ir", "artifact"]),
    help="Print what this stage of the compiler makes of SPEC, and write nothing.",
)
@task_option
@set_option
@format_option
def compile_(
    spec: Path, out: Path, stage: str | None, task: str | None, overrides: tuple[str, ...], format_: str
) -> int:
    """Compile SPEC into OUT/TASK, one artifact directory per task.

    The same spec gives the same bytes on any machine. An artifact is replaced whole or not at all.
    """
    if stage is not None:
        return _print_stage(spec, stage, task, overrides)
    from exgrpo_dsl.api import compile_file, write_artifact
    from exgrpo_dsl.cli.show import show_diagnostics

    compiled = compile_file(spec, task=task, overrides=overrides)
    show_diagnostics(compiled.diagnostics, format_)
    if compiled.artifacts is None:
        return 1
    for name, files in compiled.artifacts.items():
        click.echo(str(write_artifact(files, out / name)), err=format_ != "human")
    return 0


def _print_stage(spec: Path, stage: str, task: str | None, overrides: tuple[str, ...]) -> int:
    from exgrpo_compiler.diagnostics import has_errors
    from exgrpo_dsl.cli.show import show_diagnostics
    from exgrpo_dsl.emit_stage import emit_stage

    emitted = emit_stage(spec, stage, task=task, overrides=overrides)
    show_diagnostics(emitted.diagnostics)
    if emitted.text is not None:
        click.echo(emitted.text, nl=False)
    return 1 if emitted.text is None or has_errors(emitted.diagnostics) else 0
