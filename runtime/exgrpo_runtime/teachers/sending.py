"""The requests to one model, on their way: claimed wave by wave, so many in flight, stored as they land.

Invariant: a slot is free for the next request only when the reply of the last one is committed; so whatever kills the process, the
replies that are lost are among those in flight.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice

from exgrpo_artifact.errors import DiskError, ExgrpoError, TeacherError
from exgrpo_runtime.teachers.budget import Budget
from exgrpo_runtime.teachers.store import ReplyStore
from exgrpo_runtime.teachers.teacher import Reply, Request, Teacher

MAX_FAILURES_IN_A_ROW = 50
"""So many requests that fail one after the other are no accident: the stage stops and fails no more."""
LEAST_WAVE = 32
RENEWAL_S = 30.0
FIRST_LOOK_S = 0.1
LONGEST_LOOK_S = 2.0
"""How often the store is looked into for replies that another process asks for."""


OnLanding = Callable[[Request, Reply, bool], None]
"""Request, reply, and whether this process asked for it."""


def is_drained(error: BaseException | None) -> bool:
    """Whether what is in flight is worth waiting for after this error: its replies are paid for, and can be stored."""
    return isinstance(error, ExgrpoError) and not isinstance(error, DiskError)


class Sending:
    """Sends requests to one model until all have landed or it is stopped.

    Args:
        requests: to one model, none of them stored, no two with the same key.
        teacher: the model, opened.
        store: where replies go before anyone sees them.
        land: called once for each request, when its reply is stored.
    """

    def __init__(
        self, requests: Sequence[Request], teacher: Teacher, store: ReplyStore, land: OnLanding
    ) -> None:
        self.model = requests[0].model
        self.in_flight = 0
        self._teacher = teacher
        self._store = store
        self._land = land
        self._began = time.time()
        self._pending = deque(requests)
        self._claimed: deque[Request] = deque()
        self._elsewhere: dict[str, Request] = {}
        self._open: set[str] = set()
        self._reserved: dict[str, float] = {}
        self._budget = Budget(self.model, store.sum_usage(self.model.name))
        self._is_stopped = False
        self._is_blocked = False
        self._failures = 0
        self._look_s = FIRST_LOOK_S
        self._changed = asyncio.Event()
        self._wave = max(LEAST_WAVE, 2 * teacher.concurrency)

    def stop(self) -> None:
        """Sends nothing more; what is in flight is waited for."""
        self._is_stopped = True
        self._teacher.stop()
        self._changed.set()

    async def run(self) -> None:
        """Sends everything, or until stopped.

        Raises:
            TeacherError: the teacher cannot be used, stopped answering, or its budget is used up; nothing is in flight then.
            DiskError: a reply could not be stored.
        """
        count = min(self._teacher.concurrency, len(self._pending))
        workers = [asyncio.create_task(self._work()) for _ in range(count)]
        renewal = asyncio.create_task(self._renew())
        try:
            await self._wait_for(workers)
        finally:
            renewal.cancel()
            for worker in workers:
                worker.cancel()
            await asyncio.gather(renewal, *workers, return_exceptions=True)
            with contextlib.suppress(DiskError):  # what is not released ends with this process
                self._store.release(list(self._open))

    async def _wait_for(self, workers: list[asyncio.Task[None]]) -> None:
        """Returns when all workers are done. A teacher's error stops sending and is raised when the rest has landed."""
        failure: BaseException | None = None
        running = set(workers)
        while running:
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for worker in done:
                error = worker.exception()
                if is_drained(error):
                    failure = failure or error
                    self.stop()
                elif error is not None:
                    raise error
        if failure is not None:
            raise failure

    async def _work(self) -> None:
        while (request := await self._take()) is not None:
            self.in_flight += 1
            try:
                reply = await self._teacher.ask(request)
            finally:
                self.in_flight -= 1
            if reply.is_unsent:
                return
            self._store.put(request, reply)
            self._open.discard(request.key)
            self._reserved.pop(request.key, None)
            self._changed.set()
            self._land(request, reply, True)
            self._count(reply)

    async def _take(self) -> Request | None:
        """The next request to send; None where there is none left or the run is being stopped."""
        while not self._is_stopped:
            if self._claimed:
                return self._claimed.popleft()
            if self._pending and not self._is_blocked:
                self._claim()
            elif self._pending or self._elsewhere:
                await self._wait()
            else:
                return None
        return None

    def _claim(self) -> None:
        """Claims the next wave, as much of it as the budget holds.

        Raises:
            TeacherError: the budget does not hold one more request, and nothing is in flight whose settling might change that.
        """
        wave = {request.key: request for request in islice(self._pending, self._wave)}
        costs = {key: self._budget.estimate_most(request) for key, request in wave.items()}
        claimed = self._store.claim(self.model.name, costs, self._find_room)
        for _ in range(sum(map(len, claimed))):
            self._pending.popleft()
        self._open.update(claimed.mine)
        self._claimed.extend(wave[key] for key in claimed.mine)
        self._reserved.update((key, costs[key]) for key in claimed.mine if costs[key])
        self._elsewhere.update((key, wave[key]) for key in claimed.elsewhere)
        answered = [wave[key] for key in claimed.answered]
        for request in answered:
            self._land(request, self._store.find([request])[request.key], False)
        if not any(claimed):
            most_usd = costs[next(iter(costs))]
            if not self.in_flight and most_usd > self._budget.left_usd:
                self._budget.refuse(most_usd)
            self._is_blocked = True

    def _find_room(self, reserved_elsewhere: float) -> float:
        """What may be claimed, in US dollars, when other processes have reserved so much."""
        if not self._budget.is_kept:
            return math.inf
        self._budget = Budget(self.model, self._store.sum_usage(self.model.name))
        return self._budget.left_usd - reserved_elsewhere - sum(self._reserved.values())

    async def _wait(self) -> None:
        """Until something landed here, or it is time to look what other processes have got."""
        self._changed.clear()
        try:
            await asyncio.wait_for(self._changed.wait(), self._look_s)
        except TimeoutError:
            self._look()
        self._is_blocked = False

    def _look(self) -> None:
        """Takes over what another process failed at, and has the rest looked for and claimed again."""
        failures = self._store.find_failures(list(self._elsewhere), self._began)
        for key, reply in failures.items():
            self._land(self._elsewhere.pop(key), reply, False)
        self._look_s = FIRST_LOOK_S if failures else min(LONGEST_LOOK_S, self._look_s * 1.5)
        self._pending.extend(self._elsewhere.values())
        self._elsewhere.clear()

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEWAL_S)
            self._store.renew()

    def _count(self, reply: Reply) -> None:
        self._failures = self._failures + 1 if reply.text is None else 0
        if (
            self._failures >= max(MAX_FAILURES_IN_A_ROW, 2 * self._teacher.concurrency)
            and not self._is_stopped
        ):
            self.stop()
            raise TeacherError(
                f"teacher `{self.model.name}` failed {self._failures} requests in a row; the last: "
                f"{reply.error}. Its replies so far are stored; go on with --resume."
            )
