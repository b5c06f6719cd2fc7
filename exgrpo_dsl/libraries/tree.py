"""The libraries of a project as a tree: who requires what, and what is locked."""

from __future__ import annotations

from collections.abc import Sequence

from exgrpo_dsl.libraries.lockfile import Lock
from exgrpo_dsl.libraries.manifest import Manifest


def render_tree(manifest: Manifest, lock: Lock) -> str:
    """One line a library below whoever requires it; what a library requires is shown where it stands first."""
    lines = [f"{manifest.name} {manifest.version}"]
    shown: set[str] = set()

    def add(names: Sequence[str], indent: str) -> None:
        for name in sorted(names):
            one = lock.libraries[name]
            commit = f" = {one.revision[:12]}" if one.origin.kind == "git" else ""
            is_again = name in shown and bool(one.requires)
            again = " (see above)" if is_again else ""
            lines.append(f"{indent}{name} {one.version} ({one.origin.describe()}{commit}){again}")
            shown.add(name)
            if not is_again:
                add(one.requires, indent + "  ")

    add(lock.requires, "  ")
    return "\n".join(lines)
