"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from exgrpo_dsl.cli.show import FORMATS

if TYPE_CHECKING:
    from exgrpo_runtime.data.shards import Shard


def read_shard_option(_context: click.Context, _option: click.Parameter, text: str | None) -> Shard | None:
    """The shard that `--shard 2/8` names; a callback of click.

    Raises:
        BadParameter: it names none.
    """
    from exgrpo_runtime.data.shards import read_shard

    try:
        return None if text is None else read_shard(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


set_option: Callable[[Any], Any] = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="NAME.PATH=VALUE",
    help="Override a value of the spec, typed like the spec: train.steps=20, invert.in_reach=off. May be repeated.",
)
format_option: Callable[[Any], Any] = click.option(
    "--format",
    "format_",
    type=click.Choice(FORMATS),
    default="human",
    show_default=True,
    help="How diagnostics are printed: human to stderr, the others to stdout.",
)
task_option: Callable[[Any], Any] = click.option(
    "--task", metavar="NAME", help="The task, where the spec declares several."
)
