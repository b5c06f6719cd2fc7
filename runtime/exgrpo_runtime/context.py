"""What a stage gets: the artifact, its rows, the earlier stages' results, and where to write."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from exgrpo_artifact.manifest import Manifest
from exgrpo_artifact.storage import Artifact
from exgrpo_runtime.tracking import NO_TRACKING, Tracking

if TYPE_CHECKING:
    from exgrpo_runtime.records import Row
    from exgrpo_runtime.teachers.store import ReplyStore
    from exgrpo_runtime.templates import TemplateSet


class Bar(Protocol):
    """One progress bar."""

    def advance(self, amount: int = 1, **figures: object) -> None:
        """Moves the bar; `figures` are shown beside it (loss=…, right=…)."""


class Progress(Protocol):
    """Where long work reports to."""

    def track(self, description: str, total: int | None) -> AbstractContextManager[Bar]:
        """A bar for `total` units of work; None where the number is not known."""


class SilentProgress:
    """No output; for tests and for use as a library."""

    @contextmanager
    def track(self, description: str, total: int | None) -> Iterator[Bar]:
        """A bar that shows nothing."""
        del description, total
        yield _SilentBar()


class _SilentBar:
    def advance(self, amount: int = 1, **figures: object) -> None:
        """Shows nothing."""


@dataclass(frozen=True, slots=True)
class Context:
    """Input of one stage. A stage writes only below `work`, which the driver moves into place when it returns."""

    artifact: Artifact
    templates: TemplateSet
    work: Path
    rows: Mapping[str, Mapping[str, Sequence[Row]]]
    """Dataset -> split -> rows, already limited; on disk, so that each look at one reads it."""
    stage_dirs: Mapping[str, Path]
    """Finished stages by name, in order."""
    store: ReplyStore
    progress: Progress
    student_dir: Path | None
    """The student as the last training stage left it; None before the first."""
    tracking: Tracking = NO_TRACKING
    """Who is told the figures of training."""

    @property
    def manifest(self) -> Manifest:
        """The task's settings."""
        return self.artifact.manifest

    def find_probe_dir(self, probes: str) -> Path | None:
        """Directory of the finished probe stage of a `probes` declaration, or None."""
        for stage in self.manifest.stages:
            if stage.kind == "probe" and stage.probes == probes and stage.name in self.stage_dirs:
                return self.stage_dirs[stage.name]
        return None
