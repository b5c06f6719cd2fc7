"""The driver: stages in the spec's order, each skipped when it finished for the same inputs."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from exgrpo_artifact.boxed import require_math
from exgrpo_artifact.errors import DataError, ExgrpoError
from exgrpo_artifact.manifest import EvaluateStage, GrpoStage, ProbeStage, SftStage, Stage
from exgrpo_artifact.storage import Artifact, read_artifact
from exgrpo_runtime.context import Context, Progress
from exgrpo_runtime.data.rows import load_rows
from exgrpo_runtime.environment import describe_environment, require_training
from exgrpo_runtime.inputs import hash_data_inputs, hash_stage_inputs
from exgrpo_runtime.records import Rejection, Row
from exgrpo_runtime.report import write_report
from exgrpo_runtime.run_dir import RunDir, disk_boundary, read_json, read_lines, write_json, write_text
from exgrpo_runtime.teachers.store import ReplyStore
from exgrpo_runtime.teachers.teacher import open_teacher
from exgrpo_runtime.templates import TemplateSet

DATA = "data"
"""Name of the stage that every run begins with."""


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


Announce = Callable[[StageResult], None]


@dataclass(slots=True)
class _State:
    """What has been done so far in this run."""

    results: list[StageResult] = field(default_factory=list)
    stage_dirs: dict[str, Path] = field(default_factory=dict)
    probes: dict[str, str] = field(default_factory=dict)
    trained: list[str] = field(default_factory=list)
    student_dir: Path | None = None


def run_artifact(
    artifact_dir: Path,
    out: Path,
    *,
    progress: Progress,
    announce: Announce = lambda _: None,
    resume: bool = False,
    limit: int | None = None,
    until: str | None = None,
    spec: str | None = None,
) -> RunResult:
    """Runs the task compiled in `artifact_dir`, writing to `out`.

    Args:
        artifact_dir: a directory that `exgrpo compile` wrote.
        out: the run directory; with `resume`, finished stages in it are reused where their inputs are the same.
        progress: where bars go.
        announce: called with every stage as it is finished or found finished.
        resume: whether `out` may hold an earlier run.
        limit: at most so many source rows of every split.
        until: name of the last stage to run; None: all.
        spec: what the user named on the command line, for the record.

    Raises:
        ExgrpoError: the world failed; result.json says what, and finished stages stay.
    """
    artifact = read_artifact(artifact_dir)
    require_training()
    _require_math(artifact)
    _require_own_directory(out)
    with RunDir(out) as run_dir:
        _require_fitting_run(run_dir, artifact, resume)
        with disk_boundary(out):
            # First, so that whatever stands beside it is known to be ours.
            write_json(out / "run.json", _describe_run(artifact, limit, spec))
            _keep_artifact(artifact_dir, run_dir)
            (out / "result.json").unlink(missing_ok=True)
        state = _State()
        try:
            _run_stages(artifact, run_dir, state, progress, announce, limit, until)
        except KeyboardInterrupt:
            _close_run(run_dir, state, "interrupted", 130, "Interrupted. Go on with --resume.")
            raise
        except ExgrpoError as error:
            _close_run(run_dir, state, "failed", error.exit_code, str(error))
            raise
        except Exception as error:
            _close_run(run_dir, state, "failed", 70, f"{type(error).__name__}: {error}")
            raise
        failed = sum(int(result.summary.get("failed_requests", 0)) for result in state.results)
        with disk_boundary(out):
            status = "done" if len(state.results) == len(artifact.manifest.stages) + 1 else "stopped"
            _write_result(run_dir, state, status, 5 if failed else 0, None)
        return RunResult(out, tuple(state.results), failed)


def _require_own_directory(out: Path) -> None:
    """Refuses a directory that holds anything but a run: stages and artifact are replaced in it."""
    with disk_boundary(out):
        if (out / "run.json").exists() or not out.is_dir():
            return
        if {path.name for path in out.iterdir()} - {".lock", "stages"} or any(out.glob("stages/*")):
            raise FileExistsError(
                f"{out} is not empty and holds no run; it is left alone. Give another --out."
            )


def _require_fitting_run(run_dir: RunDir, artifact: Artifact, resume: bool) -> None:
    """Refuses to start over a run, and to go on with that of another task."""
    if not run_dir.holds_run:
        return
    out, task = run_dir.path, artifact.manifest.task
    if not resume:
        raise FileExistsError(f"{out} already holds a run. Go on with it by --resume, or give another --out.")
    held = (read_json(out / "run.json") or {}).get("task")
    if held != task:
        raise FileExistsError(f"{out} holds a run of task `{held}`, not of `{task}`. Give another --out.")


def _require_math(artifact: Artifact) -> None:
    """Returns where the answers of all turns can be compared.

    Raises:
        MissingDependencyError: one is compared by math-verify, which is not installed.
    """
    for dialogue in artifact.manifest.dialogues.values():
        exchanges = (*(dialogue.loop.exchanges if dialogue.loop is not None else ()), *dialogue.closing)
        if any(
            exchange.answer is not None and exchange.answer.kind == "math.boxed" for exchange in exchanges
        ):
            require_math()


def _require_models(artifact: Artifact) -> None:
    """Opens every teacher and judge that the stages name, before the first stage spends anything.

    Raises:
        TeacherError: a variable of the environment is not set, or no such plugin is installed.
    """
    manifest = artifact.manifest
    names = {
        manifest.probes[stage.probes].teacher for stage in manifest.stages if isinstance(stage, ProbeStage)
    }
    graphs = [
        keep.condition.nodes
        for stage in manifest.stages
        if isinstance(stage, ProbeStage)
        for keep in manifest.probes[stage.probes].keeps
    ]
    graphs += [
        artifact.rewards[stage.reward].nodes for stage in manifest.stages if isinstance(stage, GrpoStage)
    ]
    names |= {str(node.params["model"]) for nodes in graphs for node in nodes if "model" in node.params}
    for name in sorted(names - {manifest.student}):
        open_teacher(manifest.models[name]).close()


def _run_stages(
    artifact: Artifact,
    run_dir: RunDir,
    state: _State,
    progress: Progress,
    announce: Announce,
    limit: int | None,
    until: str | None,
) -> None:
    manifest = artifact.manifest
    data_inputs = hash_data_inputs(manifest, limit)
    rows, result = _run_data_stage(artifact, run_dir, data_inputs, limit, progress)
    state.results.append(result)
    announce(result)
    if until == DATA:
        return
    _require_models(artifact)
    with disk_boundary(run_dir.path), ReplyStore(run_dir.path / "replies.sqlite") as store:
        for index, stage in enumerate(manifest.stages, start=1):
            inputs = hash_stage_inputs(
                artifact,
                stage,
                data=data_inputs,
                student=state.trained[-1] if state.trained else None,
                probes=state.probes,
                trained=list(state.trained),
            )
            done = run_dir.find_done(index, stage.name, inputs)
            if done is None:
                run_dir.drop_stages_from(index, keep=set())
                _run_stage(artifact, run_dir, index, stage, inputs, state, rows, store, progress)
                done = read_json(run_dir.get_stage_dir(index, stage.name) / "done.json")
                status = "done"
            else:
                status = "reused"
            path = run_dir.get_stage_dir(index, stage.name)
            result = StageResult(stage.name, stage.kind, status, done["seconds"], done["summary"], path)
            _record_stage(state, stage, inputs, result)
            announce(result)
            if stage.name == until:
                return


def _record_stage(state: _State, stage: Stage, inputs: str, result: StageResult) -> None:
    state.results.append(result)
    state.stage_dirs[stage.name] = result.path
    if isinstance(stage, ProbeStage):
        state.probes[stage.probes] = inputs
    elif isinstance(stage, SftStage | GrpoStage):
        state.trained.append(inputs)
        state.student_dir = result.path / "student"


def _run_data_stage(
    artifact: Artifact, run_dir: RunDir, inputs: str, limit: int | None, progress: Progress
) -> tuple[dict[str, dict[str, list[Row]]], StageResult]:
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
        _write_lines(work / "rows.jsonl", lines)
        _write_lines(work / "rejections.jsonl", [rejection.to_json() for rejection in rejections])
        seconds = time.monotonic() - started
        write_json(work / "done.json", _describe_done(DATA, DATA, inputs, seconds, {"datasets": summary}))
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


def _run_stage(
    artifact: Artifact,
    run_dir: RunDir,
    index: int,
    stage: Stage,
    inputs: str,
    state: _State,
    rows: Mapping[str, Mapping[str, list[Row]]],
    store: ReplyStore,
    progress: Progress,
) -> None:
    started = time.monotonic()
    with run_dir.open_stage(index, stage.name) as work:
        context = Context(
            artifact=artifact,
            templates=TemplateSet(artifact.prompts),
            work=work,
            rows=rows,
            stage_dirs=dict(state.stage_dirs),
            store=store,
            progress=progress,
            student_dir=state.student_dir,
        )
        summary = _call_stage(stage, context)
        seconds = time.monotonic() - started
        write_json(work / "done.json", _describe_done(stage.name, stage.kind, inputs, seconds, summary))


def _call_stage(stage: Stage, context: Context) -> dict[str, Any]:
    # torch and TRL take seconds to import: only the stages that train pay for them.
    if isinstance(stage, ProbeStage):
        from exgrpo_runtime.probing.stage import run_probe_stage

        return run_probe_stage(stage, context)
    if isinstance(stage, SftStage):
        from exgrpo_runtime.sft import run_sft_stage

        return run_sft_stage(stage, context)
    if isinstance(stage, GrpoStage):
        from exgrpo_runtime.grpo import run_grpo_stage

        return run_grpo_stage(stage, context)
    from exgrpo_runtime.evaluation import run_evaluate_stage

    return run_evaluate_stage(stage, context)


def _keep_artifact(artifact_dir: Path, run_dir: RunDir) -> None:
    target = run_dir.path / "artifact"
    if artifact_dir.resolve() == target.resolve():
        return
    part = run_dir.path / ".artifact.part"
    shutil.rmtree(part, ignore_errors=True)
    try:
        shutil.copytree(artifact_dir, part)
        shutil.rmtree(target, ignore_errors=True)
        part.replace(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _describe_run(artifact: Artifact, limit: int | None, spec: str | None) -> dict[str, Any]:
    manifest = artifact.manifest
    return {
        "task": manifest.task,
        "spec": spec,
        "artifact": manifest.content_hash,
        "hashes": manifest.hashes,
        "overrides": manifest.provenance.overrides,
        "turned_off": manifest.provenance.turned_off,
        "compiler": manifest.provenance.compiler,
        "seed": manifest.seed,
        "limit": limit,
        **describe_environment(),
    }


def _describe_done(
    name: str, kind: str, inputs: str, seconds: float, summary: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "name": name,
        "kind": kind,
        "inputs": inputs,
        "seconds": round(seconds, 3),
        "summary": dict(summary),
    }


def _close_run(run_dir: RunDir, state: _State, status: str, exit_code: int, error: str) -> None:
    """Leaves result.json and a report behind a run that stopped; never hides the reason that it stopped for."""
    try:
        _write_result(run_dir, state, status, exit_code, error)
    except Exception:
        return  # neither a full disk nor a page that cannot be drawn may hide why the run stopped


def _write_result(run_dir: RunDir, state: _State, status: str, exit_code: int, error: str | None) -> None:
    stages = [
        {"name": result.name, "kind": result.kind, "status": result.status, "seconds": result.seconds}
        for result in state.results
    ]
    accuracy = {
        result.name: read_json(result.path / "accuracy.json")
        for result in state.results
        if result.kind == "evaluate"
    }
    metrics = [
        {"stage": result.name, "kind": result.kind, **line}
        for result in state.results
        for line in read_lines(result.path / "metrics.jsonl")
    ]
    _write_lines(run_dir.path / "metrics.jsonl", metrics)
    result = {
        "status": status,
        "exit_code": exit_code,
        "error": error,
        "stages": stages,
        "accuracy": accuracy,
    }
    write_json(run_dir.path / "result.json", result)
    write_report(run_dir.path)


def _write_lines(path: Path, values: list[Any]) -> None:
    write_text(path, "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values))
