"""The driver: stages in the spec's order, each skipped when it finished for the same inputs."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exgrpo_artifact.errors import ExgrpoError
from exgrpo_artifact.manifest import GrpoStage, Manifest, ProbeStage, SftStage, Stage
from exgrpo_artifact.storage import Artifact, read_artifact
from exgrpo_runtime.context import Context, Progress
from exgrpo_runtime.data.disk_rows import RowsBySplit
from exgrpo_runtime.data.shards import Shard, take_shard
from exgrpo_runtime.data.stage import DATA, run_data_stage
from exgrpo_runtime.inputs import hash_data_inputs, hash_files, hash_stage_inputs
from exgrpo_runtime.probing.dataset_card import Origin, write_card
from exgrpo_runtime.probing.dataset_folder import FOLDER, write_data_files
from exgrpo_runtime.results import (
    EXIT_PARTIAL,
    RunResult,
    StageResult,
    close_run,
    describe_done,
    describe_run,
    write_result,
)
from exgrpo_runtime.run_dir import RunDir, disk_boundary, read_json, write_json, write_text
from exgrpo_runtime.stages import (
    call_stage,
    choose_stages,
    require_comparing,
    require_models,
    require_packages,
    uses_torch,
)
from exgrpo_runtime.teachers.store import ReplyStore
from exgrpo_runtime.templates import TemplateSet

Announce = Callable[[StageResult], None]
Foresee = Callable[[Stage, RowsBySplit], None]


@dataclass(slots=True)
class _State:
    """What has been done so far in this run."""

    results: list[StageResult] = field(default_factory=list)
    stage_dirs: dict[str, Path] = field(default_factory=dict)
    probes: dict[str, str] = field(default_factory=dict)
    trained: list[str] = field(default_factory=list)
    student_dir: Path | None = None
    files: dict[str, dict[str, str]] = field(default_factory=dict)
    """Dataset -> path -> sha256 of the local files that its source reads."""


def run_artifact(
    artifact_dir: Path,
    out: Path,
    *,
    progress: Progress,
    announce: Announce = lambda _: None,
    foresee: Foresee = lambda _, __: None,
    resume: bool = False,
    limit: int | None = None,
    until: str | None = None,
    spec: str | None = None,
    shard: Shard | None = None,
    store: Path | None = None,
    allow_partial: bool = False,
    engine: str = "local",
) -> RunResult:
    """Runs the task compiled in `artifact_dir`, writing to `out`.

    Args:
        artifact_dir: a directory that `exgrpo compile` wrote.
        out: the run directory; with `resume`, finished stages in it are reused where their inputs are the same.
        progress: where bars go.
        announce: called with every stage as it is finished or found finished.
        foresee: called with every stage that is about to run and the rows that it gets.
        resume: whether `out` may hold an earlier run.
        limit: at most so many source rows of every split.
        until: name of the last stage to run; None: all.
        spec: what the user named on the command line, for the record.
        shard: which rows the probe stages ask about; None: all. Only where `find_misuse` finds nothing.
        store: where replies are kept; None: in `out`.
        allow_partial: whether a run some of whose requests failed for good is as good as any: it ends with 0, and a probe stage
            that finished so is kept by `resume`, which otherwise asks for what failed again.
        engine: who sends the requests of probe stages: `local`, this process; `ray`, the workers of a cluster.

    Raises:
        ExgrpoError: the world failed; result.json says what, and finished stages stay.
    """
    artifact = read_artifact(artifact_dir)
    stages = choose_stages(artifact.manifest, until)
    require_packages(artifact, stages)
    require_comparing(artifact)
    _require_own_directory(out)
    with RunDir(out) as run_dir:
        _require_fitting_run(run_dir, artifact, resume)
        with disk_boundary(out):
            # First, so that whatever stands beside it is known to be ours.
            asks_torch = uses_torch(artifact, stages)
            described = describe_run(artifact, limit, spec, shard, store, asks_torch=asks_torch)
            write_json(out / "run.json", described)
            _keep_artifact(artifact_dir, run_dir)
            (out / "result.json").unlink(missing_ok=True)
        state = _State()
        try:
            _run_stages(
                artifact,
                run_dir,
                state,
                progress,
                announce,
                foresee,
                limit,
                until,
                shard,
                store or out / "replies.sqlite",
                allow_partial,
                engine,
            )
        except KeyboardInterrupt:
            close_run(run_dir, state.results, "interrupted", 130, "Interrupted. Go on with --resume.")
            raise
        except ExgrpoError as error:
            close_run(run_dir, state.results, "failed", error.exit_code, str(error))
            raise
        except Exception as error:
            close_run(run_dir, state.results, "failed", 70, f"{type(error).__name__}: {error}")
            raise
        failed = sum(int(result.summary.get("failed_requests", 0)) for result in state.results)
        with disk_boundary(out):
            status = "done" if len(state.results) == len(artifact.manifest.stages) + 1 else "stopped"
            exit_code = EXIT_PARTIAL if failed and not allow_partial else 0
            write_result(run_dir, state.results, status, exit_code, None)
        return RunResult(out, tuple(state.results), failed, exit_code)


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


def _run_stages(
    artifact: Artifact,
    run_dir: RunDir,
    state: _State,
    progress: Progress,
    announce: Announce,
    foresee: Foresee,
    limit: int | None,
    until: str | None,
    shard: Shard | None,
    store_path: Path,
    allow_partial: bool,
    engine: str,
) -> None:
    manifest = artifact.manifest
    state.files = hash_files(manifest)
    data_inputs = hash_data_inputs(manifest, limit, state.files)
    rows, result = run_data_stage(artifact, run_dir, data_inputs, limit, progress)
    state.results.append(result)
    announce(result)
    if until == DATA:
        return
    with disk_boundary(run_dir.path), ReplyStore(store_path) as store:
        require_models(artifact, choose_stages(manifest, until), store.session)
        for index, stage in enumerate(manifest.stages, start=1):
            inputs = hash_stage_inputs(
                artifact,
                stage,
                data=data_inputs,
                student=state.trained[-1] if state.trained else None,
                probes=state.probes,
                trained=list(state.trained),
                shard=shard,
            )
            done = run_dir.find_done(index, stage.name, inputs)
            if done is not None and done["summary"].get("failed_requests") and not allow_partial:
                done = None
            if done is None:
                run_dir.drop_stages_from(index, keep=set())
                chosen = take_shard(rows, stage, manifest, shard)
                foresee(stage, chosen)
                _run_stage(artifact, run_dir, index, stage, inputs, state, chosen, store, progress, engine)
                done = read_json(run_dir.get_stage_dir(index, stage.name) / "done.json")
                status = "done"
            else:
                status = "reused"
            path = run_dir.get_stage_dir(index, stage.name)
            if isinstance(stage, ProbeStage):
                _keep_card(artifact.manifest, stage, run_dir, state, done["summary"], path)
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


def _run_stage(
    artifact: Artifact,
    run_dir: RunDir,
    index: int,
    stage: Stage,
    inputs: str,
    state: _State,
    rows: RowsBySplit,
    store: ReplyStore,
    progress: Progress,
    engine: str,
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
        summary = call_stage(stage, context, engine, (run_dir.path / "workers").absolute())
        if isinstance(stage, ProbeStage):
            summary = {**summary, "dataset": write_data_files(stage, context)}
        seconds = time.monotonic() - started
        write_json(work / "done.json", describe_done(stage.name, stage.kind, inputs, seconds, summary))


def _keep_card(
    manifest: Manifest,
    stage: ProbeStage,
    run_dir: RunDir,
    state: _State,
    summary: Mapping[str, Any],
    path: Path,
) -> None:
    """Writes the card of a probe stage's dataset, also of one that is reused: a licence may have been declared since."""
    dataset = manifest.probes[stage.probes].dataset
    origin = Origin(
        run=read_json(run_dir.path / "run.json") or {},
        data=state.results[0].summary["datasets"][dataset],
        files=state.files[dataset],
    )
    write_text(path / FOLDER / "README.md", write_card(manifest, stage, summary, origin))


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
