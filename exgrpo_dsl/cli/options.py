"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from exgrpo_dsl.cli.show import FORMATS

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
