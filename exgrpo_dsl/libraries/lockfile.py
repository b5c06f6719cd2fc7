"""`exg.lock`: what every library of a project was when it was locked.

Sorted, one table a library, the same text for the same libraries on every machine. It holds a digest of itself, so that a wrong
merge or an edit by hand is noticed, whatever it changed.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from exgrpo_artifact.named import NamedTuple
from exgrpo_dsl.errors import ProjectError
from exgrpo_dsl.libraries.manifest import is_name
from exgrpo_dsl.libraries.origin import Origin, quote, read_origin

LOCK = "exg.lock"
FORMAT = 1
_HEAD = "# Written by `exgrpo lock`. Commit it; edit exg.toml, not this.\n"


class LockedLibrary(NamedTuple):
    """One library, as it was locked."""

    origin: Origin
    version: str
    revision: str
    """The commit, the version of the installed package, or of a path the library's own version."""
    content: str
    """SHA-256 of its files."""
    requires: tuple[str, ...]
    semantic: tuple[tuple[str, str], ...]
    """Semantic hash by file."""


class Lock(NamedTuple):
    """All libraries of a project by name, and the names of those that it requires itself."""

    requires: tuple[str, ...]
    libraries: Mapping[str, LockedLibrary]


def render_lock(lock: Lock) -> str:
    """The text of an `exg.lock`."""
    body = _render_body(lock)
    return f"{_HEAD}digest = {quote(_digest(body))}\n{body}"


def read_lock(path: Path) -> Lock | None:
    """The lock in a file; None where there is no such file.

    Raises:
        ProjectError: what is there is not what `exgrpo lock` wrote.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ProjectError(f"{path} cannot be read: {error.strerror}.") from error
    return parse_lock(raw, str(path))


def parse_lock(raw: bytes, where: str) -> Lock:
    """The lock that the bytes of an `exg.lock` stand for.

    Raises:
        ProjectError: they are not what `exgrpo lock` writes.
    """
    changed = f"{where} is not as `exgrpo lock` wrote it: it was edited, or merged. Run `exgrpo lock` to write it anew."
    try:
        text = raw.decode("utf-8").replace("\r\n", "\n")
        table = tomllib.loads(text)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ProjectError(changed) from error
    if table.get("format", FORMAT) != FORMAT:
        raise ProjectError(
            f"{where} is of format {table['format']}, which this exgrpo cannot read. Upgrade exgrpo."
        )
    head, _, body = text.partition("\nformat = ")
    if head != f"{_HEAD}digest = {quote(_digest('format = ' + body))}":
        raise ProjectError(changed)
    try:
        lock = _read_table(table, where)
    except (KeyError, TypeError, AttributeError, ProjectError) as error:
        raise ProjectError(changed) from error
    required = {*lock.requires, *(name for one in lock.libraries.values() for name in one.requires)}
    if (
        render_lock(lock) != text
        or not all(map(is_name, lock.libraries))
        or not required <= set(lock.libraries)
    ):
        raise ProjectError(changed)
    return lock


def _render_body(lock: Lock) -> str:
    parts = [f"format = {FORMAT}\nrequires = {_render_list(lock.requires)}\n"]
    for name in sorted(lock.libraries):
        one = lock.libraries[name]
        parts.append(
            f"\n[library.{name}]\nsource = {one.origin.render()}\nversion = {quote(one.version)}\n"
            f"revision = {quote(one.revision)}\ncontent = {quote(one.content)}\nrequires = {_render_list(one.requires)}\n"
            f"\n[library.{name}.semantic]\n"
        )
        parts += [f"{quote(file)} = {quote(digest)}\n" for file, digest in sorted(one.semantic)]
    return "".join(parts)


def _render_list(names: tuple[str, ...]) -> str:
    return "[" + ", ".join(quote(name) for name in sorted(names)) + "]"


def _digest(body: str) -> str:
    return sha256(body.encode()).hexdigest()


def _read_table(table: Mapping[str, Any], where: str) -> Lock:
    libraries = table.get("library", {})
    return Lock(
        tuple(table["requires"]), {name: _read_library(name, libraries[name], where) for name in libraries}
    )


def _read_library(name: str, table: Mapping[str, Any], where: str) -> LockedLibrary:
    return LockedLibrary(
        read_origin(name, table["source"], where),
        table["version"],
        table["revision"],
        table["content"],
        tuple(table["requires"]),
        tuple(sorted(table["semantic"].items())),
    )
