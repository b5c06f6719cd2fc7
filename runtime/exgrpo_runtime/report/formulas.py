"""Graphs of rewards and conditions written out as a reader would: `0.5 if p_full > p_part else 0`."""

from __future__ import annotations

import json
from collections.abc import Mapping

from exgrpo_artifact.graph import Graph, Node, RewardGraph

_INFIX = {
    "add": "+",
    "sub": "\u2212",
    "mul": "\u00d7",
    "div": "/",
    "eq": "=",
    "ne": "\u2260",
    "lt": "<",
    "le": "\u2264",
    "gt": ">",
    "ge": "\u2265",
    "and": "and",
    "or": "or",
}
_BINDING = {"or": 1, "and": 2, "not": 3, "add": 5, "sub": 5, "mul": 6, "div": 6, "neg": 7}
"""How tightly an operation binds; comparisons are 4, `if` and `default` 0, the rest 9."""
_STATIC = ("fn", "answer")
"""Parameters of a call that are not worth a reader's time: the name itself and how an answer is extracted."""


def describe_terms(reward: RewardGraph) -> dict[str, str]:
    """Term -> its formula, in which other terms stand by name."""
    nodes = {node.id: node for node in reward.nodes}
    return {
        name: _write_node(nodes[name], nodes, frozenset(reward.terms))
        for name in reward.terms
        if name in nodes
    }


def write_formula(graph: Graph) -> str:
    """The graph's value as one formula."""
    nodes = {node.id: node for node in graph.nodes}
    return _write_node(nodes[graph.result], nodes, frozenset())


def _bind(op: str) -> int:
    if op in ("if", "default"):
        return 0
    return _BINDING.get(op, 4 if op in _INFIX else 9)


def _write_node(node: Node, nodes: Mapping[str, Node], terms: frozenset[str]) -> str:
    def plain(name: str) -> str:
        return name if name in terms else _write_node(nodes[name], nodes, terms)

    def inner(i: int) -> str:
        """The argument, in brackets where it does not bind more tightly than the node itself."""
        name = node.args[i]
        binds = 9 if name in terms else _bind(nodes[name].op)
        return plain(name) if binds > _bind(node.op) else f"({plain(name)})"

    arguments = [plain(name) for name in node.args]
    if node.op in _INFIX:
        return f" {_INFIX[node.op]} ".join(inner(i) for i in range(len(node.args)))
    match node.op:
        case "const":
            value = node.params.get("value")
            return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        case "item" | "probe" | "column":
            return f"{node.op}.{node.params.get('field', node.params.get('name', ''))}"
        case "turn":
            return str(node.params.get("name", "turn"))
        case "if":
            return f"{inner(1)} if {inner(0)} else {inner(2)}"
        case "default":
            return f"{inner(0)} else {inner(1)}"
        case "not":
            return f"not {inner(0)}"
        case "neg":
            return f"\u2212{inner(0)}"
        case "list":
            return f"[{', '.join(arguments)}]"
        case "aggregate":
            where = f" where {arguments[1]}" if len(arguments) > 1 else ""
            return f"{node.params.get('fn')}({arguments[0]}{where})"
        case "call":
            named = [f"{key}: {value}" for key, value in node.params.items() if key not in _STATIC]
            return f"{node.params.get('fn')}({', '.join([*arguments, *named])})"
        case _:
            return node.op
