"""The process that compares mathematical answers: pairs of LaTeX texts in, verdicts out, one JSON object a line.

It is run as a script, by its path, so that it imports math-verify and the standard library alone. Whoever runs it may kill it at any
time; where the system can, it also limits its own memory and ends itself when one comparison takes far too long, so that it never
outlives a parent that was killed.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from typing import Any

GRACE = 2.0
"""How many times the parent's time limit a comparison may take before the process ends itself."""


def main() -> None:
    """Answers until its input ends. Arguments: bytes of memory, seconds of the parent's time limit."""
    memory, seconds = int(sys.argv[1]), float(sys.argv[2])
    # Whatever the libraries print goes nowhere.
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    from math_verify import parse, verify

    for name in ("math_verify.parser", "math_verify.grader"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    _limit_memory(memory)
    print(json.dumps({"ready": True}), file=replies, flush=True)
    for line in sys.stdin:
        _set_alarm(seconds * GRACE)
        request = json.loads(line)
        try:
            reply: dict[str, Any] = {"same": _compare(parse, verify, request["gold"], request["answer"])}
        except MemoryError:
            reply = {"failed": "took too much memory"}
        except Exception as error:
            reply = {"failed": f"ended in {type(error).__name__}"}
        _set_alarm(0)
        print(json.dumps(reply), file=replies, flush=True)


def _compare(parse: Any, verify: Any, gold: str, answer: str) -> bool:
    # Their own time limits rest on signals, and the parent has its own.
    parsed = [
        parse(f"\\boxed{{{text}}}", parsing_timeout=None, raise_on_error=True) for text in (gold, answer)
    ]
    return bool(all(parsed) and verify(*parsed, timeout_seconds=None, raise_on_error=True))


def _limit_memory(size: int) -> None:
    try:
        import resource
    except ImportError:
        return
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (size if hard < 0 else min(size, hard), hard))


def _set_alarm(seconds: float) -> None:
    import signal

    if hasattr(signal, "setitimer"):
        # The default action of the signal ends the process, whatever it is in the middle of.
        signal.setitimer(signal.ITIMER_REAL, seconds)


if __name__ == "__main__":
    main()
