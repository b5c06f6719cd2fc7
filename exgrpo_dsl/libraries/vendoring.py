"""Libraries copied into the project, so that it checks where nothing can be fetched."""

from __future__ import annotations

import shutil
from pathlib import Path

from exgrpo_artifact.errors import DiskError
from exgrpo_dsl.check_cache import MANIFEST
from exgrpo_dsl.errors import ProjectError
from exgrpo_dsl.libraries.content import hash_files, read_folder
from exgrpo_dsl.libraries.git import fetch_commit
from exgrpo_dsl.libraries.lockfile import LOCK, Lock, LockedLibrary, read_lock
from exgrpo_dsl.libraries.locking import read_vendored
from exgrpo_dsl.libraries.manifest import read_manifest
from exgrpo_dsl.libraries.packages import find_installed
from exgrpo_dsl.libraries.project import VENDOR, verify_fresh
from exgrpo_dsl.libraries.store import read_stored, replace_folder


def vendor_project(root: Path, *, is_frozen: bool) -> list[str]:
    """Makes the project's vendor folder hold its libraries from git and packages, as they are locked; gives their names.

    A library by path is where the project can reach it already. All files are at hand before the first is written.

    Raises:
        ProjectError: the lock is missing, stale or tampered with, or a library is no longer what was locked.
        LibraryError: a library must be fetched and cannot be.
        DiskError: the disk refuses.
    """
    lock = _read_fresh(root)
    wanted = {name: one for name, one in sorted(lock.libraries.items()) if one.origin.kind != "path"}
    found = {name: _find_files(root, name, one, is_frozen=is_frozen) for name, one in wanted.items()}
    for name, files in found.items():
        if read_vendored(root, name, wanted[name]) is None:
            replace_folder(files, root / VENDOR / name)
    _remove_others(root / VENDOR, set(found))
    return list(found)


def _read_fresh(root: Path) -> Lock:
    manifest = read_manifest(root / MANIFEST)
    lock = read_lock(root / LOCK)
    if lock is None:
        if manifest.requires:
            raise ProjectError(
                f"{root / LOCK} is missing, and exg.toml requires libraries. Run `exgrpo lock`."
            )
        return Lock((), {})
    verify_fresh(manifest, lock, root)
    return lock


def _find_files(root: Path, name: str, locked: LockedLibrary, *, is_frozen: bool) -> dict[str, bytes]:
    files = read_vendored(root, name, locked)
    if files is not None:
        return files
    origin = locked.origin
    if origin.kind == "package":
        files = read_folder(find_installed(origin.place, name).folder, f"library `{name}`")
        mend = f"Install {origin.place} {locked.revision}, or run `exgrpo update {name}`."
    else:
        files = read_stored(locked.content)
        if files is None and is_frozen:
            raise ProjectError(
                f"library `{name}` ({origin.describe()}) is not on this machine, and --frozen fetches nothing. Run `exgrpo lock`."
            )
        files = files or fetch_commit(origin.place, locked.revision, name).files
        mend = f"Run `exgrpo update {name}`."
    if hash_files(files) != locked.content:
        raise ProjectError(f"library `{name}` ({origin.describe()}) is not what exg.lock pins. {mend}")
    return files


def _remove_others(vendor: Path, names: set[str]) -> None:
    try:
        for folder in vendor.iterdir() if vendor.is_dir() else ():
            if folder.is_dir() and not folder.is_symlink() and folder.name not in names:
                shutil.rmtree(folder)
    except OSError as error:
        raise DiskError(f"{vendor} cannot be tidied up: {error.strerror}.") from error
