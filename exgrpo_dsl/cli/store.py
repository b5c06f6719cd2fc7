"""`exgrpo store`: what a reply store holds, the union of several, a store as parquet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from exgrpo_runtime.teachers.store_files import ModelInfo

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.group()
def store() -> None:
    """Look into, merge and export stores of teachers' replies (RUN_DIR/replies.sqlite, or `exgrpo run --store FILE`)."""


@store.command()
@click.argument("path", metavar="STORE", type=_FILE)
@click.option("--format", "format_", type=click.Choice(("human", "json")), default="human", show_default=True)
def info(path: Path, format_: str) -> int:
    """Count replies, tokens, US dollars and failed requests of each model."""
    from exgrpo_runtime.teachers.store_files import describe_store

    found = describe_store(path)
    if format_ == "json":
        click.echo(json.dumps({"store": str(path), "models": [model._asdict() for model in found]}))
    else:
        click.echo("\n".join(_format_model(model) for model in found) or "no replies")
    return 0


@store.command()
@click.argument("path", metavar="STORE", type=_FILE)
@click.argument("out", metavar="OUT.parquet", type=_FILE)
def export(path: Path, out: Path) -> int:
    """Write the replies of STORE to a parquet file, with what was asked, tokens, latency and cost."""
    from exgrpo_runtime.teachers.store_files import export_store

    count = export_store(path, out)
    click.echo(f"{count} {'reply' if count == 1 else 'replies'} written to {out}")
    return 0


@store.command()
@click.argument("out", metavar="OUT", type=_FILE)
@click.argument("inputs", metavar="STORE...", type=_FILE, nargs=-1, required=True)
def merge(out: Path, inputs: tuple[Path, ...]) -> int:
    """Make OUT the union of itself and other stores.

    Of two replies to the same request the first stays. A run with `--store OUT` then asks for none of them again.
    """
    from exgrpo_runtime.teachers.store_files import describe_store, merge_stores

    added = merge_stores(out, inputs)
    total = sum(model.replies for model in describe_store(out))
    click.echo(f"{added} {'reply' if added == 1 else 'replies'} added to {out}, which now holds {total}")
    return 0


def _format_model(info: ModelInfo) -> str:
    """`tutor: 12 replies, 1,200 + 360 tokens, 0.0042 usd`."""
    parts = [f"{info.replies:,} {'reply' if info.replies == 1 else 'replies'}"]
    if info.replies:
        tokens = f"{info.prompt_tokens:,} + {info.completion_tokens:,} tokens"
        parts.append(tokens + (f" ({info.uncounted:,} not counted)" if info.uncounted else ""))
        cost = "cost unknown" if info.cost_usd is None else f"{info.cost_usd:.4f} usd"
        is_part = info.cost_usd is not None and info.uncosted
        parts.append(cost + (f" ({info.uncosted:,} of unknown cost)" if is_part else ""))
    if info.failures:
        parts.append(f"{info.failures:,} failed {'request' if info.failures == 1 else 'requests'}")
    return f"{info.model}: {', '.join(parts)}"
