"""Evaluating plain graphs: field mappings, `applies_when`, filters, cuts. Rewards are in exgrpo_artifact.rewards."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from exgrpo_artifact.graph import Graph, Node, RewardGraph
from exgrpo_artifact.operations import EXTERNAL_FUNCTIONS, apply_operation
from exgrpo_artifact.rewards import (
    Judgement,
    Rollout,
    Scores,
    aggregate_values,
    collect_judgements,
    evaluate_reward,
)
from exgrpo_artifact.values import NOT_APPLICABLE, Failed, Value

__all__ = [
    "Judgement",
    "Rollout",
    "Scores",
    "collect_judgements",
    "evaluate_arguments",
    "evaluate_graph",
    "evaluate_reward",
    "find_external_nodes",
]


@dataclass(frozen=True, slots=True)
class _Scope:
    """What the leaves of a graph stand for."""

    row: Mapping[str, Any] | None
    item: Mapping[str, Any] | None
    probe: Mapping[str, Any] | None
    probes: Sequence[Any] | None
    k: int | None
    external: Mapping[str, Value]
    rng: random.Random | None
    values: dict[str, Value] = field(default_factory=dict)


def evaluate_graph(
    graph: Graph,
    *,
    row: Mapping[str, Any] | None = None,
    item: Mapping[str, Any] | None = None,
    probe: Mapping[str, Any] | None = None,
    probes: Sequence[Any] | None = None,
    k: int | None = None,
    external: Mapping[str, Value] | None = None,
    rng: random.Random | None = None,
) -> Value:
    """The graph's value.

    Args:
        graph: any graph but a reward's.
        row: the source row, for `column` nodes; a column that it lacks is not-applicable.
        item: the typed fields of the row, for `item` nodes.
        probe: the fields of the probe at hand.
        probes: the probes left of the row.
        k: number of probes sampled, in cuts.
        external: values of nodes that need a model, by node id; one that is absent is failed.
        rng: where `uniform` draws from.
    """
    scope = _Scope(row, item, probe, probes, k, external or {}, rng)
    for node in graph.nodes:
        scope.values[node.id] = _evaluate_node(node, scope)
    return scope.values[graph.result]


def evaluate_arguments(
    graph: Graph,
    node_id: str,
    *,
    item: Mapping[str, Any] | None = None,
    probe: Mapping[str, Any] | None = None,
    probes: Sequence[Any] | None = None,
    external: Mapping[str, Value] | None = None,
) -> list[Value]:
    """Values of the arguments of one node, to ask a model about."""
    scope = _Scope(None, item, probe, probes, None, external or {}, None)
    for node in graph.nodes:
        if node.id == node_id:
            return [scope.values[arg] for arg in node.args]
        scope.values[node.id] = _evaluate_node(node, scope)
    raise KeyError(node_id)


def find_external_nodes(graph: Graph | RewardGraph) -> tuple[Node, ...]:
    """The nodes whose value needs a model, in evaluation order."""
    return tuple(node for node in graph.nodes if is_external(node))


def is_external(node: Node) -> bool:
    """Whether the node's value needs a model."""
    return node.op == "call" and node.params["fn"] in EXTERNAL_FUNCTIONS


def _evaluate_node(node: Node, scope: _Scope) -> Value:
    if is_external(node):
        return scope.external.get(node.id, Failed(f"`{node.params['fn']}` was not asked"))
    args = [scope.values[arg] for arg in node.args]
    if node.op == "aggregate":
        return _aggregate(node, args)
    if node.op == "call" and node.params["fn"] == "uniform":
        return _draw_uniform(args, scope.rng)
    if node.op in ("const", "column", "item", "probe", "probes", "k"):
        return _read_leaf(node, scope)
    return apply_operation(node.op, args, node.params)


def _read_leaf(node: Node, scope: _Scope) -> Value:
    if node.op == "const":
        value: Value = node.params["value"]
        return value
    if node.op == "column":
        return _look_up(scope.row, node.params["name"])
    if node.op == "item":
        return _look_up(scope.item, node.params["field"])
    if node.op == "probe":
        return _look_up(scope.probe, node.params["field"])
    whole: Value = list(scope.probes) if node.op == "probes" and scope.probes is not None else scope.k
    return NOT_APPLICABLE if whole is None else whole


def _look_up(record: Mapping[str, Any] | None, name: str) -> Value:
    return NOT_APPLICABLE if record is None else record.get(name, NOT_APPLICABLE)


def _aggregate(node: Node, args: Sequence[Value]) -> Value:
    values, where = args[0], args[1] if len(args) > 1 else 1
    if isinstance(values, Failed) or values is NOT_APPLICABLE:
        return values
    if not isinstance(values, list):
        return Failed(f"`{node.params['fn']}` needs a list")
    conditions: Iterable[Value] = where if isinstance(where, list) else [where] * len(values)
    return aggregate_values(node.params["fn"], list(zip(values, conditions, strict=True)))


def _draw_uniform(args: Sequence[Value], rng: random.Random | None) -> Value:
    low, high = args
    if rng is None or not isinstance(low, int | float) or not isinstance(high, int | float):
        return Failed("`uniform` needs two numbers and a generator")
    # An empty range (one probe, so k - 1 = 0) has its lower end as the only value.
    return rng.randint(int(low), max(int(low), int(high)))
