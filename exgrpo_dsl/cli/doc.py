"""`exgrpo doc`: a reference of a spec library."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), default=Path("reference"), show_default=True)
def doc(directory: Path, out: Path) -> int:
    """Write a static reference of the .exg files below DIR to OUT: one HTML page for each, and an index."""
    from exgrpo_dsl.doc import build_reference, write_reference

    click.echo(str(write_reference(build_reference(directory), out)))
    return 0
