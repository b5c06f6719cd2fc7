"""What ends a command before a spec is looked at: the command, the project's files, or the place of a library is wrong."""

from __future__ import annotations

from exgrpo_artifact.errors import ExgrpoError


class UsageError(Exception):
    """Ends the command with exit code 2."""


class ProjectError(ExgrpoError, ValueError):
    """`exg.toml`, `exg.lock` or a library is not what it must be. Its text names the command that mends it."""

    exit_code = 1


class LibraryError(ExgrpoError, OSError):
    """The place that a library comes from cannot be read: git refuses, the network is down. Nothing was written."""
