"""`exgrpo update`: libraries as they are now where they come from."""

from __future__ import annotations

import click


@click.command()
@click.argument("name", required=False)
def update(name: str | None) -> int:
    """Lock NAME, or every library, at what its place has now: the branch or tag, the installed version, the folder."""
    from exgrpo_dsl.libraries.locking import find_root, list_changes, update_project

    before, after = update_project(find_root(), name)
    for line in list_changes(before, after):
        click.echo(line)
    click.echo("Nothing has changed." if before == after else "exg.lock is written.", err=True)
    return 0
