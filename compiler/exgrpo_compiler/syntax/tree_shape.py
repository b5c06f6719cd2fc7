"""Any syntax tree: its nodes in order, and its shape without the places where they stood."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from exgrpo_artifact.record import Record, get_fields
from exgrpo_compiler.source import Span

_PLACES = frozenset({"span", "target_span", "source", "comments", "offsets"})
"""Fields of nodes that say where and not what."""


def strip_places(node: Any) -> Any:
    """A tree as plain tuples: equal for two texts that differ in layout and in `//` comments only."""
    if isinstance(node, Record):
        fields = (name for name in get_fields(type(node)) if name not in _PLACES)
        return (type(node).__name__, *(strip_places(getattr(node, name)) for name in fields))
    if isinstance(node, tuple):
        return tuple(map(strip_places, node))
    return node


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
