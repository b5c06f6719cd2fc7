"""`exgrpo lock`: what the libraries of a project are now."""

from __future__ import annotations

import click


@click.command()
@click.option(
    "--frozen", "is_frozen", is_flag=True, help="Fetch and write nothing; fail where the lock would change."
)
def lock(is_frozen: bool) -> int:
    """Write exg.lock for the exg.toml at or above the working directory, and fetch what is not on this machine.

    A library that is locked stays at its revision until `exgrpo update`.
    """
    from exgrpo_dsl.libraries.locking import find_root, list_changes, lock_project, read_pins

    root = find_root()
    _, wrong = read_pins(root)
    before, after = lock_project(root, is_frozen=is_frozen)
    if wrong is not None:
        click.echo("exg.lock could not be relied on: every library was resolved anew.", err=True)
    for line in list_changes(before, after):
        click.echo(line)
    click.echo("exg.lock is as it was." if before == after else f"{root / 'exg.lock'} is written.", err=True)
    return 0
