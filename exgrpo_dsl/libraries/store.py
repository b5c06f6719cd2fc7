"""Libraries from git on this machine: one folder for each content, named by its hash.

What is read back is hashed again, so a damaged folder is as good as none. The folder may be deleted at any time; `exgrpo lock`
fetches what is missing.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from exgrpo_artifact.errors import DiskError
from exgrpo_dsl.check_cache import FOLDER, MANIFEST
from exgrpo_dsl.libraries.content import Files, hash_files, read_folder, write_folder


def find_store() -> Path:
    """The folder that all projects of a user share."""
    given = os.environ.get(FOLDER)
    if given:
        return Path(given) / "libraries"
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "exgrpo" / "libraries"


def find_stored(content: str) -> Path:
    """Where the files of this hash are, if they are here."""
    return find_store() / content


def read_stored(content: str) -> dict[str, bytes] | None:
    """The files of this hash; None where they are not here, or not what they were.

    Raises:
        ProjectError: one of them cannot be read.
    """
    folder = find_stored(content)
    if not (folder / MANIFEST).is_file():
        return None
    files = read_folder(folder, "cache")
    return files if hash_files(files) == content else None


def keep_files(files: Files) -> Path:
    """Puts files in the store; gives their folder.

    Raises:
        DiskError: the disk refuses.
    """
    content = hash_files(files)
    folder = find_stored(content)
    if read_stored(content) is None:
        try:
            replace_folder(files, folder)
        except DiskError:
            if read_stored(content) is None:  # else another process was quicker
                raise
    return folder


def replace_folder(files: Files, folder: Path) -> None:
    """Makes a folder hold these files and no others, as a whole or not at all.

    Raises:
        DiskError: the disk refuses; the folder is as it was.
    """
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    try:
        try:
            part.mkdir(parents=True)
            write_folder(files, part)
            if folder.exists():
                folder.rename(old)
            part.rename(folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
            if old.exists() and not folder.exists():
                old.rename(folder)
            shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise DiskError(f"{folder} cannot be written: {error.strerror}. It is as it was.") from error
