"""`exgrpo check FILES`, the plain form, without what only other forms need: it runs on every save and in every CI job.

Where every result is stored and clean, not even the compiler is imported; where one must be computed, click is still not. Any other
option, and any mistake in the command, is click's.
"""

from __future__ import annotations

import os
import sys

from exgrpo_dsl.check_cache import CheckCache, draws_sample, open_cache

MAX_NOTES = 6
"""Of a whole library only so many different notes are shown."""


def run_quickly(arguments: list[str]) -> int | None:
    """The exit code; None where click must take the command."""
    if len(arguments) < 2 or arguments[0] != "check":
        return None
    paths = arguments[1:]
    if any(path.startswith("-") or not os.path.isfile(path) for path in paths):
        return None
    cache = open_cache(paths)
    if cache is not None and not draws_sample():
        stored = [cache.find(path) for path in paths]
        if all(result is not None and not result[0] for result in stored):
            _open_projects(cache, paths)
            return report_fine(len(paths), [note for result in stored if result for note in result[2]])
    return check_paths(paths, cache)


def _open_projects(cache: CheckCache, paths: list[str]) -> None:
    """Compares the libraries of the projects that the specs belong to with their locks.

    Raises:
        ProjectError: they differ.
    """
    manifests = {cache.find_manifest(path) for path in paths} - {None}
    if manifests:
        from exgrpo_dsl.libraries.project import open_project

        for manifest in sorted(filter(None, manifests)):
            open_project(manifest)


def check_paths(
    paths: list[str], cache: CheckCache | None, format_: str = "human", overrides: tuple[str, ...] = ()
) -> int:
    """Checks files and prints what is found; gives the exit code.

    Raises:
        UsageError: a file is not there or cannot be read.
        ProjectError: the project that a file belongs to, or its lock, is wrong.
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
    notes = [note for item in checked for note in item.notes]
    if all(not item.diagnostics for item in checked) and format_ == "human":
        return report_fine(len(paths), notes)
    from exgrpo_compiler.diagnostics import has_errors
    from exgrpo_dsl.cli.show import merge_reports, show_diagnostics

    found = merge_reports(item.diagnostics for item in checked)
    show_diagnostics(found, format_)
    if has_errors(found):
        return 1
    if format_ == "human":
        show_notes(notes)
    return 0


def report_fine(count: int, notes: list[str]) -> int:
    """Says that nothing is wrong, and what else there is to know."""
    show_notes(notes)
    sys.stderr.write(f"{count} {'spec is' if count == 1 else 'specs are'} fine.\n")
    return 0


def show_notes(notes: list[str]) -> None:
    """Prints each note once."""
    different = list(dict.fromkeys(notes))
    for note in different[:MAX_NOTES]:
        sys.stderr.write(f"note: {note}\n")
    if len(different) > MAX_NOTES:
        sys.stderr.write(
            f"note: and {len(different) - MAX_NOTES} more; check fewer specs at once to see them\n"
        )
