"""`exgrpo preview`: what will teachers, students and judges read?"""

from __future__ import annotations

from pathlib import Path

import click

from exgrpo_dsl.cli.options import set_option, task_option


@click.command()
@click.argument("spec", type=click.Path(path_type=Path))
@click.option(
    "--row", type=click.IntRange(min=0), default=0, show_default=True, help="Row of the split, from 0."
)
@click.option("--split", metavar="NAME", help="Split of the task's data. [default: the first one]")
@click.option(
    "--rows", type=click.Path(path_type=Path), help="Take the row from this JSON Lines file instead."
)
@click.option(
    "--probes", type=click.Path(path_type=Path), help="A run's probes.jsonl, for probes that were made."
)
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text", show_default=True)
@task_option
@set_option
def preview(
    spec: Path,
    row: int,
    split: str | None,
    rows: Path | None,
    probes: Path | None,
    format_: str,
    task: str | None,
    overrides: tuple[str, ...],
) -> int:
    """Show every prompt and dialogue of SPEC in the words of one row.

    No model is asked. Secret values are marked; probes that no teacher has made yet stand as «probe 1.question».
    """
    import json
    import sys

    from exgrpo_dsl.cli.show import show_diagnostics, wants_color
    from exgrpo_dsl.preview.build import build_preview
    from exgrpo_dsl.preview.formats import build_json, render_text
    from exgrpo_dsl.preview.rows import find_row, read_probes
    from exgrpo_dsl.tasks import compile_task

    compiled = compile_task(spec, task, overrides)
    if compiled.manifest is None:
        show_diagnostics(compiled.diagnostics)
        return 1
    found = find_row(compiled.manifest, split, row, rows)
    given = read_probes(probes, found.plain.uid) if probes is not None else None
    built = build_preview(compiled.manifest, compiled.files, compiled.rewards.rewards, found, given)
    if format_ == "json":
        click.echo(json.dumps(build_json(built), ensure_ascii=False, indent=2))
    else:
        click.echo(render_text(built, color=wants_color(sys.stdout)))
    return 0
