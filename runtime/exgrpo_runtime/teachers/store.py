"""Replies of teachers and judges, one row per request, committed as each arrives.

Invariant: what is stored was paid for and is never asked again; a failed request is recorded as a failure, never as a reply, so it is
asked again. Killing the process loses no committed reply (sqlite, write-ahead log).
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from exgrpo_artifact.manifest import Model
from exgrpo_runtime.teachers.claims import MOST_VARIABLES, Claimed, Claims
from exgrpo_runtime.teachers.session import Session
from exgrpo_runtime.teachers.sqlite_errors import sqlite_boundary
from exgrpo_runtime.teachers.store_layout import COLUMNS, prepare_store
from exgrpo_runtime.teachers.teacher import KEY_FORMAT, Reply, Request
from exgrpo_runtime.teachers.usage import Usage, UsageReader

_INSERT = f"insert or ignore into replies ({', '.join(COLUMNS)}) values ({', '.join('?' * len(COLUMNS))})"
_FAIL = """
insert into failures values (?, ?, ?, ?, ?, ?, ?, ?)
on conflict (key) do update set
    model = excluded.model, error = excluded.error, tries = tries + excluded.tries, created = excluded.created,
    prompt_tokens = prompt_tokens + excluded.prompt_tokens,
    completion_tokens = completion_tokens + excluded.completion_tokens,
    cost_usd = cost_usd + excluded.cost_usd
"""
_SELECT = "select key, text, prompt_tokens, completion_tokens, null, finish_reason from replies"


class ReplyStore:
    """The file, and the session of the run that has it open. Safe to use from several threads; closed by `with`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.session = Session()
        self._lock = threading.RLock()
        with sqlite_boundary(path):
            self._connection = sqlite3.connect(
                path, timeout=30, isolation_level=None, check_same_thread=False
            )
        try:
            with sqlite_boundary(path):
                prepare_store(self._connection, path)
                found = self._connection.execute("select 1 from replies where format = 1 limit 1").fetchone()
        except BaseException:
            self._connection.close()
            raise
        self._has_old_keys = found is not None
        self._claims = Claims(self._connection)
        self._usage = UsageReader(self._connection)

    def __enter__(self) -> ReplyStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the teachers, folds the log into the file and lets go of it."""
        try:
            self.session.close()
        finally:
            with self._lock:
                self._connection.close()

    def get(self, request: Request) -> Reply | None:
        """The stored reply to this request, or None."""
        return self.find([request]).get(request.key)

    def find(self, requests: Sequence[Request]) -> dict[str, Reply]:
        """Key -> reply, for those of the requests that are stored, under the key of an older format too."""
        found = self._find_keys([request.key for request in requests])
        if self._has_old_keys:
            old = {request.old_key: request.key for request in requests if request.key not in found}
            found.update({old[key]: reply for key, reply in self._find_keys(list(old)).items()})
        return found

    def find_failures(self, keys: Sequence[str], since: float) -> dict[str, Reply]:
        """Key -> the failure of each of these requests that was recorded after `since`, in seconds since 1970."""
        with self._lock, sqlite_boundary(self.path):
            found = self._connection.execute(
                "select key, error, tries from failures where created > ?", (since,)
            ).fetchall()
        wanted = set(keys)
        return {key: Reply(None, error=error, tries=tries) for key, error, tries in found if key in wanted}

    def put(self, request: Request, reply: Reply) -> None:
        """Stores a reply, or a failure, for good before it returns.

        Raises:
            DiskError: the file cannot be written. What was stored before stays.
        """
        self.put_all([(request, reply)])

    def put_all(self, pairs: Iterable[tuple[Request, Reply]]) -> None:
        """Stores several in one transaction.

        Raises:
            DiskError: the file cannot be written; none of them is stored.
        """
        rows, failures = [], []
        now = time.time()
        for request, reply in pairs:
            if reply.text is not None:
                rows.append(_build_row(request, reply, now))
            elif not reply.is_unsent:
                failures.append(_build_failure(request, reply, now))
        with self._change():
            if rows:
                self._connection.executemany(_INSERT, rows)
            if failures:
                self._connection.executemany(_FAIL, failures)
            ended = [(row[0],) for row in (*rows, *failures)]
            self._connection.executemany("delete from claims where key = ?", ended)

    def sum_usage(self, model: str) -> Usage:
        """What a model of this name has used so far, by all processes and in earlier runs with the same file."""
        with self._lock, sqlite_boundary(self.path):
            return self._usage.sum(model)

    def claim(self, model: str, costs: Mapping[str, float], room: Callable[[float], float]) -> Claimed:
        """Claims requests for this process; see `Claims.take`.

        Raises:
            DiskError: the file cannot be written.
        """
        with self._lock, sqlite_boundary(self.path):
            return self._claims.take(model, costs, room)

    def release(self, keys: Sequence[str] | None = None) -> None:
        """Ends claims of this process; None: all of them.

        Raises:
            DiskError: the file cannot be written.
        """
        with self._change():
            self._claims.release(keys)

    def renew(self) -> None:
        """Says that this process still lives, for the sake of its claims.

        Raises:
            DiskError: the file cannot be written.
        """
        with self._change():
            self._claims.renew()

    def _find_keys(self, keys: Sequence[str]) -> dict[str, Reply]:
        found: dict[str, Reply] = {}
        with self._lock, sqlite_boundary(self.path):
            for start in range(0, len(keys), MOST_VARIABLES):
                part = keys[start : start + MOST_VARIABLES]
                marks = ",".join("?" * len(part))
                for key, *values in self._connection.execute(f"{_SELECT} where key in ({marks})", part):
                    found[key] = Reply(*values)
        return found

    @contextmanager
    def _change(self) -> Iterator[None]:
        with self._lock, sqlite_boundary(self.path):
            self._connection.execute("begin immediate")
            try:
                yield
                self._connection.execute("commit")
            except BaseException:
                self._connection.rollback()
                raise


def compute_cost(model: Model, prompt_tokens: int | None, completion_tokens: int | None) -> float | None:
    """US dollars; None without a price, or where the endpoint did not count."""
    price = model.price
    if price is None or prompt_tokens is None or completion_tokens is None:
        return None
    return (prompt_tokens * price.input + completion_tokens * price.output) / 1_000_000


def _build_row(request: Request, reply: Reply, now: float) -> tuple[object, ...]:
    model = request.model
    return (
        request.key,
        model.name,
        model.id,
        reply.text,
        reply.prompt_tokens,
        reply.completion_tokens,
        now,
        KEY_FORMAT,
        model.revision,
        json.dumps(request.describe(), ensure_ascii=False, separators=(",", ":")),
        reply.finish_reason,
        reply.latency_s,
        compute_cost(model, reply.prompt_tokens, reply.completion_tokens),
        reply.endpoint,
    )


def _build_failure(request: Request, reply: Reply, now: float) -> tuple[object, ...]:
    prompt, completion = reply.prompt_tokens or 0, reply.completion_tokens or 0
    cost = compute_cost(request.model, prompt, completion) or 0.0
    return (request.key, request.model.name, reply.error, reply.tries, now, prompt, completion, cost)
