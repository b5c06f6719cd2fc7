"""The command line: `exgrpo COMMAND`. Commands import what they need when they run, so that `--help` is quick."""

from __future__ import annotations

import os
import sys

from exgrpo_dsl.cli.interrupt import end_on_interrupt
from exgrpo_dsl.cli.quick import run_quickly


def main(arguments: list[str] | None = None) -> None:
    """Runs one command and exits with its code."""
    end_on_interrupt()
    given = sys.argv[1:] if arguments is None else arguments
    try:
        code = run_quickly(given)
    except Exception as error:
        from exgrpo_dsl.cli.app import tell_failure

        code = tell_failure(error)
    if code is not None:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # nothing is left to tidy up, and taking a thousand checked specs apart takes time
    from exgrpo_dsl.cli.app import run_and_exit

    run_and_exit(given)


__all__ = ["main"]
