"""What the models of a store have used: tokens and dollars, summed as rows arrive."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

BYTES_PER_TOKEN = 3
"""Fewer than any common tokenizer needs for English, so that an estimate errs on the dear side."""

_SUM = f"""
select coalesce(max(rowid), 0), count(*), coalesce(sum(prompt_tokens), 0), coalesce(sum(completion_tokens), 0),
  coalesce(sum(cost_usd), 0),
  coalesce(sum(case when cost_usd is null
    then coalesce(prompt_tokens, length(cast(request as blob)) / {BYTES_PER_TOKEN}, 0) end), 0),
  coalesce(sum(case when cost_usd is null
    then coalesce(completion_tokens, length(cast(text as blob)) / {BYTES_PER_TOKEN}) end), 0),
  coalesce(max(completion_tokens), 0)
from replies where model = ? and rowid > ?
"""


class Usage(NamedTuple):
    """What the stored replies of one model came to, and its failures that cost something."""

    replies: int
    prompt_tokens: int
    completion_tokens: int
    """Where the endpoint counted them."""
    cost_usd: float = 0.0
    """Of the replies whose cost is known."""
    uncosted_prompt_tokens: int = 0
    uncosted_completion_tokens: int = 0
    """Of the replies whose cost is not known; estimated where the endpoint did not count them either."""
    longest: int = 0
    """Most completion tokens of one reply."""


class UsageReader:
    """Sums of one opened store.

    Invariant: rows are only ever added, with growing numbers, so what was summed once is not read again: budgets are looked at
    with every wave of requests.

    Args:
        connection: to the store; its lock is the caller's.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._sums: dict[str, tuple[int, Usage]] = {}

    def sum(self, model: str) -> Usage:
        """What a model of this name has used so far, by all processes and in earlier runs with the same file."""
        last, usage = self._sums.get(model, (0, Usage(0, 0, 0)))
        newest, *values = self._connection.execute(_SUM, (model, last)).fetchone()
        usage = _add(usage, Usage(*values))
        self._sums[model] = (max(last, newest), usage)
        (failed,) = self._connection.execute(
            "select coalesce(sum(cost_usd), 0) from failures where model = ?", (model,)
        ).fetchone()
        return usage._replace(cost_usd=usage.cost_usd + failed)


def _add(one: Usage, two: Usage) -> Usage:
    return Usage(
        one.replies + two.replies,
        one.prompt_tokens + two.prompt_tokens,
        one.completion_tokens + two.completion_tokens,
        one.cost_usd + two.cost_usd,
        one.uncosted_prompt_tokens + two.uncosted_prompt_tokens,
        one.uncosted_completion_tokens + two.uncosted_completion_tokens,
        max(one.longest, two.longest),
    )
