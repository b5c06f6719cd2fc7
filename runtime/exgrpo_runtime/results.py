"""What a run leaves on record: run.json before the first stage, done.json of each, result.json and metrics.jsonl at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from exgrpo_artifact.storage import Artifact
from exgrpo_runtime.environment import describe_environment
from exgrpo_runtime.options import RunOptions
from exgrpo_runtime.report import write_report
from exgrpo_runtime.run_dir import RunDir, read_json, read_lines, write_json, write_lines

EXIT_PARTIAL = 5
"""A run that finished, some of whose requests failed for good."""


class StageResult(NamedTuple):
    """One finished stage. `status` is `done` or `reused`."""

    name: str
    kind: str
    status: str
    seconds: float
    summary: Mapping[str, Any]
    path: Path


class RunResult(NamedTuple):
    """A finished run."""

    path: Path
    stages: tuple[StageResult, ...]
    failed_requests: int
    """Teacher requests that failed for good; recorded, and the reason for exit code 5."""
    exit_code: int
    """0, or EXIT_PARTIAL."""


def describe_run(artifact: Artifact, options: RunOptions, *, asks_torch: bool) -> dict[str, Any]:
    """What run.json holds: the task and its hashes, what was asked for, and on which machine."""
    manifest = artifact.manifest
    return {
        "task": manifest.task,
        "spec": options.spec,
        "artifact": manifest.content_hash,
        "hashes": manifest.hashes,
        "overrides": manifest.provenance.overrides,
        "turned_off": manifest.provenance.turned_off,
        "compiler": manifest.provenance.compiler,
        "seed": manifest.seed,
        "limit": options.limit,
        "shard": None if options.shard is None else str(options.shard),
        "store": None if options.store is None else str(options.store),
        "engine": options.engine,
        **describe_environment(asks_torch=asks_torch),
    }


def describe_done(
    name: str, kind: str, inputs: str, seconds: float, summary: Mapping[str, Any]
) -> dict[str, Any]:
    """What done.json of a stage holds; `inputs` is the hash by which a later run knows it, `seconds` its wall time."""
    return {
        "name": name,
        "kind": kind,
        "inputs": inputs,
        "seconds": round(seconds, 3),
        "summary": dict(summary),
    }


def close_run(
    run_dir: RunDir, results: Sequence[StageResult], status: str, exit_code: int, error: str
) -> None:
    """Leaves result.json and a report behind a run that stopped; never hides the reason that it stopped for."""
    try:
        write_result(run_dir, results, status, exit_code, error)
    except Exception:
        return  # neither a full disk nor a page that cannot be drawn may hide why the run stopped


def write_result(
    run_dir: RunDir, results: Sequence[StageResult], status: str, exit_code: int, error: str | None
) -> None:
    """Writes result.json, the metrics of all stages in one file, and the report.

    Args:
        run_dir: the run.
        results: its finished stages, in order.
        status: `done`, `stopped` (by --stage), `interrupted` or `failed`.
        exit_code: what the command ends with.
        error: why it did not finish.
    """
    stages = [
        {"name": result.name, "kind": result.kind, "status": result.status, "seconds": result.seconds}
        for result in results
    ]
    accuracy = {
        result.name: read_json(result.path / "accuracy.json")
        for result in results
        if result.kind == "evaluate"
    }
    metrics = [
        {"stage": result.name, "kind": result.kind, **line}
        for result in results
        for line in read_lines(result.path / "metrics.jsonl")
    ]
    write_lines(run_dir.path / "metrics.jsonl", metrics)
    result = {
        "status": status,
        "exit_code": exit_code,
        "error": error,
        "stages": stages,
        "accuracy": accuracy,
    }
    write_json(run_dir.path / "result.json", result)
    write_report(run_dir.path)
