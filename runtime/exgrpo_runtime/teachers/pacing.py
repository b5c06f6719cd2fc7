"""Requests and tokens per minute, over a window that slides."""

from __future__ import annotations

from collections import deque

WINDOW_S = 60.0


class Pacer:
    """What one model may be sent in a minute. Times are the event loop's, in seconds.

    Args:
        requests: attempts per window; None: no limit.
        tokens: tokens per window, prompt and completion; None: no limit. A request counts as the mean of the replies so far
            until its own is there.
        window_s: length of the window.
    """

    def __init__(self, requests: float | None, tokens: float | None, *, window_s: float = WINDOW_S) -> None:
        self._requests = None if requests is None else max(1.0, requests)
        self._tokens = tokens
        self._window_s = window_s
        self._sent: deque[list[float]] = deque()
        self._replies = 0
        self._used = 0.0

    @property
    def has_limits(self) -> bool:
        """Whether there is anything to wait for."""
        return self._requests is not None or self._tokens is not None

    def find_wait(self, now: float) -> float:
        """Seconds until one more attempt may be made; 0 where it may be now."""
        if not self.has_limits:
            return 0.0
        while self._sent and self._sent[0][0] <= now - self._window_s:
            self._sent.popleft()
        if not self._sent:
            return 0.0
        next_s = self._sent[0][0] + self._window_s - now
        is_full = self._requests is not None and len(self._sent) >= self._requests
        if self._tokens is not None:
            expected = self._used / self._replies if self._replies else 0.0
            is_full |= sum(tokens for _, tokens in self._sent) + expected > self._tokens
        return max(0.0, next_s) if is_full else 0.0

    def count(self, now: float) -> list[float] | None:
        """Counts an attempt; gives what `settle` needs."""
        if not self.has_limits:
            return None
        entry = [now, self._used / self._replies if self._replies else 0.0]
        self._sent.append(entry)
        return entry

    def settle(self, entry: list[float] | None, tokens: int) -> None:
        """Replaces the expected tokens of an attempt by those that its reply used."""
        if entry is None:
            return
        entry[1] = float(tokens)
        self._replies += 1
        self._used += tokens
