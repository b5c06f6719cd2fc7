"""Many requests to teachers: the store first, then the endpoint, so many in flight, within the budget.

Invariant: every reply is stored before anything is done with it; no request whose reply is stored is sent.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

from exgrpo_artifact.errors import ExgrpoError, TeacherError
from exgrpo_artifact.manifest import Model
from exgrpo_runtime.teachers.budget import Budget
from exgrpo_runtime.teachers.store import ReplyStore
from exgrpo_runtime.teachers.teacher import Reply, Request, Teacher, open_teacher

MAX_FAILURES_IN_A_ROW = 50
"""So many requests that fail one after the other are no accident: the stage stops and fails no more."""

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

    def ask_all(self, requests: Sequence[Request], on_reply: OnReply = lambda _: None) -> list[Reply]:
        """The replies, in the order of the requests; equal requests are sent once.

        Args:
            requests: to whatever models.
            on_reply: called in this thread once for each request as its reply is there.

        Raises:
            TeacherError: a teacher cannot be used at all, stopped answering, or its budget is used up.
            DiskError: a reply could not be stored.
        """
        keys = [request.key for request in requests]
        copies = Counter(keys)
        replies: dict[str, Reply] = {}
        pending: dict[str, deque[Request]] = {}
        for key, request in dict(zip(keys, requests, strict=True)).items():
            stored = self.store.get_by_key(key)
            if stored is None:
                pending.setdefault(request.model.name, deque()).append(request)
                continue
            replies[key] = stored
            self.tally.from_store += copies[key]
            for _ in range(copies[key]):
                on_reply(stored)

        def take(request: Request, reply: Reply) -> None:
            key = request.key
            self.store.put(request, reply)
            replies[key] = reply
            self._count(reply, copies[key])
            for _ in range(copies[key]):
                on_reply(reply)

        for waiting in pending.values():
            self._ask_model(waiting, take)
        return [replies[key] for key in keys]

    def _count(self, reply: Reply, copies: int) -> None:
        tally = self.tally
        tally.asked += 1
        tally.from_store += copies - 1 if reply.text is not None else 0
        tally.failed += copies if reply.text is None else 0
        tally.prompt_tokens += reply.prompt_tokens or 0
        tally.completion_tokens += reply.completion_tokens or 0
        tally.uncounted += reply.completion_tokens is None and reply.text is not None

    def _ask_model(self, pending: deque[Request], take: Callable[[Request, Reply], None]) -> None:
        model = pending[0].model
        teacher = self.store.get_teacher(model, self.open_model)
        budget = Budget(model, self.store.sum_usage(model.name))
        workers = _Workers(teacher, min(teacher.concurrency, len(pending)))
        failures = 0
        try:
            while pending or workers.in_flight:
                while pending and workers.has_room and budget.reserve(pending[0]):
                    workers.send(pending.popleft())
                if not workers.in_flight:
                    budget.refuse()
                request, reply = workers.receive()
                budget.settle(request, reply)
                take(request, reply)
                failures = failures + 1 if reply.text is None else 0
                if failures >= MAX_FAILURES_IN_A_ROW:
                    raise TeacherError(
                        f"teacher `{model.name}` failed {failures} requests in a row; the last: "
                        f"{reply.error}. Its replies so far are stored; go on with --resume."
                    )
        except BaseException:
            # Ctrl-C included: nothing waits for requests in flight, but what has arrived was paid for.
            self.store.drop_teacher(model.name)
            with contextlib.suppress(ExgrpoError):
                for request, reply in workers.drain():
                    self.store.put(request, reply)
            raise
        finally:
            workers.dismiss()


_Outcome = tuple[Request, Reply | BaseException]


class _Workers:
    """Threads that ask. They are daemons: a process that ends does not wait for an endpoint that hangs."""

    def __init__(self, teacher: Teacher, count: int) -> None:
        self.in_flight = 0
        self._count = count
        self._tasks: SimpleQueue[Request | None] = SimpleQueue()
        self._outcomes: SimpleQueue[_Outcome] = SimpleQueue()
        for number in range(count):
            threading.Thread(
                target=self._work, args=(teacher,), name=f"teacher-{number}", daemon=True
            ).start()

    @property
    def has_room(self) -> bool:
        return self.in_flight < self._count

    def send(self, request: Request) -> None:
        self.in_flight += 1
        self._tasks.put(request)

    def receive(self) -> tuple[Request, Reply]:
        request, outcome = self._outcomes.get()
        self.in_flight -= 1
        if isinstance(outcome, BaseException):
            raise outcome
        return request, outcome

    def drain(self) -> list[tuple[Request, Reply]]:
        arrived = []
        with contextlib.suppress(Empty):
            while True:
                request, outcome = self._outcomes.get_nowait()
                if isinstance(outcome, Reply):
                    arrived.append((request, outcome))
        return arrived

    def dismiss(self) -> None:
        for _ in range(self._count):
            self._tasks.put(None)

    def _work(self, teacher: Teacher) -> None:
        while (request := self._tasks.get()) is not None:
            try:
                outcome: Reply | BaseException = teacher.ask(request)
            except BaseException as error:  # handed to the thread that waits, which raises it
                outcome = error
            self._outcomes.put((request, outcome))
