"""Replies of teachers and judges, one row per request, committed as each arrives.

Invariant: what is stored was paid for and is never asked again; a failed request is not stored, so it is
asked again. Killing the process loses no committed reply (sqlite, write-ahead log).
"""

from __future__ import annotations

import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from exgrpo_artifact.errors import DiskError
from exgrpo_artifact.manifest import Model
from exgrpo_runtime.teachers.teacher import Reply, Request, Teacher, open_teacher

VERSION = 1
"""The layout of the table, kept in the file's `user_version`."""

_LEAST_FREE_BYTES = 64 * 1024

_TABLE = """
create table if not exists replies (
    key text primary key,
    model text not null,
    model_id text,
    text text not null,
    prompt_tokens integer,
    completion_tokens integer,
    created real not null
)
"""


class Usage(NamedTuple):
    """Tokens of the stored replies of one model, where its endpoint counted them."""

    replies: int
    prompt_tokens: int
    completion_tokens: int


class ReplyStore:
    """The file, and the run's opened teachers. Safe to use from several threads; closed by `with`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._teachers: dict[str, Teacher] = {}
        self._lock = threading.Lock()
        with self._boundary():
            self._connection = sqlite3.connect(
                path, timeout=30, isolation_level=None, check_same_thread=False
            )
        try:
            with self._boundary():
                self._prepare()
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> ReplyStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the teachers, folds the log into the file and lets go of it."""
        for name in list(self._teachers):
            self.drop_teacher(name)
        with self._lock:
            self._connection.close()

    def get(self, request: Request) -> Reply | None:
        """The stored reply to this request, or None."""
        return self.get_by_key(request.key)

    def get_by_key(self, key: str) -> Reply | None:
        """The stored reply to the request of this key, or None."""
        with self._lock, self._boundary():
            found = self._connection.execute(
                "select text, prompt_tokens, completion_tokens from replies where key = ?", (key,)
            ).fetchone()
        return Reply(*found) if found else None

    def put(self, request: Request, reply: Reply) -> None:
        """Stores a reply for good before it returns; a failed one is not stored.

        Raises:
            DiskError: the file cannot be written. What was stored before stays.
        """
        if reply.text is None:
            return
        model = request.model
        values = (request.key, model.name, model.id, reply.text, reply.prompt_tokens, reply.completion_tokens)
        with self._lock, self._boundary():
            self._connection.execute(
                "insert or ignore into replies values (?, ?, ?, ?, ?, ?, ?)", (*values, time.time())
            )

    def sum_usage(self, model: str) -> Usage:
        """Replies and tokens of a model of this name so far, earlier runs in the same file included."""
        with self._lock, self._boundary():
            row = self._connection.execute(
                "select count(*), coalesce(sum(prompt_tokens), 0), coalesce(sum(completion_tokens), 0)"
                " from replies where model = ?",
                (model,),
            ).fetchone()
        return Usage(*row)

    def get_teacher(self, model: Model, open_model: Callable[[Model], Teacher] = open_teacher) -> Teacher:
        """The run's teacher of this model, opened at its first use: connections and pauses outlive a stage.

        Raises:
            TeacherError: it cannot be opened.
        """
        if model.name not in self._teachers:
            self._teachers[model.name] = open_model(model)
        return self._teachers[model.name]

    def drop_teacher(self, name: str) -> None:
        """Closes the teacher of this model, which breaks off what it is waiting for."""
        teacher = self._teachers.pop(name, None)
        if teacher is not None:
            teacher.close()

    def _prepare(self) -> None:
        version = self._connection.execute("pragma user_version").fetchone()[0]
        if version > VERSION:
            raise DiskError(
                f"{self.path} was written by a newer exgrpo (layout {version}; this one knows {VERSION}). "
                "Upgrade exgrpo."
            )
        self._connection.execute("pragma journal_mode = wal")
        # A commit then survives the death of the process, as --resume promises, without a flush for each.
        self._connection.execute("pragma synchronous = normal")
        self._connection.execute(_TABLE)
        self._connection.execute(f"pragma user_version = {VERSION}")

    @contextmanager
    def _boundary(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.ProgrammingError, sqlite3.InterfaceError):
            raise
        except sqlite3.DatabaseError as error:
            raise DiskError(_explain(self.path, error)) from error


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
