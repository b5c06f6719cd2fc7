"""Comparing mathematical answers in a process that can be killed.

Invariant: whatever two texts hold, a comparison ends within the time limit, in any thread, with a verdict or with the reason why there
is none; it never blocks, exhausts or ends the process that asks. The worker is started by the first comparison, by spawning and never
by forking, restarted after it was killed, and ends with the process that uses it.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import threading
from functools import lru_cache
from pathlib import Path
from typing import Any

MATH_SECONDS = 5.0
"""Time limit of one comparison."""
START_SECONDS = 120.0
"""Time limit of the start, which imports sympy: half a second, but more on a busy machine."""
MEMORY = 2 << 30
"""Bytes of address space of the worker, where the system can limit it."""

_SCRIPT = Path(__file__).with_name("math_process.py")


class MathWorker:
    """One worker process, started when it is first needed; threads take turns."""

    def __init__(self, seconds: float = MATH_SECONDS, memory: int = MEMORY) -> None:
        self.seconds = seconds
        self.memory = memory
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._owner = 0

    @property
    def pid(self) -> int | None:
        """The process id of the worker, while there is one."""
        return None if self._process is None else self._process.pid

    def compare(self, answer: str, gold: str) -> bool | str:
        """Whether the two are equal; or why that was not found out, as a clause about the comparison."""
        request = json.dumps({"gold": gold, "answer": answer})
        with self._lock:
            process = self._ensure_process()
            if process is None:
                return "could not be started"
            reply, is_late = _exchange(process, request, self.seconds)
            if reply is None:
                self._stop()
                return f"took longer than {self.seconds:g} s" if is_late else "ended its process"
        failed = reply.get("failed")
        return bool(reply["same"]) if failed is None else str(failed)

    def close(self) -> None:
        """Ends the process; the next comparison starts another."""
        with self._lock:
            self._stop()

    def _ensure_process(self) -> subprocess.Popen[str] | None:
        if self._owner != os.getpid():
            # After a fork the pipes are the parent's, and so is the process at their other end.
            self._process, self._owner = None, os.getpid()
        if self._process is not None and self._process.poll() is not None:
            self._stop()
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(_SCRIPT), str(self.memory), str(self.seconds)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                encoding="utf-8",
            )
            if _exchange(self._process, None, START_SECONDS)[0] is None:
                self._stop()
        return self._process

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
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


def _exchange(
    process: subprocess.Popen[str], request: str | None, seconds: float
) -> tuple[dict[str, Any] | None, bool]:
    """The reply to a request, or None with whether the time limit was the reason."""
    assert process.stdin is not None
    assert process.stdout is not None
    late = threading.Event()

    def kill() -> None:
        late.set()
        process.kill()

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
