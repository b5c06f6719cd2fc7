"""How fast requests may go: per-minute limits, a common pause after 429, and waits that can be broken off."""

from __future__ import annotations

import threading
import time
from collections import deque

WINDOW_S = 60.0


class Pacer:
    """Admission to one endpoint, shared by the threads that ask it.

    Args:
        requests: attempts per minute; None: no limit.
        tokens: tokens per minute, prompt and completion; None: no limit. They are known only after a reply,
            so requests in flight may exceed it by what they use.
    """

    def __init__(self, requests: float | None, tokens: float | None, *, window_s: float = WINDOW_S) -> None:
        self._requests = requests
        self._tokens = tokens
        self._window_s = window_s
        self._sent: deque[float] = deque()
        self._used: deque[tuple[float, int]] = deque()
        self._hold_until = 0.0
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    @property
    def is_stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """Ends every wait, now and later."""
        self._stopped.set()

    def pause(self, seconds: float) -> bool:
        """Waits; False where `stop` ended it."""
        return not self._stopped.wait(max(0.0, seconds))

    def hold_all(self, seconds: float) -> None:
        """Nobody is admitted for so long."""
        with self._lock:
            self._hold_until = max(self._hold_until, time.monotonic() + seconds)

    def admit(self) -> bool:
        """Waits until an attempt may be made and counts it; False where `stop` ended the wait."""
        while not self._stopped.is_set():
            with self._lock:
                now = time.monotonic()
                wait_s = self._find_wait(now)
                if wait_s <= 0:
                    self._sent.append(now)
                    return True
            self._stopped.wait(wait_s)
        return False

    def record_tokens(self, tokens: int) -> None:
        """Counts the tokens of a reply."""
        with self._lock:
            self._used.append((time.monotonic(), tokens))

    def _find_wait(self, now: float) -> float:
        while self._sent and self._sent[0] <= now - self._window_s:
            self._sent.popleft()
        while self._used and self._used[0][0] <= now - self._window_s:
            self._used.popleft()
        wait_s = self._hold_until - now
        if self._requests is not None and len(self._sent) >= max(1, self._requests):
            wait_s = max(wait_s, self._sent[0] + self._window_s - now)
        if self._tokens is not None and self._used and sum(used for _, used in self._used) >= self._tokens:
            wait_s = max(wait_s, self._used[0][0] + self._window_s - now)
        return wait_s
