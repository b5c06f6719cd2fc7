"""Diagnostics as workflow commands of GitHub Actions, which show them at their lines in a pull request.

    ::error file=specs/sums.exg,line=3,col=5,endLine=3,endColumn=9,title=unknown-name::There is no `oucome` here.

Columns are left out where a span goes over several lines: an annotation has them on one line only.
"""

from __future__ import annotations

from collections.abc import Sequence

from exgrpo_compiler.diagnostics import Diagnostic
from exgrpo_compiler.hints import find_hint
from exgrpo_compiler.render.places import build_path


def render_github(diagnostics: Sequence[Diagnostic], base: str = "") -> str:
    """One command a line; an empty text if there is none. Paths below the directory `base` become relative to it."""
    return "".join(_build_command(diagnostic, base) + "\n" for diagnostic in diagnostics)


def _build_command(diagnostic: Diagnostic, base: str) -> str:
    span = diagnostic.span
    start, end = span.source.locate(span.start), span.source.locate(span.end)
    properties: dict[str, object] = {"file": build_path(span.source.name, base), "line": start.line}
    if start.line == end.line:
        properties["col"] = start.column
    properties["endLine"] = end.line
    if start.line == end.line:
        properties["endColumn"] = end.column
    properties["title"] = diagnostic.id
    hint = find_hint(diagnostic)
    text = diagnostic.message if hint is None else f"{diagnostic.message}\nhint: {hint}"
    shown = ",".join(f"{name}={_escape_property(str(value))}" for name, value in properties.items())
    return f"::{diagnostic.severity} {shown}::{_escape(text)}"


def _escape(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    return _escape(text).replace(":", "%3A").replace(",", "%2C")
