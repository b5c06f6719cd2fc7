"""A project as the compiler sees it: its libraries at hand, and every file of them as `exg.lock` says.

Opened by every command that reads a spec. Nothing is fetched, written or run here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from exgrpo_artifact.named import NamedTuple
from exgrpo_dsl.errors import ProjectError
from exgrpo_dsl.libraries.content import hash_files, read_folder
from exgrpo_dsl.libraries.lockfile import LOCK, Lock, LockedLibrary, read_lock
from exgrpo_dsl.libraries.manifest import Manifest, read_manifest
from exgrpo_dsl.libraries.packages import find_installed
from exgrpo_dsl.libraries.store import find_stored

VENDOR = os.path.join(".exg", "vendor")
"""Where `exgrpo vendor` puts libraries, below the project."""

SUFFIX = ".exg"


class Library(NamedTuple):
    """A library at hand."""

    folder: str
    files: frozenset[str]
    """Those that are locked; nothing else in the folder is ever read."""
    requires: tuple[str, ...]


class Project(NamedTuple):
    """A project whose libraries are as they were locked."""

    root: str
    name: str
    requires: tuple[str, ...]
    libraries: Mapping[str, Library]

    def find_module(self, target: str, importer: str) -> str | None:
        """As `exgrpo_dsl.loading.find_module`, with the libraries of the project; None also for what the importer may not see."""
        from exgrpo_dsl.loading import LIBRARIES, find_module

        owner = self._find_owner(importer)
        if target.endswith(SUFFIX):
            path = find_module(target, importer)
            assert path is not None
            return path if owner is None or _holds(self.libraries[owner], path) else None
        name, _, rest = target.partition(".")
        if name in LIBRARIES or not rest:
            return find_module(target, importer)
        inside = rest.replace(".", "/") + SUFFIX
        if name == self.name and owner is None:
            return os.path.join(self.root, *inside.split("/"))
        seen = self.requires if owner is None else (*self.libraries[owner].requires, owner)
        if name not in seen or name not in self.libraries or inside not in self.libraries[name].files:
            return None
        return os.path.join(self.libraries[name].folder, *inside.split("/"))

    def _find_owner(self, importer: str) -> str | None:
        """The library that a file belongs to; None: the project itself."""
        path = os.path.realpath(importer)
        owners = [name for name, one in self.libraries.items() if path.startswith(one.folder + os.sep)]
        return max(owners, key=lambda name: len(self.libraries[name].folder), default=None)


def open_project(manifest_path: str) -> Project:
    """The project of an `exg.toml`.

    Raises:
        ProjectError: the manifest is wrong; the lock is missing, stale or tampered with; or a library is not what was locked. The
            text names the command that mends it.
    """
    root = Path(os.path.abspath(manifest_path)).parent
    manifest = read_manifest(root / os.path.basename(manifest_path))
    lock = read_lock(root / LOCK)
    if lock is None:
        if manifest.requires:
            raise ProjectError(
                f"{root / LOCK} is missing, and exg.toml requires libraries. Run `exgrpo lock`."
            )
        lock = Lock((), {})
    verify_fresh(manifest, lock, root)
    libraries = {name: _open_library(root, name, lock.libraries[name]) for name in sorted(lock.libraries)}
    return Project(str(root), manifest.name, tuple(manifest.requires), libraries)


def verify_fresh(manifest: Manifest, lock: Lock, root: Path) -> None:
    """Compares what `exg.toml` requires with what was locked.

    Raises:
        ProjectError: they differ.
    """
    stale = f"{root / LOCK} is older than exg.toml: "
    mend = " Run `exgrpo lock`."
    for name, origin in manifest.requires.items():
        if name not in lock.requires:
            raise ProjectError(f"{stale}`{name}` is required and not locked.{mend}")
        if lock.libraries[name].origin != origin:
            locked = lock.libraries[name].origin.describe()
            raise ProjectError(
                f"{stale}`{name}` is {origin.describe()} there, and locked from {locked}.{mend}"
            )
    for name in lock.requires:
        if name not in manifest.requires:
            raise ProjectError(f"{stale}`{name}` is locked and no longer required.{mend}")


def find_folder(root: Path, name: str, locked: LockedLibrary) -> Path:
    """Where a locked library is read: vendored, in the store, installed, or at its path. It need not be there.

    Raises:
        ProjectError: a package is not installed.
    """
    origin = locked.origin
    if origin.kind == "path":
        return root / origin.place
    vendored = root / VENDOR / name
    if vendored.is_dir():
        return vendored
    if origin.kind == "git":
        return find_stored(locked.content)
    return find_installed(origin.place, name).folder


def _open_library(root: Path, name: str, locked: LockedLibrary) -> Library:
    found = find_folder(root, name, locked)
    is_vendored = found.parent == root / VENDOR
    # `..` after a link leads elsewhere than it looks: what the system makes of the path is the folder.
    folder = Path(os.path.realpath(found))
    if locked.origin.kind == "git" and not is_vendored and not folder.is_dir():
        raise ProjectError(
            f"library `{name}` ({locked.origin.describe()}) is not on this machine as it was locked. Run `exgrpo lock` to fetch it."
        )
    files = read_folder(folder, f"library `{name}`")
    if hash_files(files) != locked.content:
        raise ProjectError(_describe_change(name, locked, folder, is_vendored=is_vendored))
    return Library(str(folder), frozenset(files), locked.requires)


def _describe_change(name: str, locked: LockedLibrary, folder: Path, *, is_vendored: bool) -> str:
    changed = f"library `{name}`: the files in {folder} are not those that exg.lock pins"
    if is_vendored:
        return f"{changed}. Run `exgrpo vendor` to put those back."
    if locked.origin.kind == "git":
        return f"{changed}: they were changed in the cache. Run `exgrpo lock` to fetch them again."
    if locked.origin.kind == "package":
        return (
            f"{changed} ({locked.origin.place} {locked.revision}). Install that version, or run `exgrpo update {name}` to take "
            "what is installed."
        )
    return f"{changed}. Run `exgrpo lock` to take them as they are now."


def _holds(library: Library, path: str) -> bool:
    inside = os.path.relpath(os.path.realpath(path), library.folder).replace(os.sep, "/")
    return inside in library.files
