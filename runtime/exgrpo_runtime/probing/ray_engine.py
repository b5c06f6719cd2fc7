"""`--engine ray`: a probe stage's requests sent by the workers of a Ray cluster, its result made here.

Ray Data maps blocks of rows to stores of their replies; as each arrives it is merged into the run's store, and then the stage runs as
ever and finds its replies there. So the result is that of a run without Ray, and so are the store's guarantees.

Filters that ask the student are the driver's, and so are those after them.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Any, Final, NamedTuple

from exgrpo_artifact.errors import MissingDependencyError, TeacherError
from exgrpo_artifact.manifest import Keep, Limits, Manifest, Model, ProbeStage
from exgrpo_artifact.record import replace
from exgrpo_runtime.context import Context
from exgrpo_runtime.data.shards import Shard
from exgrpo_runtime.probing.ray_worker import BlockAsker, Task
from exgrpo_runtime.probing.stage import run_probe_stage
from exgrpo_runtime.records import Row
from exgrpo_runtime.stages import choose_stages
from exgrpo_runtime.teachers.budget import Budget
from exgrpo_runtime.teachers.store import ReplyStore
from exgrpo_runtime.teachers.store_files import merge_stores
from exgrpo_runtime.teachers.store_parts import read_failures
from exgrpo_runtime.teachers.teacher import Reply

ROWS_AT_ONCE: Final = 256
"""Rows of a block: what a worker is given at a time, and at most does again when it dies."""
_REMOVALS: Final = 30
_REMOVAL_S: Final = 0.1
_HERE: Final = ("hf", "scratch")
"""Kinds of models that are weights in the process that asks them."""


class Asked(NamedTuple):
    """What the workers came to."""

    workers: int
    nodes: int
    requests: int
    failures: dict[str, Reply]
    """By key: requests that failed for good and are not sent again by this run."""
    errors: tuple[str, ...]
    """Why workers stopped before they had asked everything."""


def find_misuse(manifest: Manifest, until: str | None) -> str | None:
    """Why a run to stage `until` has nothing for a cluster to do; None where it has."""
    stages = [stage for stage in choose_stages(manifest, until) if isinstance(stage, ProbeStage)]
    if not stages:
        last = until or manifest.stages[-1].name
        return f"stage `{last}` is the last, and sends no requests: nothing before it probes."
    for teacher in (manifest.probes[stage.probes].teacher for stage in stages):
        if manifest.models[teacher].kind in _HERE:
            return (
                f"teacher `{teacher}` is weights in this process, which other machines cannot ask. Serve it behind an "
                "OpenAI-compatible URL."
            )
    return None


def run_probe_stage_on_ray(stage: ProbeStage, context: Context, stores: Path) -> dict[str, Any]:
    """As `run_probe_stage`, with requests sent from all over the cluster.

    Args:
        stage: the stage.
        context: where it runs.
        stores: directory of the nodes' stores, which lies beside the run and on every node; whatever an earlier run that was
            stopped has left there is merged first.

    Raises:
        MissingDependencyError: Ray is not installed.
        TeacherError: Ray failed; what is stored is kept.
    """
    _take_leftovers(context.store, stores)
    try:
        with _connect() as ray:
            asked = _ask(ray, stage, context, stores)
    except BaseException:  # Ctrl-C too: what has been stored was paid for; workers may still be about to end
        _merge_leftovers(context.store, stores)
        raise
    _take_leftovers(context.store, stores)
    summary = run_probe_stage(stage, context, given=asked.failures)
    engine = {"name": "ray", **asked._asdict(), "failures": len(asked.failures)}
    return {**summary, "engine": engine}


@contextmanager
def _connect() -> Iterator[Any]:
    """Ray, connected: as it is already, or to RAY_ADDRESS, or to a cluster of this machine alone that ends with the block."""
    # Nothing phones home, and no port is opened for browsers.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingDependencyError(
            "`--engine ray` needs the extra `ray`: pip install 'exgrpo[ray]'"
        ) from error
    is_ours = not ray.is_initialized()
    if is_ours:
        quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
        address = os.environ.get("RAY_ADDRESS")
        ray.init(
            **quiet, **({"address": address} if address else {"address": "local", "include_dashboard": False})
        )
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False
    try:
        yield ray
    except ray.exceptions.RayError as error:
        reason = " ".join(str(error).split())[-300:]
        raise TeacherError(
            f"Ray stopped: {reason}. Replies that are stored are kept; go on with --resume."
        ) from error
    finally:
        if is_ours:
            ray.shutdown()


def _ask(ray: Any, stage: ProbeStage, context: Context, stores: Path) -> Asked:
    manifest = context.manifest
    rows = context.rows[manifest.probes[stage.probes].dataset][stage.split]
    nodes = sum(bool(node["Alive"] and node["Resources"].get("CPU")) for node in ray.nodes())
    models = _list_asked(manifest, stage)
    workers = _count_workers(int(ray.cluster_resources().get("CPU", 1)), len(rows), models)
    shared = _share_models(manifest, models, context.store, workers, min(nodes, workers))
    artifact = context.artifact._replace(manifest=_restrict_filters(shared, stage))
    task = Task(artifact, stage, stores, _put_seed(ray, context.store))
    blocks = _put_blocks(ray, rows, workers)
    mapped = ray.data.from_arrow_refs(blocks).map_batches(
        BlockAsker,
        batch_size=None,
        batch_format="pyarrow",
        fn_constructor_args=(task,),
        num_cpus=1,
        compute=ray.data.ActorPoolStrategy(size=workers),
    )
    asked, failures, errors = 0, dict[str, Reply](), dict[str, None]()
    with context.progress.track(f"{stage.name} on ray", len(blocks)) as bar:
        for block in mapped.iter_rows():
            failures.update(_take_part(context.store, block["part"]))
            asked += block["asked"]
            if block["error"] is not None:
                errors[block["error"]] = None
            bar.advance(asked=asked, failed=len(failures))
    return Asked(workers, nodes, asked, failures, tuple(errors))


# --- what workers are told --------------------------------------------------------------------------------


def _list_asked(manifest: Manifest, stage: ProbeStage) -> list[Model]:
    """The models that workers ask."""
    declaration = manifest.probes[stage.probes]
    keeps = _pick_filters(manifest, declaration.keeps)
    names = {declaration.teacher} | {name for keep in keeps for name in _find_models(keep)}
    return [manifest.models[name] for name in sorted(names)]


def _find_models(keep: Keep) -> set[str]:
    return {str(node.params["model"]) for node in keep.condition.nodes if "model" in node.params}


def _pick_filters(manifest: Manifest, keeps: Sequence[Keep]) -> tuple[Keep, ...]:
    """Those before the first that asks a model whose weights are the driver's."""
    return tuple(
        takewhile(
            lambda keep: not any(manifest.models[name].kind in _HERE for name in _find_models(keep)), keeps
        )
    )


