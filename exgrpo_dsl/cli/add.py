"""`exgrpo add`: one library more."""

from __future__ import annotations

import click


@click.command()
@click.argument("name")
@click.option("--path", help="Folder of the library, relative to exg.toml.")
@click.option("--git", "url", help="URL of its repository; with --rev.")
@click.option("--rev", help="Branch, tag or commit; with --git.")
@click.option("--package", help="Installed Python package that has it.")
def add(name: str, path: str | None, url: str | None, rev: str | None, package: str | None) -> int:
    """Require the library NAME, from one place, in exg.toml, and lock it. Neither file changes where that fails."""
    if sum(each is not None for each in (path, url, package)) != 1:
        raise click.UsageError("Give one of --path, --git and --package.")
    if (url is None) != (rev is None):
        raise click.UsageError("--git and --rev belong together.")
    from exgrpo_dsl.libraries.adding import add_library
    from exgrpo_dsl.libraries.locking import find_root, list_changes
    from exgrpo_dsl.libraries.manifest import is_name

    if not is_name(name):
        raise click.UsageError(f"{name} is no name that `use` can say: write it in snake_case.")
    given = {"path": path, "git": url, "rev": rev, "package": package}
    before, after = add_library(
        find_root(), name, {key: value for key, value in given.items() if value is not None}
    )
    for line in list_changes(before, after):
        click.echo(line)
    return 0
