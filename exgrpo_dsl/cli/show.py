"""Printing diagnostics for a person or for a machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TextIO

import click

from exgrpo_compiler.diagnostics import Diagnostic
from exgrpo_compiler.render import render_human, render_json


def show_diagnostics(diagnostics: Sequence[Diagnostic], format_: str = "human") -> None:
    """Prints to stdout as JSON lines, or to stderr for a person, in color where that is a terminal."""
    if format_ == "json":
        click.echo(render_json(diagnostics), nl=False)
    elif diagnostics:
        click.echo(render_human(diagnostics, color=wants_color(sys.stderr)), err=True)


def wants_color(stream: TextIO) -> bool:
    """Whether to color: a terminal, and NO_COLOR unset (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR")
