"""The process that compares mathematical answers: pairs of LaTeX texts in, verdicts out, one JSON object a line.

It is run as a script, by its path, so that it imports math-verify and the standard library alone. Where the system can fork, children
compare: the system ends a child when one comparison takes too much processor time, and the next child need not import anything.
Whoever runs it may kill its process group at any time; a child never goes on for longer than the limit.
"""

from __future__ import annotations

import json
import logging
import mmap
import os
import sys
from typing import Any, TextIO

EXAMPLES = (("\\frac{1}{2}", "0.5"), ("x+\\sqrt{8}", "2\\sqrt{2}+x"), ("(1,2)", "[1,2)"))
"""Compared before the first request: the libraries load and remember a good deal on the way."""


def main() -> None:
    """Answers until its input ends. Arguments: bytes of memory, seconds of processor time for each comparison."""
    memory, seconds = int(sys.argv[1]), float(sys.argv[2])
    # Whatever the libraries print goes nowhere.
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    from math_verify import parse, verify

    for name in ("math_verify.parser", "math_verify.grader"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    _limit_memory(memory)
    for gold, answer in EXAMPLES:
        _compare(parse, verify, gold, answer)
    try:
        print(json.dumps({"ready": True}), file=replies, flush=True)
        if hasattr(os, "fork"):
            _answer_in_children((parse, verify), replies, seconds)
        else:
            _answer((parse, verify), replies, seconds, bytearray(1))
    except BrokenPipeError:
        # Nobody is waiting any more; and nothing is left to be written when the interpreter ends.
        os._exit(0)


def _answer_in_children(library: tuple[Any, Any], replies: TextIO, seconds: float) -> None:
    """Lets a child answer, and another one after each that was ended."""
    busy = mmap.mmap(-1, 1)
    while True:
        child = os.fork()
        if child == 0:
            try:
                _answer(library, replies, seconds, busy)
            finally:
                os._exit(0)
        status = os.waitpid(child, 0)[1]
        if os.WIFEXITED(status):
            return
        if busy[0]:
            busy[0] = 0
            print(
                json.dumps({"failed": _describe_end(os.WTERMSIG(status), seconds)}), file=replies, flush=True
            )


def _describe_end(number: int, seconds: float) -> str:
    import signal

    is_late = number == signal.SIGPROF
    return f"took longer than {seconds:g} s of processor time" if is_late else "ended its process"


def _answer(library: tuple[Any, Any], replies: TextIO, seconds: float, busy: Any) -> None:
    for line in sys.stdin:
        busy[0] = 1
        _set_alarm(seconds)
        request = json.loads(line)
        try:
            reply: dict[str, Any] = {"same": _compare(*library, request["gold"], request["answer"])}
        except MemoryError:
            reply = {"failed": "took too much memory"}
        except Exception as error:
            reply = {"failed": f"ended in {type(error).__name__}"}
        _set_alarm(0)
        busy[0] = 0
        print(json.dumps(reply), file=replies, flush=True)


def _compare(parse: Any, verify: Any, gold: str, answer: str) -> bool:
    # Their own time limits rest on signals.
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
        signal.setitimer(signal.ITIMER_PROF, seconds)


if __name__ == "__main__":
    main()
