"""`exgrpo graph`: the pipeline and the reward as a picture."""

from __future__ import annotations

from pathlib import Path

import click

from exgrpo_dsl.cli.options import set_option, task_option


@click.command()
@click.argument("spec", type=click.Path(path_type=Path))
@click.option("--reward", metavar="NAME", help="Only this reward.")
@click.option(
    "--format", "format_", type=click.Choice(["mermaid", "svg", "json"]), default="mermaid", show_default=True
)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write to this file instead of stdout.",
)
@task_option
@set_option
def graph(
    spec: Path,
    reward: str | None,
    format_: str,
    out: Path | None,
    task: str | None,
    overrides: tuple[str, ...],
) -> int:
    """Draw the pipeline of SPEC's task and its rewards, each term with its level and the interval it lies in."""
    from exgrpo_dsl.cli.show import show_diagnostics
    from exgrpo_dsl.graph import draw_spec
    from exgrpo_dsl.specs import load_spec
    from exgrpo_runtime.run_dir import disk_boundary, write_text

    loaded = load_spec(spec, overrides=overrides)
    if loaded.has_errors or loaded.spec is None or loaded.source is None:
        show_diagnostics(loaded.diagnostics)
        return 1
    text = draw_spec(loaded.spec.program, loaded.source.name, format_, task=task, reward=reward)
    if out is None:
        click.echo(text, nl=False)
        return 0
    with disk_boundary(out, "Give another -o."):
        out.parent.mkdir(parents=True, exist_ok=True)
        write_text(out, text)
    click.echo(str(out))
    return 0
