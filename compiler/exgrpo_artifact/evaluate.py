"""Evaluation of graphs outside rewards: field mappings, `applies_when`, filters, cuts.

Rewards, which also have levels and judges, are evaluated by exgrpo_artifact.rewards; its names are importable here.
Invariant: pure. What a model answers is told from outside, by the id of the node that asks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from exgrpo_artifact.aggregates import aggregate_list
from exgrpo_artifact.draws import draw_bernoulli, draw_uniform
from exgrpo_artifact.errors import ArtifactError, InternalError
from exgrpo_artifact.graph import Graph, Node, RewardGraph
from exgrpo_artifact.judgements import Judgement, collect_judgements
from exgrpo_artifact.operations import apply_operation, is_external
from exgrpo_artifact.rewards import Rollout, Scores, evaluate_reward, list_turn_values
from exgrpo_artifact.values import Failed, Value, clean_value, find_gap, read_path

if TYPE_CHECKING:
    import random

__all__ = [
    "Judgement",
    "Rollout",
    "Scores",
    "collect_judgements",
    "evaluate_arguments",
    "evaluate_graph",
    "evaluate_reward",
    "find_external_nodes",
    "list_turn_values",
]


def evaluate_graph(
    graph: Graph,
    *,
    row: Mapping[str, Any] | None = None,
    item: Mapping[str, Any] | None = None,
    probe: Mapping[str, Any] | None = None,
    probes: Sequence[Mapping[str, Any]] | None = None,
    k: int | None = None,
    external: Mapping[str, Value] | None = None,
    rng: random.Random | None = None,
) -> Value:
    """The value of the graph's result.

    Args:
        graph: has no rollout nodes.
        row: columns of the source row; a column that is absent or null is not-applicable.
        item: fields of the row.
        probe: fields of the probe at hand.
        probes: the probes of the row that are left.
        k: number of probes sampled.
        external: values of external nodes by node id; one that is absent is failed.
        rng: what `uniform` and `bernoulli` draw from.

    Raises:
        ArtifactError: the graph has an unknown operation, or a node that stands before its argument.
        InternalError: the graph needs something that the caller did not give.
    """
    given = _Given(row, item, probe, probes, k, external or {}, rng)
    return _evaluate_nodes(graph, given)[graph.result]


def evaluate_arguments(
    graph: Graph,
    node_id: str,
    *,
    row: Mapping[str, Any] | None = None,
    item: Mapping[str, Any] | None = None,
    probe: Mapping[str, Any] | None = None,
    probes: Sequence[Mapping[str, Any]] | None = None,
    k: int | None = None,
    external: Mapping[str, Value] | None = None,
    rng: random.Random | None = None,
) -> list[Value]:
    """Values of the arguments of one node, such as what an external node asks about; see `evaluate_graph`."""
    given = _Given(row, item, probe, probes, k, external or {}, rng)
    values = _evaluate_nodes(graph, given)
    node = next(node for node in graph.nodes if node.id == node_id)
    return [values[arg] for arg in node.args]


def find_external_nodes(graph: Graph | RewardGraph) -> tuple[Node, ...]:
    """The nodes whose value a model gives, in evaluation order."""
    return tuple(node for node in graph.nodes if is_external(node))


class _Given:
    """What the leaves of a graph read."""

    def __init__(
        self,
        row: Mapping[str, Any] | None,
        item: Mapping[str, Any] | None,
        probe: Mapping[str, Any] | None,
        probes: Sequence[Mapping[str, Any]] | None,
        k: int | None,
        external: Mapping[str, Value],
        rng: random.Random | None,
    ) -> None:
        self._records = {"column": row, "item": item, "probe": probe}
        self._wholes = {"probes": None if probes is None else list(probes), "k": k}
        self.external = external
        self._rng = rng

    def read_leaf(self, node: Node) -> Value:
        if node.op == "const":
            return clean_value(node.params["value"])
        if node.op in self._wholes:
            return _require(self._wholes[node.op], node)  # type: ignore[no-any-return]
        record = _require(self._records[node.op], node)
        if node.op == "column":
            return clean_value(record.get(node.params["name"]))
        return clean_value(read_path(record, node.params["field"]))

    def require_rng(self, node: Node) -> random.Random:
        return _require(self._rng, node)  # type: ignore[no-any-return]


def _require(given: Any, node: Node) -> Any:
    if given is None:
        raise InternalError(f"node `{node.id}` needs `{node.op}`, which was not given. Please report this.")
    return given


_LEAVES = frozenset({"const", "column", "item", "probe", "probes", "k"})


def _evaluate_nodes(graph: Graph, given: _Given) -> dict[str, Value]:
    values: dict[str, Value] = {}
    for node in graph.nodes:
        try:
            args = [values[arg] for arg in node.args]
        except KeyError as error:
            raise ArtifactError(
                f"the artifact is malformed: node `{node.id}` stands before its argument {error}. Compile again."
            ) from error
        values[node.id] = _evaluate_node(node, args, given)
    if graph.result not in values:
        raise ArtifactError(f"the artifact is malformed: it has no node `{graph.result}`. Compile again.")
    return values


def _evaluate_node(node: Node, args: list[Value], given: _Given) -> Value:
    if node.op in _LEAVES:
        return given.read_leaf(node)
    if node.op == "aggregate":
        return aggregate_list(node.params["fn"], args)
    if is_external(node):
        gap = find_gap(args)
        missing = Failed(f"`{node.params['fn']}` was not answered")
        return gap if gap is not None else clean_value(given.external.get(node.id, missing))
    if node.op == "call" and node.params.get("fn") == "uniform":
        return draw_uniform(args[0], args[1], given.require_rng(node))
    if node.op == "call" and node.params.get("fn") == "bernoulli":
        return draw_bernoulli(args[0], str(given.require_rng(node).random()))
    return apply_operation(node.op, args, node.params)
