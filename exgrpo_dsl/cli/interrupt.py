"""Ctrl-C before there is anything to tidy up.

Importing takes a few tenths of a second, and a KeyboardInterrupt in it would be caught and renamed by whichever library is
just being imported. Until a command begins, Ctrl-C therefore ends the process at once.
"""

from __future__ import annotations

import os

try:
    # `signal` names its numbers by `enum`, which is a fifth of a check whose result is stored.
    from _signal import SIGINT, signal  # type: ignore[import-not-found]
except ImportError:
    from signal import SIGINT, signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

EXIT_INTERRUPTED = 130


def end_on_interrupt() -> None:
    """From now on Ctrl-C ends the process with 130, without any clean-up."""
    _handle(_end)


def raise_on_interrupt() -> None:
    """From now on Ctrl-C raises KeyboardInterrupt, as usual, and is remembered."""
    _handle(_raise)


def was_interrupted() -> bool:
    """Whether Ctrl-C was pressed, whatever became of its KeyboardInterrupt."""
    return bool(_seen)


_seen: list[int] = []


def _handle(handler: Callable[[int, object], None]) -> None:
    try:
        signal(SIGINT, handler)
    except ValueError:
        return  # only the main thread may; in any other Ctrl-C is the program's own


def _raise(number: int, _: object) -> None:
    _seen.append(number)
    raise KeyboardInterrupt


def _end(*_: object) -> None:
    os.write(2, b"\ninterrupted\n")
    os._exit(EXIT_INTERRUPTED)
