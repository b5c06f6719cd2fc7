"""`exgrpo new`: a spec to begin with."""

from __future__ import annotations

import shlex
from pathlib import Path

import click


def _list_kinds(context: click.Context, _: click.Parameter, is_given: bool) -> None:
    if not is_given or context.resilient_parsing:
        return
    from exgrpo_dsl.starters import KINDS

    for kind, what in KINDS.items():
        click.echo(f"{kind:8}{what}")
    context.exit()


@click.command()
@click.argument("name")
@click.option(
    "--kind",
    default="math",
    show_default=True,
    metavar="KIND",
    help="What answers are: math, choice, yesno, free.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="The directory; by default this one.",
)
@click.option(
    "--list", is_flag=True, is_eager=True, expose_value=False, callback=_list_kinds, help="List the kinds."
)
def new(name: str, kind: str, output: Path | None) -> int:
    """Write NAME.exg and rows.jsonl: a complete spec that trains as it stands on its three example rows.

    It needs no network: the student is made from random weights, the teacher from templates. Comments in the spec show the lines that
    put real ones in their place. Nothing that exists is overwritten.
    """
    from exgrpo_dsl.starters import write_starter

    paths = write_starter(name, kind, output or Path())
    for path in paths:
        click.echo(f"wrote {path}")
    spec = paths[0]
    # Paths of data are relative to the working directory.
    there = "" if output is None or output == Path() else f"cd {shlex.quote(str(spec.parent))} && "
    named = shlex.quote(spec.name)
    click.echo(f"Next: {there}exgrpo check {named} && exgrpo test {named} && exgrpo run {named}", err=True)
    return 0
