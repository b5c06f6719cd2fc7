"""Exceptions: the world failed, or we did.

A wrong *spec* is never an exception; it is a diagnostic of the compiler. Each class here is named by the
boundary it crossed and carries the exit code that the command line ends with.
"""

from __future__ import annotations


class ExgrpoError(Exception):
    """Root of every exception that a user may see. Its text says what happened and what to do."""

    exit_code = 3


class ArtifactError(ExgrpoError, ValueError):
    """An artifact directory is missing, of an unknown format, or does not match its own hashes. Fatal."""


class DataError(ExgrpoError, ValueError):
    """The data are unusable: no row, no valid row, no probe left. Fatal for the stage."""

    exit_code = 4


class SourceError(ExgrpoError, OSError):
    """A dataset's rows could not be read: file missing, not JSON, hub unreachable. Fatal."""


class TeacherError(ExgrpoError, ConnectionError):
    """A teacher or judge cannot be reached at all, or refuses us (401, 403, 404). Fatal.

    A single request that fails is a record with its error, not this.
    """


class ModelError(ExgrpoError, RuntimeError):
    """A student cannot be loaded or cannot work with this task (no chat template, context too short). Fatal."""


class DiskError(ExgrpoError, OSError):
    """The run directory cannot be written: full, read-only, or held by another process. Fatal; resumable."""


class HubError(ExgrpoError, OSError):
    """The Hugging Face hub did not take what was to be pushed. Nothing of the run is lost."""


class MissingDependencyError(ExgrpoError, ImportError):
    """An optional extra is needed and not installed. The text names the command that installs it."""


class UndecidedError(ExgrpoError):
    """Whether two answers are the same could not be found out within the limits of time and memory.

    Whoever compares answers makes a failed value of it, never a wrong answer; it reaches no user.
    """


class PartialError(ExgrpoError):
    """The work finished, but some of it failed and is recorded as such."""

    exit_code = 5


class InternalError(Exception):
    """Our bug. Says so, names the stage, and asks for a report."""

    exit_code = 70
