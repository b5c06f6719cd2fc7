"""Parts of a store: what one piece of work found in it or added to it, as a small store that can travel."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

from exgrpo_runtime.teachers.claims import MOST_VARIABLES
from exgrpo_runtime.teachers.sqlite_errors import sqlite_boundary
from exgrpo_runtime.teachers.store import ReplyStore
from exgrpo_runtime.teachers.store_layout import COLUMNS, FAILURE_COLUMNS
from exgrpo_runtime.teachers.teacher import Reply, Request


class TracedStore(ReplyStore):
    """A store that knows the keys that were looked up with success, or written, since it was last asked for them."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._touched: dict[str, None] = {}
        self._written = 0

    def find(self, requests: Sequence[Request]) -> dict[str, Reply]:
        """As of ReplyStore."""
        found = super().find(requests)
        self._touched.update(dict.fromkeys(found))
        return found

    def find_failures(self, keys: Sequence[str], since: float) -> dict[str, Reply]:
        """As of ReplyStore."""
        found = super().find_failures(keys, since)
        self._touched.update(dict.fromkeys(found))
        return found

    def put_all(self, pairs: Iterable[tuple[Request, Reply]]) -> None:
        """As of ReplyStore."""
        held = list(pairs)
        super().put_all(held)
        self._touched.update(dict.fromkeys(request.key for request, _ in held))
        self._written += len(held)

    def take_touched(self) -> tuple[list[str], int]:
        """The keys, and how many requests were written; both begin anew."""
        found = list(self._touched), self._written
        self._touched, self._written = {}, 0
        return found


def write_part(store: Path, out: Path, keys: Sequence[str]) -> None:
    """Makes `out` a store of those replies and failures of `store` that have one of these keys.

    Raises:
        DiskError: it cannot be written.
    """
    ReplyStore(out).close()
    with sqlite_boundary(out), closing(sqlite3.connect(out, timeout=30)) as connection:
        connection.execute("attach database ? as whole", (str(store),))
        for start in range(0, len(keys), MOST_VARIABLES):
            part = keys[start : start + MOST_VARIABLES]
            marks = ",".join("?" * len(part))
            for table, columns in (("replies", COLUMNS), ("failures", FAILURE_COLUMNS)):
                names = ", ".join(columns)
                connection.execute(
                    f"insert or ignore into {table} ({names}) "
                    f"select {names} from whole.{table} where key in ({marks})",
                    part,
                )
        connection.commit()


def read_failures(path: Path) -> dict[str, Reply]:
    """Key -> failure, of the requests in a store that have no reply.

    Raises:
        DiskError: it cannot be read.
    """
    with sqlite_boundary(path), closing(sqlite3.connect(path, timeout=30)) as connection:
        found = connection.execute(
            "select key, error, tries from failures where key not in (select key from replies)"
        ).fetchall()
    return {key: Reply(None, error=error, tries=tries) for key, error, tries in found}
