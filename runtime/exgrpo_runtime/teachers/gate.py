"""How many requests one endpoint gets at a time: opened by successes, closed by 429, held by Retry-After.

Additive increase, multiplicative decrease, as TCP does it (Chiu and Jain 1989): one more after as many successes as the gate is wide,
three quarters after a 429. Answers that were on their way before the last cut do not cut again: they tell of the old width.
"""

from __future__ import annotations

CUT = 0.75


class Gate:
    """A number of slots. Times are the event loop's, in seconds.

    Args:
        most: the width that it begins with and never exceeds.
    """

    def __init__(self, most: int) -> None:
        self.most = max(1, most)
        self.width = self.most
        self.in_flight = 0
        self.held_until = 0.0
        self._cut_at = -1.0
        self._successes = 0

    def has_room(self, now: float) -> bool:
        """Whether one more may enter now."""
        return self.in_flight < self.width and now >= self.held_until

    def enter(self) -> None:
        """Takes a slot."""
        self.in_flight += 1

    def leave(self) -> None:
        """Gives a slot back."""
        self.in_flight -= 1

    def open(self) -> None:
        """A request succeeded."""
        if self.width == self.most:
            return
        self._successes += 1
        if self._successes >= self.width:
            self.width += 1
            self._successes = 0

    def cut(self, sent_at: float, now: float) -> None:
        """A request that was sent at `sent_at` was answered with 429."""
        if sent_at < self._cut_at:
            return
        self.width = max(1, int(self.width * CUT))
        self._cut_at = now
        self._successes = 0

    def hold(self, until: float) -> None:
        """Nobody enters before that time."""
        self.held_until = max(self.held_until, until)
