"""Where a diagnostic stands, as tools want it: URIs, paths and ranges. The formats for tools share these."""

from __future__ import annotations

from urllib.parse import quote

from exgrpo_compiler.source import Span


def build_path(name: str, base: str = "") -> str:
    r"""The name of a source with forward slashes, relative to `base` where it lies below it.

    >>> build_path("/team/specs/sums.exg", "/team"), build_path("specs\\sums.exg"), build_path("./sums.exg")
    ('specs/sums.exg', 'specs/sums.exg', 'sums.exg')
    """
    path, root = name.replace("\\", "/"), base.replace("\\", "/").rstrip("/") + "/"
    if base and path.startswith(root):
        path = path[len(root) :]
    while path.startswith("./"):
        path = path[2:]
    return path


def build_uri(name: str, base: str = "") -> str:
    r"""A relative reference, or a `file:` URI where the name is absolute and not below `base`.

    >>> build_uri("my specs/sums.exg"), build_uri("/lib/rules.exg"), build_uri("C:\\lib\\rules.exg")
    ('my%20specs/sums.exg', 'file:///lib/rules.exg', 'file:///C:/lib/rules.exg')
    """
    path = build_path(name, base)
    if path.startswith("/"):
        return f"file://{_quote(path)}"
    if path[1:3] == ":/":
        return f"file:///{path[:2]}{_quote(path[2:])}"
    return _quote(path)


def _quote(path: str) -> str:
    """Percent-encoded bytes, also those of a name that is not UTF-8."""
    return quote(path, errors="surrogateescape")


def convert_range(span: Span) -> dict[str, dict[str, int]]:
    """A span as the Language Server Protocol counts: lines from 0, columns from 0 in UTF-16 units."""
    return {"start": _convert_position(span, span.start), "end": _convert_position(span, span.end)}


def _convert_position(span: Span, offset: int) -> dict[str, int]:
    position = span.source.locate(offset)
    before = span.source.get_line(position.line)[: position.column - 1]
    return {"line": position.line - 1, "character": len(before.encode("utf-16-le", "surrogatepass")) // 2}


def build_region(span: Span) -> dict[str, int]:
    """A span as SARIF counts: lines and columns from 1, in characters, the end excluded."""
    start, end = span.source.locate(span.start), span.source.locate(span.end)
    return {
        "startLine": start.line,
        "startColumn": start.column,
        "endLine": end.line,
        "endColumn": end.column,
    }
