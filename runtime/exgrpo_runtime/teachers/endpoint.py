"""One base URL of a model: its connections, its gate, whether it is up, and what it is known to take."""

from __future__ import annotations

from exgrpo_artifact.manifest import Model
from exgrpo_runtime.teachers.addresses import hide_credentials
from exgrpo_runtime.teachers.connection import Connection
from exgrpo_runtime.teachers.gate import Gate
from exgrpo_runtime.teachers.json_modes import JsonModes
from exgrpo_runtime.teachers.secrecy import Secrets

FIRST_REST_S = 5.0
LONGEST_REST_S = 60.0
"""An endpoint that is down is left alone for so long, doubled each time, and then probed by one request."""
ILL_ENOUGH = 3
"""So many failures in a row take an endpoint out where there is another."""


class Endpoint:
    """A URL and all that is known of it. Times are the event loop's, in seconds."""

    def __init__(self, model: Model, url: str, key: str | None) -> None:
        most = max(1, model.limits.concurrency)
        self.url = hide_credentials(url)
        self.secrets = Secrets(url, key)
        self.connection = Connection(url, key, timeout_s=model.timeout_s)
        self.gate = Gate(most)
        self.modes = JsonModes(model)
        self.num_successes = 0
        self.down_until = 0.0
        self._rest_s = 0.0
        self._failures = 0

    @property
    def load(self) -> float:
        """How full it is, 0 to 1."""
        return self.gate.in_flight / self.gate.width

    @property
    def is_on_trial(self) -> bool:
        """Whether it was down and has not succeeded since."""
        return self._rest_s > 0

    def has_room(self, now: float) -> bool:
        """Whether one more request may be sent to it now; a single one to an endpoint that was down."""
        if now < self.down_until or (self.is_on_trial and self.gate.in_flight):
            return False
        return self.gate.has_room(now)

    def find_wait(self, now: float) -> float:
        """Seconds until it may have room by time alone; 0 where it waits for a reply instead."""
        return max(0.0, self.down_until - now, self.gate.held_until - now)

    def note_success(self) -> None:
        """A request succeeded: it is up."""
        self.num_successes += 1
        self._failures = 0
        self._rest_s = 0.0
        self.gate.open()

    def note_failure(self) -> bool:
        """A request failed for a reason of the endpoint's own; whether that makes it one to be left alone."""
        self._failures += 1
        return self._failures >= ILL_ENOUGH

    def rest(self, now: float) -> None:
        """Takes it out for a while."""
        if now < self.down_until:
            return
        self._rest_s = min(LONGEST_REST_S, self._rest_s * 2 or FIRST_REST_S)
        self.down_until = now + self._rest_s

    def end_rest(self) -> None:
        """Takes it in again, for as many requests as its gate lets through."""
        self.down_until = 0.0
        self._rest_s = 0.0
