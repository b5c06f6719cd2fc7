"""What the parser read, as text for people and for comparisons: tokens in order, and the syntax tree.

Both are stable: the same source gives the same text, and places are `line:column`, the last one excluded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from exgrpo_artifact.record import Record, get_fields
from exgrpo_compiler.ast import SpecFile
from exgrpo_compiler.source import Source, Span
from exgrpo_compiler.syntax.lex import scan_text

_INDENT = "  "


def dump_tokens(source: Source) -> str:
    """Every token, comment and broken piece of a text, one a line: place, kind, text.

    >>> print(dump_tokens(Source("a.exg", "exg 1 // x", "a")))
    1:1-1:4     exg      'exg'
    1:5-1:6     number   '1'
    1:7-1:11    comment  '// x'
    """
    return "\n".join(
        f"{_show_place(Span(source, start, end)):<11} {kind.lower():<8} {text!r}"
        for kind, text, start, end in scan_text(source.text)
    )


def dump_ast(spec: SpecFile) -> str:
    """The syntax tree, a node a line with its place and plain fields, what it is made of beneath it.

    Lists are shown as their items, absent parts not at all, comments last.
    """
    lines = [f"SpecFile edition={spec.edition}"]
    for name in ("uses", "decls", "comments"):
        for node in getattr(spec, name):
            lines.extend(_show_node(node, 1, ""))
    if spec.lost_names:
        lines.append(f"{_INDENT}lost_names={sorted(spec.lost_names)!r}")
    return "\n".join(lines)


def _show_node(node: Record, depth: int, label: str) -> Iterator[str]:
    fields = {name: getattr(node, name) for name in get_fields(type(node)) if name not in ("span", "offsets")}
    parts = {name: value for name, value in fields.items() if _is_part(value)}
    plain = "".join(
        f" {name}={value!r}"
        for name, value in fields.items()
        if name not in parts and not _is_absent(value) and not isinstance(value, Span)
    )
    span = getattr(node, "span", None)
    place = f" {_show_place(span)}" if isinstance(span, Span) else ""
    yield f"{_INDENT * depth}{label}{type(node).__name__}{place}{plain}"
    for name, value in parts.items():
        for item in value if isinstance(value, tuple) else (value,):
            yield from _show_node(item, depth + 1, f"{name}: ")


def _is_part(value: Any) -> bool:
    if isinstance(value, tuple):
        return bool(value) and isinstance(value[0], Record)
    return isinstance(value, Record) and not isinstance(value, Span)


def _is_absent(value: Any) -> bool:
    return value is None or value is False or value == "" or value == ()


def _show_place(span: Span) -> str:
    start, end = span.source.locate(span.start), span.source.locate(span.end)
    return f"{start.line}:{start.column}-{end.line}:{end.column}"
