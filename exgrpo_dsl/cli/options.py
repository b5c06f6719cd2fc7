"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

set_option: Callable[[Any], Any] = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="NAME.PATH=VALUE",
    help="Override a value of the spec, typed like the spec: train.steps=20, invert.in_reach=off. May be repeated.",
)
task_option: Callable[[Any], Any] = click.option(
    "--task", metavar="NAME", help="The task, where the spec declares several."
)
