"""The tables of a reply store, and how one of an earlier layout becomes one of this.

Layout 1 had the first seven columns of `replies` and nothing else. Its rows keep their keys, which `format` 1 marks: a request is
looked for under its old key too where there are such rows.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from exgrpo_artifact.errors import DiskError

LAYOUT = 2
"""Kept in the file's `user_version`."""

COLUMNS: Final = {
    "key": "text primary key",
    "model": "text not null",
    "model_id": "text",
    "text": "text not null",
    "prompt_tokens": "integer",
    "completion_tokens": "integer",
    "created": "real not null",
    "format": "integer not null default 1",
    "revision": "text",
    "request": "text",
    "finish_reason": "text",
    "latency_s": "real",
    "cost_usd": "real",
    "endpoint": "text",
}
"""Of `replies`. `created` is in seconds since 1970; `request` is JSON: messages, sampling, sample, schema."""

FAILURE_COLUMNS: Final = {
    "key": "text primary key",
    "model": "text not null",
    "error": "text not null",
    "tries": "integer not null",
    "created": "real not null",
    "prompt_tokens": "integer not null default 0",
    "completion_tokens": "integer not null default 0",
    "cost_usd": "real not null default 0",
}
"""Of `failures`: the last error of each request that failed, with all that its attempts and answers without text came to."""

_CLAIM_COLUMNS: Final = {
    "key": "text primary key",
    "model": "text not null",
    "owner": "text not null",
    "expires": "real not null",
    "usd": "real not null",
}
"""Of `claims`: requests that a living process is about to send or has sent. `usd` is the most that each can cost."""


def prepare_store(connection: sqlite3.Connection, path: Path) -> None:
    """Makes or brings up to date the tables of an opened file.

    Raises:
        DiskError: a newer exgrpo wrote it.
    """
    version = read_layout(connection, path)
    connection.execute("pragma journal_mode = wal")
    # A commit then survives the death of the process, as --resume promises, without a flush for each.
    connection.execute("pragma synchronous = normal")
    if version == LAYOUT:
        return
    connection.execute("begin immediate")
    try:
        _create_tables(connection)
        connection.execute(f"pragma user_version = {LAYOUT}")
        connection.execute("commit")
    except BaseException:
        connection.rollback()
        raise


def read_layout(connection: sqlite3.Connection, path: Path) -> int:
    """The layout of an opened file; 0 where it is new.

    Raises:
        DiskError: a newer exgrpo wrote it.
    """
    version: int = connection.execute("pragma user_version").fetchone()[0]
    if version > LAYOUT:
        raise DiskError(
            f"{path} was written by a newer exgrpo (layout {version}; this one knows {LAYOUT}). Upgrade exgrpo."
        )
    return version


def _create_tables(connection: sqlite3.Connection) -> None:
    for name, columns in (
        ("replies", COLUMNS),
        ("failures", FAILURE_COLUMNS),
        ("claims", _CLAIM_COLUMNS),
    ):
        declared = ", ".join(f"{column} {kind}" for column, kind in columns.items())
        connection.execute(f"create table if not exists {name} ({declared})")
    held = {row[1] for row in connection.execute("pragma table_info(replies)")}
    for column, kind in COLUMNS.items():
        if column not in held:
            connection.execute(f"alter table replies add column {column} {kind}")
    connection.execute("create index if not exists old_keys on replies(key) where format = 1")
    connection.execute("create index if not exists models on replies(model)")
