"""One library more: `exg.toml` and `exg.lock` change together or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from exgrpo_dsl.check_cache import MANIFEST
from exgrpo_dsl.errors import ProjectError
from exgrpo_dsl.libraries.editing import add_requirement
from exgrpo_dsl.libraries.lockfile import LOCK, Lock, read_lock
from exgrpo_dsl.libraries.locking import compute_lock, write_lock
from exgrpo_dsl.libraries.origin import read_origin
from exgrpo_runtime.run_dir import disk_boundary, write_text


def add_library(root: Path, name: str, table: Mapping[str, str]) -> tuple[Lock | None, Lock]:
    """Requires a library from where `table` says; gives the lock as it was and as it is.

    Raises:
        ProjectError: the manifest, the lock or a library is wrong; nothing was written.
        LibraryError: the place of a library cannot be read; nothing was written.
        DiskError: the disk refuses.
    """
    path = root / MANIFEST
    origin = read_origin(name, dict(table), f"`exgrpo add {name}`")
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ProjectError(f"{path} cannot be read: {error}.") from error
    edited, manifest = add_requirement(text, name, origin, path)
    before = read_lock(root / LOCK)
    after = compute_lock(root, manifest, before.libraries if before else {})
    # The manifest last: a stop in between leaves a lock that says itself that it does not fit.
    write_lock(root, after)
    with disk_boundary(path, "It is as it was; run `exgrpo lock`."):
        write_text(path, edited)
    return before, after
