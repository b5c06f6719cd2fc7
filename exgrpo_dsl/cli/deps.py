"""`exgrpo deps`: which library is there because of whom."""

from __future__ import annotations

import click


@click.command()
def deps() -> int:
    """Print the libraries of the project as a tree, as they are locked. Every file of them is compared with the lock."""
    from exgrpo_dsl.check_cache import MANIFEST
    from exgrpo_dsl.libraries.lockfile import LOCK, Lock, read_lock
    from exgrpo_dsl.libraries.locking import find_root
    from exgrpo_dsl.libraries.manifest import read_manifest
    from exgrpo_dsl.libraries.project import open_project
    from exgrpo_dsl.libraries.tree import render_tree

    root = find_root()
    open_project(str(root / MANIFEST))
    click.echo(render_tree(read_manifest(root / MANIFEST), read_lock(root / LOCK) or Lock((), {})))
    return 0
