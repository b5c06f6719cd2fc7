"""Results of `check` that still hold, by what they were computed from.

An entry is valid for one content of the spec, one content of every file that it imports, and one compiler (its version, its
files, the Python that runs it); nothing goes by time stamps of specs. A sample of what is served is computed again: a difference
is a bug and never served. The cache may be deleted at any time, and a cache that cannot be read or written is no cache.

Nothing but the interpreter's own modules is imported here: on a warm run this is all there is.
"""

from __future__ import annotations

import marshal
import os
import sys

try:
    from _blake2 import blake2b  # `hashlib` loads OpenSSL: a fifth of a check whose result is stored
except ImportError:
    from hashlib import blake2b

FOLDER = "EXGRPO_CACHE"
"""Environment variable: the folder of the cache; empty: no cache."""

MANIFEST = "exg.toml"
"""A spec below such a file belongs to a project: its libraries are compared with its lock before a stored result is served."""

SAMPLE = 32
"""Of so many runs that only serve stored results, one computes one of them again."""

VERSION = 1
HASH_SIZE = 64
"""Bytes of the hash that stands before the content: what was damaged on the disk is not read."""

Stored = tuple[tuple[object, ...], tuple[object, ...], tuple[str, ...]]
"""A result as plain values: diagnostics, their sources, notes; see `exgrpo_dsl.checking`."""

Closure = tuple[tuple[str, str], ...]
"""(path, hash) of every file that was looked for; an empty hash where there was none."""


def hash_bytes(raw: bytes) -> str:
    """blake2b in hex, 32 bytes."""
    return blake2b(raw, digest_size=32).hexdigest()


class CheckCache:
    """Stored results of the specs of one folder, as the working directory names them."""

    def __init__(self, path: str, fingerprint: str) -> None:
        self._path = path
        self._fingerprint = fingerprint
        self._hashes: dict[str, str] = {}
        self._entries: dict[str, tuple[Closure, Stored]] = _read_entries(path, fingerprint)
        self._is_changed = False

    def find(self, spec: str) -> Stored | None:
        """The result for a spec, if nothing that it depends on has changed."""
        entry = self._entries.get(spec)
        if entry is None:
            return None
        closure, stored = entry
        return stored if all(self._hash_file(path) == digest for path, digest in closure) else None

    def find_manifest(self, spec: str) -> str | None:
        """The manifest of the project that a spec with a stored result belonged to, if there was one."""
        closure, _ = self._entries[spec]
        return next((path for path, digest in closure if digest and os.path.basename(path) == MANIFEST), None)

    def keep(self, spec: str, closure: Closure, stored: Stored) -> None:
        """Remembers a result."""
        self._entries[spec] = closure, stored
        self._is_changed = True

    def forget(self) -> None:
        """Drops everything."""
        self._entries.clear()
        self._is_changed = True

    def save(self) -> None:
        """Writes what changed, whole or not at all."""
        if not self._is_changed:
            return
        part = f"{self._path}.{os.getpid()}.part"
        try:
            os.makedirs(os.path.dirname(self._path), exist_ok=True)
            with open(part, "wb") as file:
                content = marshal.dumps((VERSION, self._fingerprint, self._entries))
                file.write(hash_bytes(content).encode() + content)
            os.replace(part, self._path)
        except OSError:
            return

    def _hash_file(self, path: str) -> str:
        if path not in self._hashes:
            try:
                with open(path, "rb") as file:
                    self._hashes[path] = hash_bytes(file.read())
            except OSError:
                self._hashes[path] = ""
        return self._hashes[path]


def open_cache(specs: list[str]) -> CheckCache | None:
    """The cache for these specs; None where there is to be none."""
    folder = os.environ.get(FOLDER)
    if folder is None:
        home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
        folder = os.path.join(home, "exgrpo")
    if not folder:
        return None
    parents = sorted({os.path.dirname(spec) for spec in specs})
    name = hash_bytes("\0".join([os.getcwd(), *parents]).encode())[:32]
    return CheckCache(os.path.join(folder, "check", name), compute_fingerprint())


def compute_fingerprint() -> str:
    """A hash of everything but specs that a result depends on: Python, the compiler's files, which extras are installed."""
    parts = [sys.version, _find_package("math_verify")]
    for package in ("exgrpo_dsl", "exgrpo_compiler", "exgrpo_artifact"):
        root = _find_package(package)
        for folder, folders, names in os.walk(root):
            folders[:] = sorted(name for name in folders if name not in ("__pycache__", "pages"))
            for name in sorted(names):
                if not name.endswith(".pyc"):
                    status = os.stat(os.path.join(folder, name))
                    # Installers set the time of the last change as they like; the inode and its own time they cannot.
                    parts.append(
                        f"{folder}/{name} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"
                    )
    return hash_bytes("\n".join(parts).encode())


def draws_sample() -> bool:
    """Whether this run is one of those that compute a stored result again."""
    return int.from_bytes(os.urandom(2), "big") % SAMPLE == 0


def _find_package(name: str) -> str:
    for entry in sys.path:
        folder = os.path.join(entry or ".", name)
        if os.path.isdir(folder):
            return folder
    return name


def _read_entries(path: str, fingerprint: str) -> dict[str, tuple[Closure, Stored]]:
    try:
        with open(path, "rb") as file:
            raw = file.read()
        if hash_bytes(raw[HASH_SIZE:]).encode() != raw[:HASH_SIZE]:
            return {}
        version, made_by, entries = marshal.loads(raw[HASH_SIZE:])
    except (OSError, ValueError, EOFError, TypeError, MemoryError):
        return {}
    if (version, made_by) != (VERSION, fingerprint) or not isinstance(entries, dict):
        return {}
    return entries if all(_is_entry(spec, entry) for spec, entry in entries.items()) else {}


def _is_entry(spec: object, entry: object) -> bool:
    """Whether an entry has the shape that `keep` gave it; what is in it is compared, and rendered, but never run."""
    if not (isinstance(spec, str) and isinstance(entry, tuple) and len(entry) == 2):
        return False
    closure, stored = entry
    return (
        isinstance(closure, tuple)
        and all(isinstance(one, tuple) and len(one) == 2 for one in closure)
        and isinstance(stored, tuple)
        and len(stored) == 3
        and all(isinstance(part, tuple) for part in stored)
    )
