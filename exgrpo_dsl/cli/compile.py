"""`exgrpo compile`: spec to artifact."""

from __future__ import annotations

from pathlib import Path

import click

from exgrpo_dsl.cli.options import format_option, set_option, task_option


@click.command(name="compile")
@click.argument("spec", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), default=Path("build"), show_default=True)
@task_option
@set_option
@format_option
def compile_(spec: Path, out: Path, task: str | None, overrides: tuple[str, ...], format_: str) -> int:
    """Compile SPEC into OUT/TASK, one artifact directory per task.

    The same spec gives the same bytes on any machine. An artifact is replaced whole or not at all.
    """
    from exgrpo_dsl.api import compile_file, write_artifact
    from exgrpo_dsl.cli.show import show_diagnostics

    compiled = compile_file(spec, task=task, overrides=overrides)
    show_diagnostics(compiled.diagnostics, format_)
    if compiled.artifacts is None:
        return 1
    for name, files in compiled.artifacts.items():
        click.echo(str(write_artifact(files, out / name)), err=format_ != "human")
    return 0
