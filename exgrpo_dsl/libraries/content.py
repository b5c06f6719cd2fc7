"""The files that a library is: its `.exg` files, its `exg.toml`, its licence, and nothing else.

Whatever else lies beside them (Python, data, hidden folders, a folder with an `exg.toml` of its own) is neither hashed, copied
nor read.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path

from exgrpo_dsl.check_cache import MANIFEST
from exgrpo_dsl.errors import ProjectError

Files = Mapping[str, bytes]
"""Path below the library's folder, with forward slashes -> content."""

MAX_BYTES = 16 << 20
"""Of one file."""

_LICENCES = ("LICENSE", "LICENCE", "COPYING", "NOTICE")


def select_names(names: Iterable[str]) -> list[str]:
    """Of all paths below a folder those that belong to the library in it, sorted."""
    given = sorted(names)
    nested = tuple(name.removesuffix(MANIFEST) for name in given if name.endswith(f"/{MANIFEST}"))
    return [name for name in given if _is_content(name) and not name.startswith(nested)]


def read_folder(folder: Path, what: str) -> dict[str, bytes]:
    """The files of the library in a folder; `what` is how messages call it.

    Raises:
        ProjectError: there is no library, or one of its files is a link or cannot be read.
    """
    if not (folder / MANIFEST).is_file():
        raise ProjectError(f"{what}: {folder} holds no {MANIFEST}, so it is no library.")
    return {name: _read_file(folder / name, what) for name in select_names(_walk_names(folder))}


def hash_files(files: Files) -> str:
    """SHA-256 in hex over names and contents; line ends do not count."""
    lines = _list_hashes(files)
    return sha256("".join(lines).encode()).hexdigest()


def write_folder(files: Files, folder: Path) -> None:
    """Writes the files below a folder that is not there yet.

    Raises:
        OSError: the disk refuses.
    """
    for name, raw in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw)


def _list_hashes(files: Files) -> list[str]:
    normal = {name: raw.replace(b"\r\n", b"\n") for name, raw in files.items()}
    return [f"{sha256(normal[name]).hexdigest()}  {name}\n" for name in sorted(normal)]


def _is_content(name: str) -> bool:
    folders, _, last = name.rpartition("/")
    if any(part.startswith(".") for part in name.split("/")):
        return False
    return last.endswith(".exg") or (not folders and (last == MANIFEST or last.startswith(_LICENCES)))


def _walk_names(folder: Path) -> list[str]:
    names = []
    for root, folders, files in os.walk(folder):
        inside = Path(root).relative_to(folder)
        folders[:] = [name for name in folders if not name.startswith(".")]
        names += [(inside / name).as_posix() for name in files]
    return names


def _read_file(path: Path, what: str) -> bytes:
    if path.is_symlink():
        raise ProjectError(f"{what}: {path} is a link, and what it leads to is no part of the library.")
    try:
        if not path.is_file() or path.stat().st_size > MAX_BYTES:
            raise ProjectError(f"{what}: {path} is no file of less than {MAX_BYTES >> 20} MiB.")
        return path.read_bytes()
    except OSError as error:
        raise ProjectError(f"{what}: {path} cannot be read: {error.strerror}.") from error
