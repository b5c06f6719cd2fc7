"""Making `exg.lock`: what is locked stays as it is, what is new is fetched, what is gone goes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from exgrpo_dsl.check_cache import MANIFEST
from exgrpo_dsl.errors import ProjectError, UsageError
from exgrpo_dsl.libraries.content import hash_files, read_folder
from exgrpo_dsl.libraries.git import fetch_commit
from exgrpo_dsl.libraries.lockfile import LOCK, Lock, LockedLibrary, read_lock, render_lock
from exgrpo_dsl.libraries.manifest import Manifest, read_manifest
from exgrpo_dsl.libraries.origin import Origin
from exgrpo_dsl.libraries.packages import find_installed
from exgrpo_dsl.libraries.project import VENDOR
from exgrpo_dsl.libraries.resolution import Fetch, Fetched, Resolved, resolve_libraries
from exgrpo_dsl.libraries.semantics import hash_modules
from exgrpo_dsl.libraries.store import keep_files, read_stored
from exgrpo_runtime.run_dir import disk_boundary, write_text

Pins = Mapping[str, LockedLibrary]


def find_root() -> Path:
    """The folder of the nearest `exg.toml` at or above the working directory.

    Raises:
        UsageError: there is none.
    """
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / MANIFEST).is_file():
            return folder
    raise UsageError(
        f'There is no {MANIFEST} in {here} or above it. Write one:\n\n  name = "my_specs"\n  version = "0.1.0"\n  edition = 1\n'
    )


def read_pins(root: Path) -> tuple[Lock | None, str | None]:
    """The lock as it is, and what is wrong with it where it cannot be relied on."""
    try:
        return read_lock(root / LOCK), None
    except ProjectError as error:
        return None, str(error)


def compute_lock(root: Path, manifest: Manifest, pins: Pins, *, is_frozen: bool = False) -> Lock:
    """The lock of a project; libraries that are pinned, and required from the same place, stay at the revision that they have.

    Raises:
        ProjectError: the libraries do not fit together, one is wrong, or one is not at hand and must not be fetched.
        LibraryError: the place of a library cannot be read.
        DiskError: the store cannot be written.
    """
    resolved = resolve_libraries(manifest, _build_fetch(root, pins, is_frozen=is_frozen))
    semantic = hash_modules(resolved)
    libraries = {
        name: LockedLibrary(
            one.origin,
            one.manifest.version,
            one.fetched.revision or one.manifest.version,
            _keep(one, is_frozen=is_frozen),
            tuple(sorted(one.manifest.requires)),
            tuple(sorted(semantic[name].items())),
        )
        for name, one in resolved.items()
    }
    return Lock(tuple(sorted(manifest.requires)), libraries)


def lock_project(root: Path, *, is_frozen: bool = False) -> tuple[Lock | None, Lock]:
    """Writes the lock where it is not what it should be; gives it as it was and as it is.

    Frozen, nothing is fetched and nothing written.

    Raises:
        ProjectError: as `compute_lock`; frozen also where the lock would change.
        LibraryError: the place of a library cannot be read.
        DiskError: the disk refuses.
    """
    before, wrong = read_pins(root)
    if is_frozen and wrong is not None:
        raise ProjectError(wrong)
    manifest = read_manifest(root / MANIFEST)
    after = compute_lock(root, manifest, before.libraries if before else {}, is_frozen=is_frozen)
    if is_frozen and before != after:
        raise ProjectError(f"{root / LOCK} is not what exg.toml and the libraries give. Run `exgrpo lock`.")
    if before != after:
        write_lock(root, after)
    return before, after


def update_project(root: Path, name: str | None) -> tuple[Lock | None, Lock]:
    """As `lock_project`, with one library, or all, taken as they are now.

    Raises:
        UsageError: no library has the name.
        ProjectError: as `compute_lock`, or the lock cannot be relied on.
        LibraryError: the place of a library cannot be read.
        DiskError: the disk refuses.
    """
    before = read_lock(root / LOCK)
    pins = dict(before.libraries) if before else {}
    if name is not None and name not in pins:
        known = ", ".join(f"`{each}`" for each in sorted(pins)) or "none"
        raise UsageError(f"No library `{name}` is locked; there are {known}.")
    kept = {key: pin for key, pin in pins.items() if name is not None and key != name}
    after = compute_lock(root, read_manifest(root / MANIFEST), kept)
    if before != after:
        write_lock(root, after)
    return before, after


def write_lock(root: Path, lock: Lock) -> None:
    """Puts a lock in place of the one that is there, in one step.

    Raises:
        DiskError: the disk refuses; the lock is as it was.
    """
    with disk_boundary(root / LOCK, "It is as it was."):
        write_text(root / LOCK, render_lock(lock))


def list_changes(before: Lock | None, after: Lock) -> list[str]:
    """What a new lock changes, a line for each library, by name."""
    old = before.libraries if before else {}
    lines = []
    for name in sorted({*old, *after.libraries}):
        if name not in after.libraries:
            lines.append(f"- {name} {old[name].version}")
        elif name not in old:
            one = after.libraries[name]
            lines.append(f"+ {name} {one.version} ({one.origin.describe()}{_describe_revision(one)})")
        elif old[name] != after.libraries[name]:
            lines.append(_describe_change(name, old[name], after.libraries[name]))
    return lines


def _describe_change(name: str, old: LockedLibrary, new: LockedLibrary) -> str:
    meant = {file: digest for file, digest in old.semantic if dict(new.semantic).get(file) != digest}
    changed = sorted({*meant, *(file for file, _ in new.semantic if file not in dict(old.semantic))})
    what = f"what changed in meaning: {', '.join(changed)}" if changed else "nothing changed in meaning"
    return f"~ {name} {old.version} -> {new.version}{_describe_revision(new)}; {what}"


def _describe_revision(one: LockedLibrary) -> str:
    return f" = {one.revision[:12]}" if one.origin.kind == "git" else ""


def _build_fetch(root: Path, pins: Pins, *, is_frozen: bool) -> Fetch:
    def fetch(name: str, origin: Origin) -> Fetched:
        pin = pins.get(name)
        if pin is not None and pin.origin != origin:
            pin = None
        if origin.kind == "git":
            return _fetch_git(root, name, origin, pin, is_frozen=is_frozen)
        if origin.kind == "package":
            installed = find_installed(origin.place, name)
            return Fetched(installed.version, read_folder(installed.folder, f"library `{name}`"))
        return Fetched(None, read_folder(root / origin.place, f"library `{name}`"))

    return fetch


def _fetch_git(
    root: Path, name: str, origin: Origin, pin: LockedLibrary | None, *, is_frozen: bool
) -> Fetched:
    if pin is not None:
        stored = read_vendored(root, name, pin) or read_stored(pin.content)
        if stored is not None:
            return Fetched(pin.revision, stored)
    if is_frozen:
        raise ProjectError(
            f"library `{name}` ({origin.describe()}) is not on this machine, and --frozen fetches nothing. Run `exgrpo lock`."
        )
    commit = fetch_commit(origin.place, pin.revision if pin is not None else origin.rev, name)
    return Fetched(commit.revision, commit.files)


def read_vendored(root: Path, name: str, pin: LockedLibrary) -> dict[str, bytes] | None:
    """The files of a vendored library, if they are those that are locked."""
    folder = root / VENDOR / name
    if not (folder / MANIFEST).is_file():
        return None
    files = read_folder(folder, f"library `{name}`")
    return files if hash_files(files) == pin.content else None


def _keep(one: Resolved, *, is_frozen: bool) -> str:
    """The hash of a library's files, which are in the store if git is where they come from."""
    if one.origin.kind == "git" and not is_frozen:
        keep_files(one.fetched.files)
    return hash_files(one.fetched.files)
