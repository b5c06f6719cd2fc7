"""What sqlite's errors mean to whoever runs out of disk."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from exgrpo_artifact.errors import DiskError

_LEAST_FREE_BYTES = 64 * 1024


@contextmanager
def sqlite_boundary(path: Path) -> Iterator[None]:
    """Turns errors of the database at `path` into a DiskError that says what to do.

    Raises:
        DiskError: full, read-only, damaged, held by another process.
    """
    try:
        yield
    except (sqlite3.ProgrammingError, sqlite3.InterfaceError):
        raise
    except sqlite3.DatabaseError as error:
        raise DiskError(_explain(path, error)) from error


def _explain(path: Path, error: sqlite3.DatabaseError) -> str:
    code = getattr(error, "sqlite_errorname", "")
    if code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return f"{path} is damaged ({error}). Move it away; its replies will be asked for again."
    reasons = {
        "SQLITE_FULL": "the disk is full",
        "SQLITE_READONLY": "the file system or the file is read-only",
        "SQLITE_CANTOPEN": "it cannot be opened (missing directory or no permission)",
        "SQLITE_BUSY": "another process holds it",
    }
    reason = next((words for name, words in reasons.items() if code.startswith(name)), str(error))
    # On a full disk sqlite's shared memory file fails as plain I/O.
    if code.startswith("SQLITE_IOERR") and _is_full(path):
        reason = reasons["SQLITE_FULL"]
    return f"{path} cannot be written: {reason}. Stored replies are kept; mend it and go on with --resume."


def _is_full(path: Path) -> bool:
    try:
        return shutil.disk_usage(path.parent).free < _LEAST_FREE_BYTES
    except OSError:
        return False
