"""`exgrpo plan`: the plan of a compiled task over the rows that a run would read."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from exgrpo_artifact.manifest import EvaluateStage, Manifest, ProbeStage
from exgrpo_artifact.storage import read_artifact
from exgrpo_dsl.errors import UsageError
from exgrpo_runtime.data.rows import load_rows
from exgrpo_runtime.planning.plan import Plan, Rows, build_plan
from exgrpo_runtime.planning.prices import read_prices


class Shard(NamedTuple):
    """Every `total`-th row of a probe stage's split, from the `number`-th, which counts from 1."""

    number: int
    total: int


def plan_artifact(
    directory: Path,
    *,
    limit: int | None = None,
    shard: Shard | None = None,
    store: Path | None = None,
    prices: Path | None = None,
    tokenizer: Path | None = None,
) -> Plan:
    """The plan of the task in an artifact directory; see `build_plan`.

    Args:
        directory: what `exgrpo compile` wrote.
        limit: at most so many source rows of every split.
        shard: which part of the rows is probed.
        store: a reply store; None: nothing is stored.
        prices: a table of prices.
        tokenizer: folder of a tokenizer.

    Raises:
        ExgrpoError: the artifact, the rows, the store, the table or the tokenizer cannot be read.
    """
    artifact = read_artifact(directory)
    rows = _read_rows(artifact.manifest, limit, shard)
    table = read_prices(prices) if prices is not None else None
    return build_plan(artifact, rows, store=store, prices=table, tokenizer=tokenizer)


def parse_shard(text: str) -> Shard:
    """The shard that `2/8` stands for.

    Raises:
        UsageError: it stands for none.
    """
    number, _, total = text.partition("/")
    if number.isdecimal() and total.isdecimal() and 1 <= int(number) <= int(total):
        return Shard(int(number), int(total))
    raise UsageError(f"--shard {text}: a shard is written i/n, with i from 1 to n, as 2/8.")


def _read_rows(manifest: Manifest, limit: int | None, shard: Shard | None) -> Rows:
    probed = {
        (manifest.probes[stage.probes].dataset, stage.split)
        for stage in manifest.stages
        if isinstance(stage, ProbeStage)
    }
    evaluated = {stage.dataset for stage in manifest.stages if isinstance(stage, EvaluateStage)}
    rows = {
        name: dict(load_rows(manifest, name, limit=limit).rows)
        for name in sorted(evaluated | {name for name, _ in probed})
    }
    for name, split in probed if shard is not None else ():
        assert shard is not None
        rows[name][split] = rows[name][split][shard.number - 1 :: shard.total]
    return rows
