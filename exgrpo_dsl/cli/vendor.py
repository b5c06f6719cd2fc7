"""`exgrpo vendor`: libraries copied into the project."""

from __future__ import annotations

import click


@click.command()
@click.option("--frozen", "is_frozen", is_flag=True, help="Fetch nothing.")
def vendor(is_frozen: bool) -> int:
    """Copy the locked libraries from git and packages to .exg/vendor, where `check` reads them first."""
    from exgrpo_dsl.libraries.locking import find_root
    from exgrpo_dsl.libraries.project import VENDOR
    from exgrpo_dsl.libraries.vendoring import vendor_project

    root = find_root()
    names = vendor_project(root, is_frozen=is_frozen)
    for name in names:
        click.echo(str(root / VENDOR / name))
    if not names:
        click.echo("There is nothing to vendor: no library comes from git or a package.", err=True)
    return 0
