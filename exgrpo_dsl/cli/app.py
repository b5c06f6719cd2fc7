"""The click group and the one place where exceptions become exit codes.

0 fine            1 the spec is wrong     2 usage         3 the world failed (network, disk, model)
4 data unusable   5 finished in part      70 our bug      130 interrupted
"""

from __future__ import annotations

import os
import sys
import traceback

import click

from exgrpo_artifact.errors import ExgrpoError, InternalError
from exgrpo_dsl import __version__
from exgrpo_dsl.cli.commands import LazyGroup
from exgrpo_dsl.cli.interrupt import EXIT_INTERRUPTED, was_interrupted
from exgrpo_dsl.errors import UsageError

DEBUG = "EXGRPO_DEBUG"
ISSUES = "https://github.com/exgrpo/exgrpo/issues"

EXIT_USAGE = 2
EXIT_BUG = 70


@click.group(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="exgrpo")
def cli() -> None:
    """Declare probes, dialogues and rewards; compile them; distil a student with them.

    Exit codes: 0 fine, 1 the spec is wrong, 2 usage, 3 the world failed (network, disk, model), 4 the data are unusable, 5
    finished in part, 70 a bug in exgrpo, 130 interrupted.
    """


def run_and_exit(arguments: list[str] | None = None) -> None:
    """Runs one command and exits with its code."""
    code = run_command(arguments)
    if code == EXIT_INTERRUPTED:
        # Python ends itself by the signal, not by our code, where Ctrl-C fell into an `exec` of a library.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def run_command(arguments: list[str] | None = None) -> int:
    """Runs one command and returns its exit code; every failure is told in one message on stderr."""
    try:
        result = cli.main(args=arguments, standalone_mode=False)
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except click.ClickException as error:
        error.show()
        return EXIT_USAGE
    except (KeyboardInterrupt, click.Abort):
        print("interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except Exception as error:
        return tell_failure(error)
    return result if isinstance(result, int) else 0


def tell_failure(error: Exception) -> int:
    """Tells what went wrong on stderr; gives the exit code."""
    if isinstance(error, UsageError):
        print(f"error: {error}", file=sys.stderr)
        return EXIT_USAGE
    if isinstance(error, BrokenPipeError):
        # The reader went away (`exgrpo check … | head`): nothing is left to tell it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    if isinstance(error, ExgrpoError) and not isinstance(error, InternalError):
        _show_trace()
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    if was_interrupted():  # a library caught the KeyboardInterrupt and raised something of its own
        print("interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    _report_bug(error)
    return EXIT_BUG


def _report_bug(error: Exception) -> None:
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    kind = "" if isinstance(error, InternalError) else f"{type(error).__name__}: "
    print(f"internal error: {kind}{error}{where}", file=sys.stderr)
    print(
        f"This is a bug in exgrpo {__version__}, not in your spec. Please report it at {ISSUES}, with the output of the "
        f"same command under {DEBUG}=1.",
        file=sys.stderr,
    )
    _show_trace()


def _show_trace() -> None:
    if os.environ.get(DEBUG):
        traceback.print_exc()
