"""`exgrpo plan`: what would a run ask, what would it cost, and how long would it take?"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from exgrpo_dsl.cli.options import read_shard_option, set_option, task_option

if TYPE_CHECKING:
    from exgrpo_runtime.data.shards import Shard

EXIT_OVER_BUDGET = 5
"""A run of it would finish in part."""


@click.command()
@click.argument("target", metavar="SPEC|ARTIFACT", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--store", type=click.Path(path_type=Path), metavar="FILE", help="The reply store that a run would use."
)
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), metavar="RUN_DIR", help="The run whose store is meant."
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Read at most N rows of every split.")
@click.option("--stage", "until", metavar="NAME", help="Plan no further than this stage.")
@click.option(
    "--shard",
    metavar="I/N",
    callback=read_shard_option,
    help="Probe every N-th row only, beginning with row I.",
)
@click.option(
    "--tokenizer",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Folder of a tokenizer to count with.",
)
@click.option(
    "--prices",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="TOML or JSON: model id to `input` and `output`, US dollars per million tokens.",
)
@click.option("--format", "format_", type=click.Choice(("human", "json")), default="human", show_default=True)
@task_option
@set_option
def plan(
    target: Path,
    store: Path | None,
    out: Path | None,
    limit: int | None,
    until: str | None,
    shard: Shard | None,
    tokenizer: Path | None,
    prices: Path | None,
    format_: str,
    task: str | None,
    overrides: tuple[str, ...],
) -> int:
    """Count what a run would ask, before anything is sent.

    Requests, tokens, dollars and time of every model, at least, expected and at most; what the store already holds; what is
    declassified, open and revealed. Needs no credentials and sends nothing. Exits 5 where the expected cost exceeds a `budget`.
    """
    from exgrpo_dsl.cli.artifacts import prepare_artifact
    from exgrpo_dsl.plan_text import format_plan
    from exgrpo_dsl.planning import find_store, plan_artifact

    if store is not None and out is not None:
        raise click.UsageError("--store and --out both name a store; give one of them.")
    with tempfile.TemporaryDirectory(prefix="exgrpo-") as scratch:
        directory = prepare_artifact(target, Path(scratch), task, overrides)
        if directory is None:
            return 1
        found = plan_artifact(
            directory,
            limit=limit,
            until=until,
            shard=shard,
            store=find_store(out) if out is not None else store,
            prices=prices,
            tokenizer=tokenizer,
        )
    if format_ == "json":
        click.echo(json.dumps(found.to_json(), ensure_ascii=False))
    else:
        click.echo(format_plan(found))
    return EXIT_OVER_BUDGET if any(bill.verdict == "expected" for bill in found.bills) else 0
