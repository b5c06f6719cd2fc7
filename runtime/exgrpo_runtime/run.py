"""The driver: stages in the spec's order, each skipped when it finished for the same inputs."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exgrpo_artifact.errors import ExgrpoError
from exgrpo_artifact.manifest import EvaluateStage, GrpoStage, ProbeStage, SftStage, Stage
from exgrpo_artifact.storage import Artifact, read_artifact
from exgrpo_runtime.cards import Origin
from exgrpo_runtime.context import Context, Progress
from exgrpo_runtime.data.disk_rows import RowsBySplit
from exgrpo_runtime.data.shards import take_shard
from exgrpo_runtime.data.stage import run_data_stage
from exgrpo_runtime.inputs import hash_data_inputs, hash_files, hash_stage_inputs
from exgrpo_runtime.model_card import ModelOrigin, write_model_card
from exgrpo_runtime.options import RunOptions
from exgrpo_runtime.probing.dataset_card import write_card
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
from exgrpo_runtime.student_checks import require_student
from exgrpo_runtime.teachers.store import ReplyStore
from exgrpo_runtime.templates import TemplateSet
from exgrpo_runtime.tracking import Tracking, place_tracking, require_trackers

Announce = Callable[[StageResult], None]
Foresee = Callable[[Stage, RowsBySplit], None]


def run_artifact(
    artifact_dir: Path,
    out: Path,
    options: RunOptions = RunOptions(),  # noqa: B008 - frozen
    *,
    progress: Progress,
    announce: Announce = lambda _: None,
    foresee: Foresee = lambda _, __: None,
) -> RunResult:
    """Runs the task compiled in `artifact_dir`, writing to `out`.

    Args:
        artifact_dir: a directory that `exgrpo compile` wrote.
        out: the run directory.
        options: how far, over which rows, by whom.
        progress: where bars go.
        announce: called with every stage as it is finished or found finished.
        foresee: called with every stage that is about to run and the rows that it gets.

    Raises:
        ExgrpoError: the world failed; result.json says what, and finished stages stay.
    """
    artifact = read_artifact(artifact_dir)
    stages = choose_stages(artifact.manifest, options.until)
    require_packages(artifact, stages)
    require_comparing(artifact)
    require_trackers(options.report_to)
    _require_own_directory(out)
    with RunDir(out) as run_dir:
        _require_fitting_run(run_dir, artifact, options.resume)
        with disk_boundary(out):
            # First, so that whatever stands beside it is known to be ours.
            described = describe_run(artifact, options, asks_torch=uses_torch(artifact, stages))
            write_json(out / "run.json", described)
            _keep_artifact(artifact_dir, run_dir)
            (out / "result.json").unlink(missing_ok=True)
        run = _Run(artifact, run_dir, options, progress, announce, foresee)
        try:
            run.run_stages()
        except KeyboardInterrupt:
            close_run(run_dir, run.results, "interrupted", 130, "Interrupted. Go on with --resume.")
            raise
        except ExgrpoError as error:
            close_run(run_dir, run.results, "failed", error.exit_code, str(error))
            raise
        except Exception as error:
            close_run(run_dir, run.results, "failed", 70, f"{type(error).__name__}: {error}")
            raise
        failed = sum(int(result.summary.get("failed_requests", 0)) for result in run.results)
        with disk_boundary(out):
            status = "done" if len(run.results) == len(artifact.manifest.stages) + 1 else "stopped"
            exit_code = EXIT_PARTIAL if failed and not options.allow_partial else 0
            write_result(run_dir, run.results, status, exit_code, None)
        return RunResult(out, tuple(run.results), failed, exit_code)


@dataclass(slots=True)
class _Run:
    """A run under way, and what has been done so far in it."""

    artifact: Artifact
    run_dir: RunDir
    options: RunOptions
    progress: Progress
    announce: Announce
    foresee: Foresee
    results: list[StageResult] = field(default_factory=list)
    stage_dirs: dict[str, Path] = field(default_factory=dict)
    probes: dict[str, str] = field(default_factory=dict)
    trained: list[str] = field(default_factory=list)
    student_dir: Path | None = None
    files: dict[str, dict[str, str]] = field(default_factory=dict)
    """Dataset -> path -> sha256 of the local files that its source reads."""

    def run_stages(self) -> None:
        """The data stage, then the others as far as the options say."""
        manifest, options = self.artifact.manifest, self.options
        self.files = hash_files(manifest)
        data_inputs = hash_data_inputs(manifest, options.limit, self.files)
        rows, result = run_data_stage(self.artifact, self.run_dir, data_inputs, options.limit, self.progress)
        self.results.append(result)
        self.announce(result)
        stages = choose_stages(manifest, options.until)
        if not stages:
            return
        store_path = options.store or self.run_dir.path / "replies.sqlite"
        with disk_boundary(self.run_dir.path), ReplyStore(store_path) as store:
            require_models(self.artifact, stages, store.session)
            require_student(self.artifact, stages, rows)
            for index, stage in enumerate(stages, start=1):
                self.announce(self._reach_stage(index, stage, data_inputs, rows, store))

    def _reach_stage(
        self, index: int, stage: Stage, data_inputs: str, rows: RowsBySplit, store: ReplyStore
    ) -> StageResult:
        """The stage's result, found or made."""
        inputs = hash_stage_inputs(
            self.artifact,
            stage,
            data=data_inputs,
            student=self.trained[-1] if self.trained else None,
            probes=self.probes,
            trained=list(self.trained),
            shard=self.options.shard,
        )
        done = self.run_dir.find_done(index, stage.name, inputs)
        if done is not None and done["summary"].get("failed_requests") and not self.options.allow_partial:
            done = None
        status = "reused"
        if done is None:
            self.run_dir.drop_stages_from(index, keep=set())
            chosen = take_shard(rows, stage, self.artifact.manifest, self.options.shard)
            self.foresee(stage, chosen)
            done = self._run_stage(index, stage, inputs, chosen, store)
            status = "done"
        path = self.run_dir.get_stage_dir(index, stage.name)
        if isinstance(stage, ProbeStage):
            self._keep_card(stage, done["summary"], path)
        result = StageResult(stage.name, stage.kind, status, done["seconds"], done["summary"], path)
        self._record_stage(stage, inputs, result)
        if isinstance(stage, SftStage | GrpoStage | EvaluateStage):
            self._keep_student_cards()
        return result

    def _run_stage(
        self, index: int, stage: Stage, inputs: str, rows: RowsBySplit, store: ReplyStore
    ) -> Mapping[str, Any]:
        """What its done.json says."""
        started = time.monotonic()
        with self.run_dir.open_stage(index, stage.name) as work:
            context = Context(
                artifact=self.artifact,
                templates=TemplateSet(self.artifact.prompts),
                work=work,
                rows=rows,
                stage_dirs=dict(self.stage_dirs),
                store=store,
                progress=self.progress,
                student_dir=self.student_dir,
                tracking=Tracking(self.options.report_to, self.run_dir.path.absolute() / "tracking"),
            )
            stores = (self.run_dir.path / "workers").absolute()
            with place_tracking(context.tracking, stage.name):
                summary = call_stage(stage, context, self.options.engine, stores)
            if isinstance(stage, ProbeStage):
                summary = {**summary, "dataset": write_data_files(stage, context)}
            seconds = time.monotonic() - started
            write_json(work / "done.json", describe_done(stage.name, stage.kind, inputs, seconds, summary))
        done: Mapping[str, Any] = read_json(self.run_dir.get_stage_dir(index, stage.name) / "done.json")
        return done

    def _keep_card(self, stage: ProbeStage, summary: Mapping[str, Any], path: Path) -> None:
        """Writes the card of a stage's dataset, also of one that is reused: a licence may have been declared since."""
        manifest = self.artifact.manifest
        dataset = manifest.probes[stage.probes].dataset
        origin = Origin(
            run=read_json(self.run_dir.path / "run.json") or {},
            data=self.results[0].summary["datasets"][dataset],
            files=self.files[dataset],
        )
        write_text(path / FOLDER / "README.md", write_card(manifest, stage, summary, origin))

    def _keep_student_cards(self) -> None:
        """Writes the card of every student so far: an evaluation adds its figures to those before it."""
        origin = ModelOrigin(
            run=read_json(self.run_dir.path / "run.json") or {},
            data=self.results[0].summary["datasets"],
            files=self.files,
            summaries={result.name: result.summary for result in self.results},
        )
        for result in self.results:
            if result.kind in ("sft", "grpo"):
                card = write_model_card(self.artifact, result.name, origin)
                write_text(result.path / "student" / "README.md", card)

    def _record_stage(self, stage: Stage, inputs: str, result: StageResult) -> None:
        self.results.append(result)
        self.stage_dirs[stage.name] = result.path
        if isinstance(stage, ProbeStage):
            self.probes[stage.probes] = inputs
        elif isinstance(stage, SftStage | GrpoStage):
            self.trained.append(inputs)
            self.student_dir = result.path / "student"


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
