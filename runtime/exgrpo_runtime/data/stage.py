"""The data stage: every dataset of the task, read, converted and kept as rows.jsonl and rejections.jsonl."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from exgrpo_artifact.errors import DataError
from exgrpo_artifact.manifest import EvaluateStage
from exgrpo_artifact.storage import Artifact
from exgrpo_runtime.context import Progress
from exgrpo_runtime.data.rows import load_rows
from exgrpo_runtime.records import Rejection, Row
from exgrpo_runtime.results import StageResult, describe_done
from exgrpo_runtime.run_dir import RunDir, read_lines, write_json, write_lines

DATA = "data"
"""Name of the stage that every run begins with."""


def run_data_stage(
    artifact: Artifact, run_dir: RunDir, inputs: str, limit: int | None, progress: Progress
) -> tuple[dict[str, dict[str, list[Row]]], StageResult]:
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
    if done is not None:
        return _read_rows(artifact, path), StageResult(
            DATA, DATA, "reused", done["seconds"], done["summary"], path
        )
    run_dir.drop_stages_from(0, keep=set())
    started = time.monotonic()
    rows: dict[str, dict[str, list[Row]]] = {}
    rejections: list[Rejection] = []
    summary: dict[str, Any] = {}
    with progress.track("data", len(artifact.manifest.datasets)) as bar:
        for name in artifact.manifest.datasets:
            loaded = load_rows(artifact.manifest, name, limit=limit)
            rows[name] = dict(loaded.rows)
            rejections.extend(loaded.rejections)
            summary[name] = loaded.summary
            bar.advance()
    _require_rows(artifact, rows, summary)
    with run_dir.open_stage(0, DATA) as work:
        lines = [
            {"dataset": name, "row": row.to_json()}
            for name, splits in rows.items()
            for split in splits.values()
            for row in split
        ]
        write_lines(work / "rows.jsonl", lines)
        write_lines(work / "rejections.jsonl", [rejection.to_json() for rejection in rejections])
        seconds = time.monotonic() - started
        write_json(work / "done.json", describe_done(DATA, DATA, inputs, seconds, {"datasets": summary}))
    return rows, StageResult(DATA, DATA, "done", seconds, {"datasets": summary}, path)


def _read_rows(artifact: Artifact, path: Path) -> dict[str, dict[str, list[Row]]]:
    """The rows that an earlier run's data stage left in `path`."""
    datasets = artifact.manifest.datasets
    rows: dict[str, dict[str, list[Row]]] = {
        name: {split: [] for split in dataset.splits} for name, dataset in datasets.items()
    }
    for line in read_lines(path / "rows.jsonl"):
        row = Row.from_json(line["row"])
        rows[line["dataset"]][row.split].append(row)
    return rows


def _require_rows(
    artifact: Artifact, rows: Mapping[str, Mapping[str, list[Row]]], summary: Mapping[str, Any]
) -> None:
    for stage in artifact.manifest.stages:
        dataset = stage.dataset if isinstance(stage, EvaluateStage) else artifact.manifest.data
        if rows[dataset][stage.split]:
            continue
        counts = summary[dataset]["splits"][stage.split]
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