def _restrict_filters(manifest: Manifest, stage: ProbeStage) -> Manifest:
    declaration = manifest.probes[stage.probes]
    keeps = _pick_filters(manifest, declaration.keeps)
    return replace(manifest, probes={**manifest.probes, stage.probes: replace(declaration, keeps=keeps)})


def _count_workers(cpus: int, num_rows: int, models: Sequence[Model]) -> int:
    """One for each CPU, but never so many that one of them may have no request in flight."""
    return max(1, min(cpus, num_rows, *(model.limits.concurrency for model in models)))


def _share_models(
    manifest: Manifest, models: Sequence[Model], store: ReplyStore, workers: int, nodes: int
) -> Manifest:
    """The manifest with a worker's share of every limit, and a node's share of what is left of every budget."""
    shared = {model.name: _share_model(model, store, workers, nodes) for model in models}
    return replace(manifest, models={**manifest.models, **shared})


def _share_model(model: Model, store: ReplyStore, workers: int, nodes: int) -> Model:
    limits = Limits(
        requests=None if model.limits.requests is None else model.limits.requests / workers,
        tokens=None if model.limits.tokens is None else model.limits.tokens / workers,
        concurrency=max(1, model.limits.concurrency // workers),
    )
    budget = Budget(model, store.sum_usage(model.name))
    budget_usd = budget.spent_usd + budget.left_usd / nodes if budget.is_kept else model.budget_usd
    return replace(model, limits=limits, budget_usd=budget_usd)


def _put_seed(ray: Any, store: ReplyStore) -> Any:
    """A reference to a copy of the run's store; None where it holds no reply."""
    with tempfile.TemporaryDirectory(prefix="exgrpo-") as scratch:
        copy = Path(scratch) / "seed.sqlite"
        return ray.put(copy.read_bytes()) if merge_stores(copy, [store.path]) else None


def _put_blocks(ray: Any, rows: Sequence[Row], workers: int) -> list[Any]:
    """References to tables of rows as JSON; each is a shard of the rows, so that none is in memory here beyond one."""
    import pyarrow

    count = max(workers, -(-len(rows) // ROWS_AT_ONCE))
    blocks = []
    for number in range(1, count + 1):
        lines = [json.dumps(row.to_json(), ensure_ascii=False) for row in Shard(number, count).take(rows)]
        blocks.append(ray.put(pyarrow.table({"row": pyarrow.array(lines, pyarrow.large_string())})))
    return blocks


# --- what workers leave -----------------------------------------------------------------------------------


def _take_part(store: ReplyStore, part: bytes) -> dict[str, Reply]:
    """Merges a block's replies into the run's store; its failures."""
    with tempfile.TemporaryDirectory(prefix="exgrpo-") as scratch:
        path = Path(scratch) / "part.sqlite"
        path.write_bytes(part)
        merge_stores(store.path, [path])
        return read_failures(path)


def _take_leftovers(store: ReplyStore, stores: Path) -> None:
    """Merges the stores of nodes that can be seen from here, those of killed workers among them, and removes them."""
    _merge_leftovers(store, stores)
    for _ in range(_REMOVALS):  # a worker that is about to end may put a file back
        shutil.rmtree(stores, ignore_errors=True)
        if not stores.exists():
            return
        time.sleep(_REMOVAL_S)


def _merge_leftovers(store: ReplyStore, stores: Path) -> None:
    found = sorted(stores.glob("*.sqlite"))
    if found:
        merge_stores(store.path, found)
