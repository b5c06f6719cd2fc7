"""Concurrent calls gathered into batches, for models that answer many requests at the price of one.

self._batcher = Batcher(self._generate, most=16)      # _generate: list[Request] -> list[Reply], blocking
async def ask(self, request): return await self._batcher.call(request)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from exgrpo_runtime.teachers.threads import Threads

Item = TypeVar("Item")
Result = TypeVar("Result")


class Batcher(Generic[Item, Result]):
    """One thread that works off batches, one after the other.

    Args:
        run: gives the results of a batch in its order; called in a thread of its own, never twice at once.
        most: a batch has at most so many items.
        wait_s: how long the first item of a batch that is not full waits for others.
    """

    def __init__(
        self, run: Callable[[list[Item]], Sequence[Result]], *, most: int, wait_s: float = 0.02
    ) -> None:
        self._run = run
        self._most = most
        self._wait_s = wait_s
        self._threads = Threads(1, "batch")
        self._items: list[tuple[Item, asyncio.Future[Result]]] = []
        self._worker: asyncio.Task[None] | None = None

    async def call(self, item: Item) -> Result:
        """The result of one item; raises what its batch raised."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        self._items.append((item, future))
        if self._worker is None or self._worker.done():
            self._worker = loop.create_task(self._work())
        return await future

    def take_waiting(self) -> list[Item]:
        """Drops the items that are in no batch yet and gives them back; their callers are cancelled."""
        dropped, self._items = self._items, []
        for _, future in dropped:
            future.cancel()
        return [item for item, _ in dropped]

    def close(self) -> None:
        """Lets the thread end after its batch."""
        self._threads.close()

    async def _work(self) -> None:
        while self._items:
            if len(self._items) < self._most:
                await asyncio.sleep(self._wait_s)
            batch, self._items = self._items[: self._most], self._items[self._most :]
            if batch:
                await self._work_off(batch)

    async def _work_off(self, batch: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        items = [item for item, _ in batch]
        try:
            results = await self._threads.call(lambda: self._run(items))
        except BaseException as error:  # whoever awaits an item of the batch raises it
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            if isinstance(error, asyncio.CancelledError):
                raise
            return
        for (_, future), result in zip(batch, results, strict=True):
            if not future.done():
                future.set_result(result)
