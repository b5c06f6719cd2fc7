"""Sums: what a number is added up from, through the names of terms."""

from __future__ import annotations

from collections.abc import Iterator

from exgrpo_artifact.graph import Node, RewardGraph
from exgrpo_artifact.named import NamedTuple

_MAX_SUMMANDS = 64


class Summand(NamedTuple):
    """A part of a sum and whether it is subtracted."""

    node: str
    is_negative: bool


def list_summands(graph: RewardGraph, head: str) -> list[Summand]:
    """The parts of a sum in the order in which they are written; the node itself where it is none."""
    nodes = {node.id: node for node in graph.nodes}
    found: list[Summand] = []
    waiting = [Summand(head, False)]
    while waiting and len(found) < _MAX_SUMMANDS:
        one = waiting.pop()
        node = nodes[one.node]
        if _is_alias(node):
            waiting.append(Summand(node.args[0], one.is_negative))
        elif node.op == "neg":
            waiting.append(Summand(node.args[0], not one.is_negative))
        elif node.op in ("add", "sub"):
            left, right = node.args
            waiting.append(Summand(right, one.is_negative != (node.op == "sub")))
            waiting.append(Summand(left, one.is_negative))
        else:
            found.append(one)
    return found


def find_sums(graph: RewardGraph) -> Iterator[str]:
    """Sums that are no part of another sum."""
    inner: set[str] = set()
    for node in graph.nodes:
        if node.op in ("add", "sub", "neg") or _is_alias(node):
            inner.update(node.args)
    yield from (node.id for node in graph.nodes if node.op in ("add", "sub") and node.id not in inner)


def _is_alias(node: Node) -> bool:
    # A term that is just another term is `default` of it and itself.
    return node.op == "default" and node.args[0] == node.args[1]
