"""Diagrams and reward graphs as JSON: `exgrpo schema graph` describes it."""

from __future__ import annotations

import math
from typing import Any

from exgrpo_artifact.canonical import to_plain
from exgrpo_compiler.draw.diagram import Diagram
from exgrpo_compiler.draw.reward import Inferred
from exgrpo_compiler.prove.interval import Interval, describe_interval


def build_diagram(diagram: Diagram) -> dict[str, Any]:
    """A diagram: its boxes and arrows."""
    plain: dict[str, Any] = to_plain(diagram)
    return plain


def build_reward(inferred: Inferred) -> dict[str, Any]:
    """A reward's graph, node by node, with levels and intervals."""
    graph = inferred.graph
    return {
        "name": graph.name,
        "dialogue": graph.dialogue,
        "range": list(graph.range),
        "terms": list(graph.terms),
        "nodes": [
            {
                "id": node.id,
                "op": node.op,
                "args": list(node.args),
                "params": to_plain(node.params),
                "level": node.level,
                "interval": _build_interval(inferred.intervals[node.id]),
            }
            for node in graph.nodes
        ],
    }


def _build_interval(one: Interval) -> dict[str, Any]:
    is_number = one.kind == "number" and not one.is_empty
    return {
        "text": describe_interval(one),
        "low": one.low if is_number and math.isfinite(one.low) else None,
        "high": one.high if is_number and math.isfinite(one.high) else None,
        "mayBeMissing": one.may_be_missing,
        "mayFail": one.may_fail,
    }
