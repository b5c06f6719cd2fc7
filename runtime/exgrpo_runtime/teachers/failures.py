"""How one attempt at a request can fail: for now, for good, or for every request."""

from __future__ import annotations

from typing import Literal

Cause = Literal["busy", "ill", "absent"]
"""`busy`: a 429, we are too fast. `ill`: 408, 5xx, a time-out, a broken connection. `absent`: nobody is there to connect to."""


class PassingError(Exception):
    """A failure that may pass. `wait_s`: how long the endpoint asked us to wait, if it did."""

    def __init__(self, reason: str, cause: Cause, wait_s: float | None = None) -> None:
        super().__init__(reason)
        self.cause = cause
        self.wait_s = wait_s


class FinalError(Exception):
    """A failure of this request alone, which asking again would not mend."""


class UnusableError(Exception):
    """The endpoint is of no use for any request; the text goes on where "teacher `x` at URL" ends."""
