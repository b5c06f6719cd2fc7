"""Comparing mathematical answers in a process that can be killed.

Invariant: whatever two texts hold, a comparison ends within the time limit, in any thread, with a verdict or with the reason why there
is none; it never blocks, exhausts or ends the process that asks. The worker is started when it is known that it will be needed, at the
latest by the first comparison, by spawning and never by forking; it is restarted after it was killed, and ends with the process that
uses it. Where the system can, it counts processor time, so that a verdict does not depend on what else the machine does.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

MATH_SECONDS = 0.6
"""Processor time of one comparison. Ordinary answers take milliseconds, polynomials of thirty terms a third of a second."""
WAIT_SECONDS = 10.0
"""Time limit of one comparison by the clock: for systems that do not count, and for machines that are busy with something else."""
START_SECONDS = 120.0
"""Time limit of the start, which imports sympy: half a second, but more on a busy machine."""
MEMORY = 2 << 30
"""Bytes of address space of the worker, where the system can limit it."""

_SCRIPT = Path(__file__).with_name("math_process.py")


class MathWorker:
    """One worker process, started when it is first needed; threads take turns."""

    def __init__(
        self, seconds: float = MATH_SECONDS, memory: int = MEMORY, wait: float = WAIT_SECONDS
    ) -> None:
        self.seconds = seconds
        self.memory = memory
        self.wait = wait
        self._lock = threading.Lock()
        self._is_ready = False
        self._process: subprocess.Popen[str] | None = None
        self._owner = 0

    @property
    def pid(self) -> int | None:
        """The process id of the worker, while there is one."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Starts the process and does not wait for it: imports take it half a second, or more on a busy machine."""
        with self._lock:
            self._ensure_process()

    def compare(self, answer: str, gold: str) -> bool | str:
        """Whether the two are equal; or why that was not found out, as a clause about the comparison."""
        request = json.dumps({"gold": gold, "answer": answer})
        with self._lock:
            process = self._ensure_process()
            if not self._is_ready:
                self._is_ready = _exchange(process, None, START_SECONDS)[0] is not None
            if not self._is_ready:
                self._stop()
                return "could not be started"
            reply, is_late = _exchange(process, request, self.wait)
            if reply is None:
                self._stop()
                return f"took longer than {self.wait:g} s" if is_late else "ended its process"
        failed = reply.get("failed")
        return bool(reply["same"]) if failed is None else str(failed)

    def close(self) -> None:
        """Ends the process; the next comparison starts another."""
        with self._lock:
            self._stop()

    def _ensure_process(self) -> subprocess.Popen[str]:
        if self._owner != os.getpid():
            # After a fork the pipes are the parent's, and so is the process at their other end.
            self._process, self._owner = None, os.getpid()
        if self._process is not None and self._process.poll() is not None:
            self._stop()
        if self._process is None:
            self._is_ready = False
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(_SCRIPT), str(self.memory), str(self.seconds)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                encoding="utf-8",
                # A group of its own, to be killed with its children; and Ctrl-C is for whoever uses it.
                process_group=0 if hasattr(os, "killpg") else None,
            )
        return self._process

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        _kill(process)
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    # What was still to be written to the dead process is of no use.
                    continue


@lru_cache(maxsize=1)
def get_worker() -> MathWorker:
    """The worker that this process shares; ended when the process is."""
    worker = MathWorker()
    atexit.register(worker.close)
    return worker


def _kill(process: subprocess.Popen[str]) -> None:
    """Kills a process with its children, if there still are any."""
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()


def _exchange(
    process: subprocess.Popen[str], request: str | None, seconds: float
) -> tuple[dict[str, Any] | None, bool]:
    """The reply to a request, or None with whether the time limit was the reason."""
    assert process.stdin is not None
    assert process.stdout is not None
    late = threading.Event()

    def kill() -> None:
        late.set()
        _kill(process)

    timer = threading.Timer(seconds, kill)
    timer.daemon = True
    timer.start()
    try:
        if request is not None:
            process.stdin.write(request + "\n")
            process.stdin.flush()
        line = process.stdout.readline()
        return (json.loads(line) if line.endswith("\n") else None), late.is_set()
    except (OSError, ValueError):
        return None, late.is_set()
    finally:
        timer.cancel()
