"""`exgrpo run`: spec or artifact to a trained, evaluated student."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from exgrpo_dsl.cli.options import read_shard_option, set_option, task_option

if TYPE_CHECKING:
    from rich.console import Console

    from exgrpo_artifact.manifest import Manifest, Stage
    from exgrpo_runtime.data.disk_rows import RowsBySplit
    from exgrpo_runtime.data.shards import Shard
    from exgrpo_runtime.options import Engine, RunOptions
    from exgrpo_runtime.results import RunResult, StageResult


@click.command()
@click.argument("target", required=False, metavar="[ARTIFACT|SPEC]", type=click.Path(path_type=Path))
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), help="Run directory. [default: runs/TASK, runs/TASK-2, …]"
)
@click.option(
    "--resume",
    is_flag=True,
    help="Go on with the run in --out (default: the latest): finished stages are kept.",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Read at most N rows of every split.")
@click.option("--stage", "until", metavar="NAME", help="Stop after this stage.")
@click.option(
    "--shard",
    metavar="I/N",
    callback=read_shard_option,
    help="Ask about every N-th row only, beginning with row I: for N machines. Needs --stage with a probe stage.",
)
@click.option(
    "--store",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Keep replies here, also those of other runs, at the same time too. [default: RUN_DIR/replies.sqlite]",
)
@click.option(
    "--allow-partial",
    is_flag=True,
    help="Exit with 0, not 5, although some requests failed for good; --resume then keeps what there is.",
)
@click.option(
    "--engine",
    type=click.Choice(("local", "ray")),
    default="local",
    show_default=True,
    help="Who sends a probe stage's requests: this process, or the workers of a Ray cluster (RAY_ADDRESS, else this machine).",
)
@click.option(
    "--report-to",
    type=click.Choice(("tensorboard", "trackio", "wandb")),
    multiple=True,
    help="Tell a tracker the figures of training. May be repeated. [default: nobody]",
)
@task_option
@set_option
def run(
    target: Path | None,
    out: Path | None,
    resume: bool,
    limit: int | None,
    until: str | None,
    shard: Shard | None,
    store: Path | None,
    allow_partial: bool,
    engine: Engine,
    report_to: tuple[str, ...],
    task: str | None,
    overrides: tuple[str, ...],
) -> int:
    """Run a task: data, then the spec's stages, then a report.

    Without an argument the embedded quickstart is run: offline, on word problems that it generates, with a student built from
    scratch.
    """
    from exgrpo_dsl.cli.artifacts import prepare_artifact
    from exgrpo_dsl.loading import find_quickstart

    spec = target or find_quickstart()
    with tempfile.TemporaryDirectory(prefix="exgrpo-") as scratch:
        artifact_dir = prepare_artifact(spec, Path(scratch), task, overrides)
        if artifact_dir is None:
            return 1
        from exgrpo_runtime.options import RunOptions

        options = RunOptions(resume, limit, until, shard, store, allow_partial, engine, report_to, str(spec))
        return _run(artifact_dir, out, options)


def _run(artifact_dir: Path, out: Path | None, options: RunOptions) -> int:
    from rich.console import Console

    from exgrpo_artifact.manifest import ProbeStage
    from exgrpo_artifact.storage import read_artifact
    from exgrpo_dsl.cli.interrupt import raise_on_interrupt
    from exgrpo_dsl.plan_text import summarise_plan
    from exgrpo_dsl.planning import STORE
    from exgrpo_runtime.environment import describe_device
    from exgrpo_runtime.planning.plan import build_plan
    from exgrpo_runtime.progress import TerminalProgress
    from exgrpo_runtime.run import run_artifact
    from exgrpo_runtime.stages import choose_stages, uses_torch

    artifact = read_artifact(artifact_dir)
    manifest = artifact.manifest
    _require_fitting(manifest, options)
    run_dir = out or _choose_run_dir(manifest.task, options.resume)
    console = Console(highlight=False, soft_wrap=True)
    raise_on_interrupt()
    device = describe_device(asks_torch=uses_torch(artifact, choose_stages(manifest, options.until)))
    console.print(f"[bold]{manifest.task}[/] on {device}, writing {run_dir}")

    def foresee(stage: Stage, rows: RowsBySplit) -> None:
        if isinstance(stage, ProbeStage):
            plan = build_plan(artifact, [stage], rows, store=options.store or run_dir / STORE)
            console.print(f"  [bold]plan    [/] {summarise_plan(plan)}")

    try:
        result = run_artifact(
            artifact_dir,
            run_dir,
            options,
            progress=TerminalProgress(),
            announce=lambda stage: _print_stage(console, stage),
            foresee=foresee,
        )
    except FileExistsError as error:
        raise click.UsageError(str(error)) from error
    _print_result(console, result)
    return result.exit_code


def _require_fitting(manifest: Manifest, options: RunOptions) -> None:
    """Refuses options that do not go with the task, before anything is read or written."""
    from exgrpo_runtime.data import shards
    from exgrpo_runtime.data.stage import DATA

    until, store = options.until, options.store
    known = [DATA, *(stage.name for stage in manifest.stages)]
    if until is not None and until not in known:
        raise click.UsageError(f"task `{manifest.task}` has no stage `{until}`; it has {', '.join(known)}.")
    if options.shard is not None and (misuse := shards.find_misuse(manifest, until)) is not None:
        raise click.UsageError(f"--shard {options.shard}: {misuse}")
    if options.engine == "ray":
        from exgrpo_runtime.probing import ray_engine

        if (misuse := ray_engine.find_misuse(manifest, until)) is not None:
            raise click.UsageError(f"--engine ray: {misuse}")
    if store is not None and not store.parent.is_dir():
        raise click.UsageError(f"--store: there is no directory {store.parent} to keep replies in.")


def _choose_run_dir(task: str, resume: bool) -> Path:
    """The latest run of the task to resume, else the first free name."""
    numbered = [Path("runs") / task, *(Path("runs") / f"{task}-{number}" for number in range(2, 10_000))]
    free = next(index for index, path in enumerate(numbered) if not path.exists())
    if not resume:
        return numbered[free]
    if free == 0:
        raise click.UsageError(f"there is no run of `{task}` under runs/ to resume; give --out.")
    return numbered[free - 1]


def _print_stage(console: Console, stage: StageResult) -> None:
    from exgrpo_dsl.cli.summaries import describe_stage

    status = "reused" if stage.status == "reused" else f"{stage.seconds:.1f} s"
    console.print(f"[green]✓[/] [bold]{stage.name:8}[/] {describe_stage(stage)} [dim]({status})[/]")


def _print_result(console: Console, result: RunResult) -> None:
    from exgrpo_dsl.cli.summaries import build_accuracy_table

    for stage in result.stages:
        if stage.kind == "evaluate":
            console.print(build_accuracy_table(stage))
    if result.failed_requests:
        noun = "request" if result.failed_requests == 1 else "requests"
        then = (
            "--resume asks for them again, --allow-partial takes what there is."
            if result.exit_code
            else "The result is partial, as --allow-partial allows."
        )
        console.print(
            f"[yellow]{result.failed_requests} teacher {noun} failed for good[/], recorded as rejections. {then}"
        )
    console.print(f"report: {result.path / 'report.html'}")
