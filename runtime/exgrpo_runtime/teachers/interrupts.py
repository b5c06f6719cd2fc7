"""Ctrl-C while requests are in flight: the first asks to stop, the second leaves at once; none while the loop is being made."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def catch_interrupts(first: Callable[[], None], second: Callable[[], None]) -> Iterator[None]:
    """Within it Ctrl-C calls `first`, and from then on `second`; only in the main thread, on the running loop."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    seen: list[int] = []

    def handle() -> None:
        seen.append(1)
        (first if len(seen) == 1 else second)()

    previous = signal.getsignal(signal.SIGINT)
    loop.add_signal_handler(signal.SIGINT, handle)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        if previous is not None:
            signal.signal(signal.SIGINT, previous)


@contextmanager
def delay_interrupts() -> Iterator[None]:
    """Ctrl-C within it takes effect at its end, where the system can put off a signal."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)
