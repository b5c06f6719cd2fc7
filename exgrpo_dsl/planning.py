"""`exgrpo plan`: the plan of a compiled task over the rows that a run would read."""

from __future__ import annotations

import tempfile
from pathlib import Path

from exgrpo_artifact.manifest import EvaluateStage, ProbeStage, Stage
from exgrpo_artifact.storage import Artifact, read_artifact
from exgrpo_dsl.errors import UsageError
from exgrpo_runtime.data.disk_rows import RowsBySplit, RowWriter, open_rows
from exgrpo_runtime.data.rows import STAGE, RowReader
from exgrpo_runtime.data.shards import Shard, take_shard
from exgrpo_runtime.planning.plan import Plan, build_plan
from exgrpo_runtime.planning.prices import read_prices
from exgrpo_runtime.records import Row
from exgrpo_runtime.run_dir import read_json
from exgrpo_runtime.stages import choose_stages

STORE = "replies.sqlite"
"""Where a run keeps its replies when it is told of no other store."""


def plan_artifact(
    directory: Path,
    *,
    until: str | None = None,
    limit: int | None = None,
    shard: Shard | None = None,
    store: Path | None = None,
    prices: Path | None = None,
    tokenizer: Path | None = None,
) -> Plan:
    """The plan of the task in an artifact directory; see `build_plan`. The rows lie in a temporary directory meanwhile.

    Args:
        directory: what `exgrpo compile` wrote.
        until: the last stage that is planned; None: all.
        limit: at most so many source rows of every split.
        shard: which part of the rows is probed.
        store: a reply store; None: nothing is stored.
        prices: a table of prices.
        tokenizer: folder of a tokenizer.

    Raises:
        UsageError: there is no such stage.
        ExgrpoError: the artifact, the rows, the store, the table or the tokenizer cannot be read.
    """
    artifact = read_artifact(directory)
    known = [STAGE, *(stage.name for stage in artifact.manifest.stages)]
    if until is not None and until not in known:
        raise UsageError(
            f"task `{artifact.manifest.task}` has no stage `{until}`; it has {', '.join(known)}."
        )
    with tempfile.TemporaryDirectory(prefix="exgrpo-rows-") as scratch:
        stages = choose_stages(artifact.manifest, until)
        rows = _read_rows(artifact, stages, limit, Path(scratch))
        for stage in stages:
            rows = take_shard(rows, stage, artifact.manifest, shard)
        table = read_prices(prices) if prices is not None else None
        return build_plan(artifact, stages, rows, store=store, prices=table, tokenizer=tokenizer)


def find_store(run_dir: Path) -> Path:
    """The store that the run in a directory keeps its replies in."""
    described = read_json(run_dir / "run.json")
    named = described.get("store") if isinstance(described, dict) else None
    return Path(named) if named else run_dir / STORE


def _read_rows(
    artifact: Artifact, stages: tuple[Stage, ...], limit: int | None, scratch: Path
) -> RowsBySplit:
    manifest = artifact.manifest
    needed = {stage.dataset for stage in stages if isinstance(stage, EvaluateStage)}
    needed |= {manifest.probes[stage.probes].dataset for stage in stages if isinstance(stage, ProbeStage)}
    with RowWriter(scratch) as writer:
        for name in sorted(needed):
            dataset = manifest.datasets[name]
            writer.begin(name, list(dataset.splits))
            for found in RowReader(dataset, limit=limit):
                if isinstance(found, Row):
                    writer.write(found)
    return open_rows(scratch)
