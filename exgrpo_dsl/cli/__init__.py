"""The command line: `exgrpo COMMAND`. Commands import what they need when they run, so that `--help` is quick."""

from exgrpo_dsl.cli.app import main

__all__ = ["main"]
