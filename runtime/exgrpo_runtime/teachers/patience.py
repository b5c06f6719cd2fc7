"""How often one request is tried, and how long it waits in between."""

from __future__ import annotations

import random

from exgrpo_runtime.teachers.failures import PassingError

FIRST_BACKOFF_S = 0.5
LONGEST_BACKOFF_S = 30.0
LONGEST_RETRY_AFTER_S = 600.0
"""A longer Retry-After is a refusal: the request fails and says so."""
MOST_FREE_TRIES = 50
"""Attempts that do not count are bounded too: a request that an endpoint singles out comes to an end."""


class Patience:
    """The attempts at one request.

    Args:
        tries: the most that may count.
        first_backoff_s: the wait after the first failure; doubled with each further one, four times as long for 429s,
            whose limits are counted by the minute.
        generator: where the jitter comes from.
    """

    def __init__(self, tries: int, first_backoff_s: float, generator: random.Random) -> None:
        self._most = max(1, tries)
        self._first_backoff_s = first_backoff_s
        self._random = generator
        self._free = 0
        self._ills = 0
        self._stalls = 0
        self._is_refused = False

    @property
    def tries(self) -> int:
        """Attempts that count: all but those that were free, and 429s only since the endpoint last gave a reply to anyone."""
        return self._ills + self._stalls

    @property
    def is_over(self) -> bool:
        """Whether no further attempt is due."""
        return self._is_refused or self.tries >= self._most or self._free >= MOST_FREE_TRIES

    def lose(self, failure: PassingError, *, is_free: bool) -> None:
        """Counts a failed attempt, which is no try of the request where it `is_free`."""
        if is_free:
            self._free += 1
            self._stalls = 0
        elif failure.cause == "busy":
            self._stalls += 1
        else:
            self._ills += 1
        self._is_refused |= failure.wait_s is not None and failure.wait_s > LONGEST_RETRY_AFTER_S

    def choose_wait(self, failure: PassingError) -> float:
        """Seconds until the next attempt, where the endpoint did not say."""
        factor = 4 if failure.cause == "busy" else 2
        backoff = self._first_backoff_s * factor ** max(0, self.tries - 1)
        return min(LONGEST_BACKOFF_S, backoff) * self._random.uniform(0.5, 1.5)
