"""The command is wrong: it names something that is not there."""

from __future__ import annotations


class UsageError(Exception):
    """Ends the command with exit code 2."""
