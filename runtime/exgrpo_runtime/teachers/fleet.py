"""The endpoints of one model: which of them gets the next request, and when."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Sequence

from exgrpo_runtime.teachers.endpoint import Endpoint
from exgrpo_runtime.teachers.failures import PassingError
from exgrpo_runtime.teachers.pacing import Pacer


class Fleet:
    """Admission to the endpoints: the one with the most room first, within the limits per minute.

    An endpoint rests only while another is up. Where none is, all get requests again, each of which waits and counts its tries as it
    does with a single endpoint: otherwise a few trials after long rests would be all that many requests had to fail by.
    """

    def __init__(self, endpoints: Sequence[Endpoint], pacer: Pacer) -> None:
        self.endpoints = tuple(endpoints)
        self.pacer = pacer
        self.is_stopped = False
        self._is_dark = False
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._stopping: asyncio.Event = asyncio.Event()

    @property
    def num_successes(self) -> int:
        """Replies that any endpoint ever gave."""
        return sum(endpoint.num_successes for endpoint in self.endpoints)

    async def enter(self) -> Endpoint | None:
        """Waits for a slot and takes it; None once `stop` was called. `leave` gives it back."""
        while not self.is_stopped:
            now = asyncio.get_running_loop().time()
            wait_s: float | None = self.pacer.find_wait(now)
            if not wait_s:
                endpoint = self._choose(now)
                if endpoint is not None:
                    endpoint.gate.enter()
                    return endpoint
                wait_s = self._find_wait(now)
            await self._wait(wait_s)
        return None

    def leave(self, endpoint: Endpoint) -> None:
        """Gives a slot back."""
        endpoint.gate.leave()
        self._wake_one()

    def note_success(self, endpoint: Endpoint) -> None:
        """The endpoint gave a reply."""
        endpoint.note_success()
        self._is_dark = False
        self._wake_one()

    def note_failure(self, endpoint: Endpoint, failure: PassingError, sent_at: float) -> bool:
        """Draws the consequences for the endpoint; whether the request can go to another one instead."""
        now = asyncio.get_running_loop().time()
        if failure.wait_s is not None:
            endpoint.gate.hold(now + failure.wait_s)
        if failure.cause == "busy":
            endpoint.gate.cut(sent_at, now)
            return False
        is_down = endpoint.note_failure() or failure.cause == "absent"
        others = [other for other in self.endpoints if other is not endpoint and now >= other.down_until]
        if is_down and not self._is_dark:
            if others:
                endpoint.rest(now)
            else:
                self._go_dark()
        return failure.cause == "absent" and bool(others) and not self._is_dark

    async def pause(self, seconds: float) -> None:
        """Waits so long, or until `stop`."""
        if seconds <= 0:
            return
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return

    def stop(self) -> None:
        """Lets nobody enter any more and ends every wait."""
        self.is_stopped = True
        self._stopping.set()
        while self._waiters:
            self._wake_one()

    def _go_dark(self) -> None:
        self._is_dark = True
        for endpoint in self.endpoints:
            endpoint.end_rest()
        for _ in range(len(self._waiters)):
            self._wake_one()

    def _choose(self, now: float) -> Endpoint | None:
        if len(self.endpoints) == 1:
            (only,) = self.endpoints
            return only if only.has_room(now) else None
        free = [endpoint for endpoint in self.endpoints if endpoint.has_room(now)]
        return min(free, key=lambda endpoint: (endpoint.load, random.random()), default=None)

    def _find_wait(self, now: float) -> float | None:
        waits = [wait_s for endpoint in self.endpoints if (wait_s := endpoint.find_wait(now)) > 0]
        return min(waits, default=None)

    async def _wait(self, seconds: float | None) -> None:
        """Until a slot may be free, or so long."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        timer = None
        if seconds is not None:
            timer = asyncio.get_running_loop().call_later(seconds, _wake, waiter)
        try:
            await waiter
        finally:
            if timer is not None:
                timer.cancel()

    def _wake_one(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
