"""`exgrpo stress`: what does junk earn?"""

from __future__ import annotations

from pathlib import Path

import click

from exgrpo_dsl.cli.options import set_option


@click.command()
@click.argument("spec", type=click.Path(path_type=Path))
@click.option(
    "--rows",
    type=click.Path(path_type=Path),
    help="Rows of the dataset, as JSON Lines. [default: the spec's tests]",
)
@click.option("--top", type=click.IntRange(min=1), default=8, show_default=True, help="Completions to show.")
@click.option("--format", "format_", type=click.Choice(["human", "json"]), default="human", show_default=True)
@set_option
def stress(spec: Path, rows: Path | None, top: int, format_: str, overrides: tuple[str, ...]) -> int:
    """Attack the rewards of SPEC with junk and show what it earns beside honest answers.

    No model is asked: a judge gives its best to the junk and its worst to the honest. Exits 1 where some junk earns at least
    what an honest right answer earns.
    """
    import json
    import sys

    from exgrpo_compiler.diagnostics import has_errors
    from exgrpo_dsl.cli.show import show_diagnostics, wants_color
    from exgrpo_dsl.stress import build_json, render_stress, stress_file

    stressed = stress_file(spec, rows=rows, overrides=overrides)
    if has_errors(stressed.diagnostics):
        show_diagnostics(stressed.diagnostics)
        return 1
    if format_ == "json":
        click.echo(json.dumps(build_json(stressed.rewards, top), ensure_ascii=False, indent=2))
    else:
        color = wants_color(sys.stdout)
        for one in stressed.rewards:
            for line, is_hack in render_stress(one, top):
                click.echo(click.style(line, fg="red") if color and is_hack else line)
    return 1 if any(one.is_hackable or one.is_idle for one in stressed.rewards) else 0
