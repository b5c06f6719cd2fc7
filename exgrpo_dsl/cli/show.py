"""Printing diagnostics for a person or for a machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from exgrpo_compiler.diagnostics import Diagnostic

FORMATS: Final = ("human", "json", "sarif", "github")
MAX_SHOWN: Final = 20
"""Diagnostics of one file that a person is shown at once; tools get all of them."""


def merge_reports(reports: Iterable[Iterable[Diagnostic]]) -> tuple[Diagnostic, ...]:
    """The diagnostics of several specs, those of a file that they share once."""
    found = (diagnostic for report in reports for diagnostic in report)
    places = {
        (each.span.source.name, each.span.start, each.span.end, each.id, each.message): each for each in found
    }
    return tuple(places.values())


def show_diagnostics(diagnostics: Sequence[Diagnostic], format_: str = "human") -> None:
    """Prints all diagnostics of a command: for a person to stderr, for a machine to stdout.

    A SARIF log is written also where nothing was found. What prints is imported only when it is needed.
    """
    if format_ == "human":
        if diagnostics:
            _show_human(diagnostics)
        return
    _write(sys.stdout, _render_for_tools(diagnostics, format_))


def wants_color(stream: TextIO) -> bool:
    """Whether to color: a terminal that is not dumb, or FORCE_COLOR; but never with NO_COLOR (no-color.org)."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR", "0") not in ("", "0"):
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def _show_human(diagnostics: Sequence[Diagnostic]) -> None:
    from exgrpo_compiler.render.human import render_advice, render_human

    color = wants_color(sys.stderr)
    shown = f"{render_human(diagnostics, color, MAX_SHOWN)}\n{render_advice(diagnostics)}\n"
    if not sys.stderr.isatty():
        _write(sys.stderr, shown)
        return
    from exgrpo_dsl.cli.terminal import print_on_terminal

    _write(sys.stderr, "")
    print_on_terminal(shown, sys.stderr, color=color)


def _write(stream: TextIO, text: str) -> None:
    """Writes UTF-8 whatever the locale says: the excerpts are UTF-8, and JSON is by definition."""
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    stream.write(text)
    stream.flush()


def _render_for_tools(diagnostics: Sequence[Diagnostic], format_: str) -> str:
    base = str(Path.cwd())
    if format_ == "json":
        from exgrpo_compiler.render.json_lines import render_json

        return render_json(diagnostics, base)
    if format_ == "sarif":
        from exgrpo_compiler.render.sarif import render_sarif

        return render_sarif(diagnostics, base)
    from exgrpo_compiler.render.github import render_github

    return render_github(diagnostics, base)
