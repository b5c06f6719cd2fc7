"""`exgrpo check FILES`, the plain form, without what only other forms need: it runs on every save and in every CI job.

Where every result is stored and clean, not even the compiler is imported; where one must be computed, click is still not. Any other
option, and any mistake in the command, is click's.
"""

from __future__ import annotations

import os
import sys

from exgrpo_dsl.check_cache import CheckCache, draws_sample, open_cache

UNCHECKED = "prompt-budget and template-drift were not checked: give --tokenizer PATH and --rows FILE."

CLEAN = ((), (), ())
"""The stored result of a file that nothing is to be said of."""


def run_quickly(arguments: list[str]) -> int | None:
    """The exit code; None where click must take the command."""
    if len(arguments) < 2 or arguments[0] != "check":
        return None
    paths = arguments[1:]
    if any(path.startswith("-") or not os.path.isfile(path) for path in paths):
        return None
    cache = open_cache(paths)
    if cache is not None and not draws_sample() and all(cache.find(path) == CLEAN for path in paths):
        return report_fine(len(paths))
    return check_paths(paths, cache)


def check_paths(
    paths: list[str], cache: CheckCache | None, format_: str = "human", overrides: tuple[str, ...] = ()
) -> int:
    """Checks files and prints what is found; gives the exit code.

    Raises:
        UsageError: a file is not there or cannot be read.
        InternalError: a stored result was wrong.
    """
    import gc

    gc.disable()  # short-lived and without cycles worth finding; collections cost a third of the time
    from exgrpo_dsl.checking import NUM_SAMPLED, CheckSession

    session = CheckSession(cache)
    kept = [path for path in paths if cache is not None and cache.find(path) is not None]
    checked = [session.check(path, overrides) for path in paths]
    session.verify_sample(kept, NUM_SAMPLED)
    if cache is not None:
        cache.save()
    if format_ == "human":
        for note in dict.fromkeys(note for item in checked for note in item.notes):
            sys.stderr.write(f"note: {note}\n")
    if all(not item.diagnostics for item in checked) and format_ == "human":
        return report_fine(len(paths))
    from exgrpo_compiler.diagnostics import has_errors
    from exgrpo_dsl.cli.show import merge_reports, show_diagnostics

    found = merge_reports(item.diagnostics for item in checked)
    show_diagnostics(found, format_)
    if has_errors(found):
        return 1
    return report_fine(len(paths)) if format_ == "human" else 0


def report_fine(count: int) -> int:
    """Says that the specs are fine."""
    sys.stderr.write(f"{count} {'spec is' if count == 1 else 'specs are'} fine. {UNCHECKED}\n")
    return 0
