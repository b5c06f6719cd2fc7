"""A spec file, read and checked: where every command that looks into a spec begins."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from exgrpo_artifact.named import NamedTuple
from exgrpo_compiler.diagnostics import Diagnostic, has_errors
from exgrpo_compiler.pipeline import CheckedSpec, check_spec
from exgrpo_compiler.source import Source
from exgrpo_dsl.loading import UnreadableSpecError, open_loader, open_spec


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
        outcome = check_spec(source, open_loader(path), overrides=overrides)
    except UnreadableSpecError as error:
        return LoadedSpec(path, None, None, (error.diagnostic,))
    return LoadedSpec(path, source, outcome.value, outcome.diagnostics)
