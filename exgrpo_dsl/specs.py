"""Spec files and directories of them, read and checked: where every command that looks at specs begins."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from exgrpo_compiler.diagnostics import Diagnostic, has_errors
from exgrpo_compiler.pipeline import CheckedSpec, check_spec
from exgrpo_compiler.source import Source
from exgrpo_dsl.errors import UsageError
from exgrpo_dsl.loading import UnreadableSpecError, load_module, read_source


class LoadedSpec(NamedTuple):
    """A file, what it was checked to be, and everything found in it. `spec` is None where not even its names are known."""

    path: Path
    source: Source | None
    spec: CheckedSpec | None
    diagnostics: tuple[Diagnostic, ...]

    @property
    def has_errors(self) -> bool:
        """Whether anything found is an error."""
        return has_errors(self.diagnostics)


def load_spec(path: Path, *, overrides: Sequence[str] = ()) -> LoadedSpec:
    """A spec file, checked.

    Raises:
        UsageError: there is no such file, or it cannot be read.
    """
    try:
        source = open_spec(path)
        outcome = check_spec(source, load_module, overrides=overrides)
    except UnreadableSpecError as error:
        return LoadedSpec(path, None, None, (error.diagnostic,))
    return LoadedSpec(path, source, outcome.value, outcome.diagnostics)


def open_spec(path: Path) -> Source:
    """The text of a spec file.

    Raises:
        UsageError: there is no such file, or it cannot be read.
        UnreadableSpecError: it is no text.
    """
    try:
        return read_source(path)
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such file.") from error
    except IsADirectoryError as error:
        raise UsageError(f"{path} is a directory; name a .exg file.") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error


def find_specs(paths: Sequence[Path]) -> list[Path]:
    """The files named, and every .exg file below the directories named, each once, in the order given, then by name.

    Raises:
        UsageError: a directory holds no .exg file.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if not path.is_dir():
            found[path] = None
            continue
        inside = sorted(
            one
            for one in path.rglob("*.exg")
            if one.is_file() and not any(part.startswith(".") for part in one.relative_to(path).parts)
        )
        if not inside:
            raise UsageError(f"{path} holds no .exg file.")
        found.update(dict.fromkeys(inside))
    return list(found)
