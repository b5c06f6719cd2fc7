"""What a run directory holds, read for the report.

Nothing here raises for a file that is missing or damaged: the reader skips it and keeps a note, which the
page shows. Only finished stages are read.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exgrpo_artifact.errors import ArtifactError
from exgrpo_artifact.manifest import Stage
from exgrpo_artifact.storage import Artifact, read_artifact


@dataclass(slots=True)
class Reader:
    """Reads the files below `root`; what could not be read is said in `notes`, in reading order."""

    root: Path
    notes: list[str] = field(default_factory=list)

    def read_value(self, path: Path) -> Any:
        """The JSON value in `path`; None where there is none, with a note where it is damaged."""
        try:
            return json.loads(path.read_text("utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError):
            self.notes.append(f"{self._name(path)} is damaged and left out.")
            return None

    def read_mapping(self, path: Path) -> Mapping[str, Any]:
        """The JSON object in `path`, or an empty one."""
        return as_mapping(self.read_value(path))

    def scan_lines(self, path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """Byte offset and object of every readable line of a JSON Lines file, without holding the file."""
        damaged = 0
        try:
            with path.open("rb") as stream:
                offset = 0
                for line in stream:
                    value = _parse_object(line)
                    if value is not None:
                        yield offset, value
                    elif line.strip():
                        damaged += 1
                    offset += len(line)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            self.notes.append(f"{self._name(path)} cannot be read: {error.strerror}.")
        if damaged:
            lines = "line is" if damaged == 1 else "lines are"
            self.notes.append(f"{self._name(path)}: {damaged} {lines} damaged and left out.")

    def read_lines(self, path: Path) -> list[Mapping[str, Any]]:
        """Every readable object of a JSON Lines file; empty where there is none."""
        return [value for _, value in self.scan_lines(path)]

    def read_lines_at(self, path: Path, offsets: list[int]) -> list[Mapping[str, Any]]:
        """The objects at byte offsets that `scan_lines` gave, in the order asked for."""
        values = []
        with path.open("rb") as stream:
            for offset in offsets:
                stream.seek(offset)
                values.append(as_mapping(_parse_object(stream.readline())))
        return values

    def _name(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()


@dataclass(frozen=True, slots=True)
class StageRecord:
    """One stage of the task, run or not."""

    name: str
    kind: str
    status: str
    """`done`, `reused` (finished by an earlier run for the same inputs) or `missing`."""
    seconds: float | None
    summary: Mapping[str, Any]
    path: Path
    """Its directory; exists only for a finished stage."""
    settings: Stage | None

    @property
    def is_finished(self) -> bool:
        """Whether its result is there."""
        return self.status != "missing"


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run directory as far as it goes."""

    reader: Reader
    run: Mapping[str, Any]
    """run.json: task, hashes, overrides, device, versions."""
    result: Mapping[str, Any]
    """result.json; empty while a run is going on, or after it was killed."""
    artifact: Artifact | None
    stages: tuple[StageRecord, ...]
    """`data` first, then the task's stages in order."""

    @property
    def finished(self) -> tuple[StageRecord, ...]:
        """Stages that have a result, in order."""
        return tuple(stage for stage in self.stages if stage.is_finished)

    def pick_stages(self, kind: str) -> tuple[StageRecord, ...]:
        """Finished stages of a kind, in order."""
        return tuple(stage for stage in self.finished if stage.kind == kind)


def collect_run(run_dir: Path) -> RunRecord:
    """Everything that is small in `run_dir`; metrics and rollouts are read when a section needs them.

    Raises:
        ArtifactError: `run_dir` is not a run directory at all.
    """
    reader = Reader(run_dir)
    if not (run_dir / "run.json").exists():
        raise ArtifactError(
            f"{run_dir} is not a run directory: it has no run.json. "
            "Name the directory that `exgrpo run` wrote to."
        )
    run = reader.read_mapping(run_dir / "run.json")
    result = reader.read_mapping(run_dir / "result.json")
    artifact: Artifact | None = None
    try:
        artifact = read_artifact(run_dir / "artifact")
    except ArtifactError as error:
        reader.notes.append(f"Settings and prompts are not shown: {error}")
    return RunRecord(reader, run, result, artifact, _collect_stages(reader, result, artifact))


def _collect_stages(
    reader: Reader, result: Mapping[str, Any], artifact: Artifact | None
) -> tuple[StageRecord, ...]:
    statuses = {
        str(entry.get("name")): str(entry.get("status")) for entry in as_mappings(result.get("stages"))
    }
    paths = {path.name: path for path in sorted(reader.root.glob("stages/[0-9]*-*"))}
    settings: dict[str, Stage] = {}
    expected = [("00-data", "data", "data")]
    if artifact is not None:
        for index, stage in enumerate(artifact.manifest.stages, start=1):
            settings[f"{index:02d}-{stage.name}"] = stage
            expected.append((f"{index:02d}-{stage.name}", stage.name, stage.kind))
    else:
        expected += [(name, name.split("-", 1)[1], "") for name in paths if name != "00-data"]
    records = []
    for directory, name, kind in expected:
        path = paths.get(directory, reader.root / "stages" / directory)
        # A run that ended says which stages it stands on; others may be left from a run with other inputs.
        is_left_over = "stages" in result and name not in statuses
        done = {} if is_left_over else reader.read_mapping(path / "done.json")
        status = ("reused" if statuses.get(name) == "reused" else "done") if done else "missing"
        records.append(
            StageRecord(
                name=name,
                kind=kind or str(done.get("kind", "")),
                status=status,
                seconds=as_number(done.get("seconds")),
                summary=as_mapping(done.get("summary")),
                path=path,
                settings=settings.get(directory),
            )
        )
    return tuple(records)


def as_mapping(value: Any) -> Mapping[str, Any]:
    """The value if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def as_mappings(value: Any) -> list[Mapping[str, Any]]:
    """The objects of a list; empty for anything else."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def as_number(value: Any) -> float | None:
    """The value if it is a finite number, else None. Truth values are not numbers."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def as_count(value: Any) -> int:
    """The value as a count; 0 where it is none."""
    number = as_number(value)
    return int(number) if number is not None else 0


def as_counts(value: Any) -> dict[str, int]:
    """Name -> count, of an object whose values are counts."""
    return {str(name): as_count(count) for name, count in as_mapping(value).items()}


def add_counts(counts: list[dict[str, int]]) -> dict[str, int]:
    """Sums by name, names in order of first appearance."""
    total: dict[str, int] = {}
    for each in counts:
        for name, count in each.items():
            total[name] = total.get(name, 0) + count
    return total


def _parse_object(line: bytes) -> Mapping[str, Any] | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
