"""The command line: `exgrpo COMMAND`. Commands import what they need when they run, so that `--help` is quick."""

from __future__ import annotations

from exgrpo_dsl.cli.interrupt import end_on_interrupt


def main(arguments: list[str] | None = None) -> None:
    """Runs one command and exits with its code."""
    end_on_interrupt()
    from exgrpo_dsl.cli.app import run_and_exit

    run_and_exit(arguments)


__all__ = ["main"]
