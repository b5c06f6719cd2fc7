"""Calls that block, awaited: a few daemon threads, so that a process that ends does not wait for what hangs."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")

_Call = tuple[Callable[[], Any], "asyncio.Future[Any]"]


class Threads:
    """Up to `count` threads, each started when it is first needed."""

    def __init__(self, count: int, name: str) -> None:
        self._count = count
        self._name = name
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._started = 0
        self._waiting = 0

    async def call(self, function: Callable[[], T]) -> T:
        """What `function()` returns, or raises, in one of the threads."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._calls.put((function, future))
        self._waiting += 1
        if self._started < min(self._count, self._waiting):
            threading.Thread(target=self._work, name=f"{self._name}-{self._started}", daemon=True).start()
            self._started += 1
        try:
            return await future
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Lets every thread end after its call."""
        for _ in range(self._started):
            self._calls.put(None)
        self._started = 0

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            function, future = call
            result: Any = None
            failure: BaseException | None = None
            try:
                result = function()
            except BaseException as error:  # handed to whoever awaits, which raises it
                failure = error
            with contextlib.suppress(RuntimeError):  # the loop has ended; nobody waits any more
                future.get_loop().call_soon_threadsafe(_settle, future, result, failure)


def _settle(future: asyncio.Future[Any], result: Any, failure: BaseException | None) -> None:
    if future.done():
        return
    if failure is None:
        future.set_result(result)
    else:
        future.set_exception(failure)
