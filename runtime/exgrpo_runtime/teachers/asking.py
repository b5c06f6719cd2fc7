"""Many requests to teachers: the store first, then the endpoints, so many in flight, within the budget.

Invariant: every reply is stored before anything is done with it; no request whose reply is stored is sent.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from exgrpo_artifact.manifest import Model
from exgrpo_runtime.teachers.interrupts import catch_interrupts
from exgrpo_runtime.teachers.sending import OnLanding, Sending, is_drained
from exgrpo_runtime.teachers.store import ReplyStore, compute_cost
from exgrpo_runtime.teachers.teacher import Reply, Request, Teacher, open_teacher

TELL_AFTER_S = 0.1
"""After Ctrl-C, until what has not been sent has come back and only what is in flight is left."""

OnReply = Callable[[Reply], None]


@dataclass(slots=True)
class Tally:
    """What asking has cost so far."""

    asked: int = 0
    """Requests sent, failed ones included, attempts not counted."""
    from_store: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    uncounted: int = 0
    """Replies whose tokens the endpoint does not tell."""
    cost_usd: float = 0.0
    """Of the replies whose cost is known."""

    def count(self, request: Request, reply: Reply, copies: int, *, is_ours: bool) -> None:
        """Counts the reply to a request that was given so many times over; `is_ours`: this process asked for it."""
        self.asked += is_ours
        if reply.text is None:
            self.failed += copies
        else:
            self.from_store += copies - is_ours
        if is_ours:
            self.prompt_tokens += reply.prompt_tokens or 0
            self.completion_tokens += reply.completion_tokens or 0
            self.uncounted += reply.completion_tokens is None and reply.text is not None
            self.cost_usd += compute_cost(request.model, reply.prompt_tokens, reply.completion_tokens) or 0.0

    def to_json(self) -> dict[str, object]:
        """The figures as summaries have them."""
        tokens = {
            "prompt": self.prompt_tokens,
            "completion": self.completion_tokens,
            "uncounted": self.uncounted,
        }
        return {"asked": self.asked, "from_store": self.from_store, "failed": self.failed, "tokens": tokens}


@dataclass(slots=True)
class Asker:
    """Asks for a stage and keeps its tally."""

    store: ReplyStore
    open_model: Callable[[Model], Teacher] = open_teacher
    tally: Tally = field(default_factory=Tally)
    given: Mapping[str, Reply] = field(default_factory=dict)
    """By key: failures that count as this run's own, so that nothing is sent again."""

    def ask_all(self, requests: Sequence[Request], on_reply: OnReply = lambda _: None) -> list[Reply]:
        """The replies, in the order of the requests; equal requests are sent once.

        Args:
            requests: to whatever models.
            on_reply: called in this thread once for each request as its reply is there.

        Raises:
            TeacherError: a teacher cannot be used at all, stopped answering, or its budget is used up.
            DiskError: a reply could not be stored.
            KeyboardInterrupt: Ctrl-C; what was in flight has been waited for and stored, unless there was a second one.
        """
        keys = [request.key for request in requests]
        copies = Counter(keys)
        replies: dict[str, Reply] = {}

        def land(request: Request, reply: Reply, is_ours: bool) -> None:
            key = request.key
            replies[key] = reply
            self.tally.count(request, reply, copies[key], is_ours=is_ours)
            for _ in range(copies[key]):
                on_reply(reply)

        distinct = dict(zip(keys, requests, strict=True))
        stored = self.store.find(list(distinct.values()))
        pending: dict[str, list[Request]] = {}
        for key, request in distinct.items():
            reply = stored.get(key) or self.given.get(key)
            if reply is not None:
                land(request, reply, False)
            else:
                pending.setdefault(request.model.name, []).append(request)
        if pending:
            self._send(pending, land)
        return [replies[key] for key in keys]

    def _send(self, pending: Mapping[str, Sequence[Request]], land: OnLanding) -> None:
        session = self.store.session
        sendings = [
            Sending(group, session.get_teacher(group[0].model, self.open_model), self.store, land)
            for group in pending.values()
        ]
        is_whole = False
        try:
            is_whole = session.run(_run_all(sendings))
        finally:
            if not is_whole:  # whoever asks again opens a teacher that was not stopped
                for name in pending:
                    session.drop_teacher(name)
        if not is_whole:
            raise KeyboardInterrupt


async def _run_all(sendings: Sequence[Sending]) -> bool:
    """Runs all of them at once; False after Ctrl-C. The first that fails stops the others, which land what they have in flight."""
    loop = asyncio.get_running_loop()
    interrupts: list[asyncio.TimerHandle] = []

    def stop() -> None:
        for sending in sendings:
            sending.stop()

    def drain() -> None:
        stop()
        interrupts.append(loop.call_later(TELL_AFTER_S, _tell_in_flight, sendings))

    def leave() -> None:
        for task in tasks:
            task.cancel()

    tasks = [asyncio.create_task(sending.run()) for sending in sendings]
    try:
        with catch_interrupts(drain, leave):
            failure = await _wait_for(tasks, stop)
    finally:
        for timer in interrupts:
            timer.cancel()
    if failure is not None and not (interrupts and is_drained(failure)):
        raise failure
    return not interrupts


async def _wait_for(tasks: Sequence[asyncio.Task[None]], stop: Callable[[], None]) -> BaseException | None:
    """Waits for all tasks; the first failure, by which the others are stopped or, where it is not a teacher's, cancelled."""
    failure: BaseException | None = None
    running = set(tasks)
    try:
        while running:
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                error = None if task.cancelled() else task.exception()
                failure = failure or error
                if is_drained(error):
                    stop()
                elif error is not None:
                    for other in running:
                        other.cancel()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    return failure


def _tell_in_flight(sendings: Sequence[Sending]) -> None:
    in_flight = sum(sending.in_flight for sending in sendings)
    if in_flight:
        noun = "request is" if in_flight == 1 else "requests are"
        sys.stderr.write(
            f"\ninterrupted: {in_flight} {noun} in flight and waited for, as they are paid for; Ctrl-C again leaves at once\n"
        )
        sys.stderr.flush()
