"""What the syntax tree knows and tokens do not: where imports, declarations and statements begin."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from exgrpo_artifact.record import Record, get_fields
from exgrpo_compiler import ast
from exgrpo_compiler.source import Span

Starts = dict[int, str]
"""Offset of a node's first token -> class of the node."""


def find_starts(spec: ast.SpecFile) -> Starts:
    """Where everything that separators may stand between begins, in a file without syntax errors."""
    starts: Starts = {}
    for root in (*spec.uses, *spec.decls):
        starts[root.span.start] = type(root).__name__
        for node in walk_tree(root):
            if isinstance(node, ast.Block):
                starts.update({inner.span.start: type(inner).__name__ for inner in node.statements})
            elif isinstance(node, ast.YieldsStmt):
                starts.update({field.span.start: "YieldField" for field in node.fields})
    return starts


def walk_tree(node: Any) -> Iterator[Record]:
    """A node and all nodes in it, without spans."""
    todo = [node]
    while todo:
        value = todo.pop()
        if isinstance(value, tuple):
            todo.extend(reversed(value))
        elif isinstance(value, Record) and not isinstance(value, Span):
            yield value
            todo.extend(getattr(value, name) for name in reversed(get_fields(type(value))))
