"""The artifact that a command works on: a directory that was compiled before, or a spec that is compiled now."""

from __future__ import annotations

from pathlib import Path

import click


def prepare_artifact(
    target: Path, scratch: Path, task: str | None, overrides: tuple[str, ...]
) -> Path | None:
    """The artifact directory of what was named; None after showing what is wrong with the spec.

    Args:
        target: a spec or an artifact directory.
        scratch: where a spec is compiled to.
        task: which task, where the spec has several.
        overrides: as given with `--set`.

    Raises:
        UsageError: options of a spec were given with an artifact, or it is open which task is meant.
    """
    if target.is_dir():
        if overrides or task:
            option = "--set" if overrides else "--task"
            raise click.UsageError(
                f"{option} works on a spec; {target} is compiled already. Name the .exg file instead."
            )
        return target
    from exgrpo_dsl.api import compile_file, write_artifact
    from exgrpo_dsl.cli.show import show_diagnostics

    compiled = compile_file(target, task=task, overrides=overrides)
    show_diagnostics(compiled.diagnostics)
    if compiled.artifacts is None:
        return None
    if len(compiled.artifacts) > 1:
        names = ", ".join(sorted(compiled.artifacts))
        raise click.UsageError(f"{target} declares several tasks ({names}); choose one with --task.")
    ((name, files),) = compiled.artifacts.items()
    return write_artifact(files, scratch / name)
