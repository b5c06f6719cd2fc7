"""Claims: so that two living processes which share a store never ask the same thing.

A request is claimed before it is sent, many at a time in one transaction, together with the most that it can cost; so a budget holds
for all processes. A claim ends with its reply, its owner's death, or its expiry, which a living owner puts off.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from exgrpo_runtime.teachers.owners import is_dead, name_owner

CLAIM_S = 120.0
"""A claim whose owner cannot be seen to live (on another host) or hangs is over after so long."""
MOST_VARIABLES = 500
"""Keys in one statement of sqlite."""


class Claimed(NamedTuple):
    """What became of a wave of requests: of all of them, or of the first ones where the budget does not hold more now."""

    mine: list[str]
    elsewhere: list[str]
    """Claimed by another living process."""
    answered: list[str]
    """Stored meanwhile."""


class Claims:
    """Claims of one opened store.

    Args:
        connection: to the store; its lock is the caller's.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.owner = name_owner()

    def take(self, model: str, costs: Mapping[str, float], room: Callable[[float], float]) -> Claimed:
        """Claims the requests of these keys, in order, as far as the budget holds.

        Args:
            model: the name in the spec, by which budgets are kept.
            costs: key -> the most that the request can cost, in US dollars.
            room: what others have reserved of the model's budget -> what may still be claimed; called within the transaction.
        """
        keys = list(costs)
        self._connection.execute("begin immediate")
        try:
            claimed = self._take(model, keys, costs, room)
            self._connection.execute("commit")
        except BaseException:
            self._connection.rollback()
            raise
        return claimed

    def renew(self) -> None:
        """Puts off the expiry of all claims of this process."""
        self._connection.execute(
            "update claims set expires = ? where owner = ?", (time.time() + CLAIM_S, self.owner)
        )

    def release(self, keys: Sequence[str] | None = None) -> None:
        """Ends claims of this process; None: all of them."""
        if keys is None:
            self._connection.execute("delete from claims where owner = ?", (self.owner,))
            return
        for start in range(0, len(keys), MOST_VARIABLES):
            part = keys[start : start + MOST_VARIABLES]
            self._connection.execute(
                f"delete from claims where owner = ? and key in ({_mark(part)})", (self.owner, *part)
            )

    def _take(
        self, model: str, keys: list[str], costs: Mapping[str, float], room: Callable[[float], float]
    ) -> Claimed:
        self._drop_dead()
        answered = self._select("select key from replies where key in ({})", keys)
        held = self._select(f"select key from claims where owner != '{self.owner}' and key in ({{}})", keys)
        reserved = self._connection.execute(
            "select coalesce(sum(usd), 0) from claims where model = ? and owner != ?", (model, self.owner)
        ).fetchone()[0]
        left = room(reserved)
        claimed = Claimed([], [], [])
        for key in keys:
            if key in answered:
                claimed.answered.append(key)
            elif key in held:
                claimed.elsewhere.append(key)
            elif costs[key] > left:
                break
            else:
                left -= costs[key]
                claimed.mine.append(key)
        expires = time.time() + CLAIM_S
        self._connection.executemany(
            "insert or replace into claims values (?, ?, ?, ?, ?)",
            [(key, model, self.owner, expires, costs[key]) for key in claimed.mine],
        )
        return claimed

    def _drop_dead(self) -> None:
        self._connection.execute("delete from claims where expires < ?", (time.time(),))
        owners = self._connection.execute("select distinct owner from claims where owner != ?", (self.owner,))
        for (owner,) in owners.fetchall():
            if is_dead(owner):
                self._connection.execute("delete from claims where owner = ?", (owner,))

    def _select(self, statement: str, keys: Sequence[str]) -> set[str]:
        found: set[str] = set()
        for start in range(0, len(keys), MOST_VARIABLES):
            part = keys[start : start + MOST_VARIABLES]
            found.update(row[0] for row in self._connection.execute(statement.format(_mark(part)), part))
        return found


def _mark(keys: Sequence[str]) -> str:
    return ",".join("?" * len(keys))
