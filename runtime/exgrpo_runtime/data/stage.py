"""The data stage: every dataset of the task, read, converted and kept as rows and rejections on disk.

Invariant: of a dataset no more is in memory than the row that is converted.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from exgrpo_artifact.errors import DataError
from exgrpo_artifact.manifest import EvaluateStage
from exgrpo_artifact.storage import Artifact
from exgrpo_runtime.context import Progress
from exgrpo_runtime.data.disk_rows import RowsBySplit, RowWriter, open_rows
from exgrpo_runtime.data.rows import RowReader
from exgrpo_runtime.records import Row
from exgrpo_runtime.results import StageResult, describe_done
from exgrpo_runtime.run_dir import RunDir, write_json

DATA = "data"
"""Name of the stage that every run begins with."""


def run_data_stage(
    artifact: Artifact, run_dir: RunDir, inputs: str, limit: int | None, progress: Progress
) -> tuple[RowsBySplit, StageResult]:
    """The rows of every dataset by split, and what became of the stage: run, or taken from an earlier run.

    Args:
        artifact: the task.
        run_dir: where the rows are kept.
        inputs: hash of what determines the rows.
        limit: at most so many source rows of every split.
        progress: where a bar goes.

    Raises:
        DataError: a split that a stage needs has no valid row.
        SourceError: a source cannot be read.
    """
    path = run_dir.get_stage_dir(0, DATA)
    done = run_dir.find_done(0, DATA, inputs)
    status = "reused"
    if done is None:
        run_dir.drop_stages_from(0, keep=set())
        started = time.monotonic()
        with run_dir.open_stage(0, DATA) as work:
            summary = {"datasets": _write_rows(artifact, work, limit, progress)}
            _require_rows(artifact, summary["datasets"])
            done = describe_done(DATA, DATA, inputs, time.monotonic() - started, summary)
            write_json(work / "done.json", done)
        status = "done"
    return open_rows(path), StageResult(DATA, DATA, status, done["seconds"], done["summary"], path)


def _write_rows(artifact: Artifact, work: Path, limit: int | None, progress: Progress) -> dict[str, Any]:
    """Writes rows and rejections as they are read; dataset -> its summary."""
    datasets = artifact.manifest.datasets
    summary: dict[str, Any] = {}
    with (
        RowWriter(work) as rows,
        (work / "rejections.jsonl").open("w", encoding="utf-8", newline="\n") as rejections,
        progress.track(DATA, len(datasets)) as bar,
    ):
        for name, dataset in datasets.items():
            rows.begin(name, list(dataset.splits))
            reader = RowReader(dataset, limit=limit)
            for found in reader:
                if isinstance(found, Row):
                    rows.write(found)
                else:
                    rejections.write(json.dumps(found.to_json(), ensure_ascii=False) + "\n")
            summary[name] = reader.summarise()
            bar.advance()
    return summary


def _require_rows(artifact: Artifact, summary: Mapping[str, Any]) -> None:
    for stage in artifact.manifest.stages:
        dataset = stage.dataset if isinstance(stage, EvaluateStage) else artifact.manifest.data
        counts = summary[dataset]["splits"][stage.split]
        if counts["valid"]:
            continue
        fraction = artifact.manifest.datasets[dataset].splits[stage.split].fraction
        if fraction is not None and counts["source"] == 0:
            others = sum(each["source"] for each in summary[dataset]["splits"].values())
            raise DataError(
                f"dataset `{dataset}`: `split {stage.split} = {100 * fraction:g}%` comes to no row, which stage "
                f"`{stage.name}` needs; the other splits have {others}. Give it a larger share, or add rows."
            )
        reasons = ", ".join(f"{count} {reason}" for reason, count in summary[dataset]["reasons"].items())
        raise DataError(
            f"dataset `{dataset}` has no valid row in split `{stage.split}`, which stage `{stage.name}` needs: "
            f"{counts['rejected']} rejected" + (f" ({reasons})." if reasons else ", the source is empty.")
        )
