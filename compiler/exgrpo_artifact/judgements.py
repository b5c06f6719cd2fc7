"""Which judgements a reward needs before it can be evaluated.

Only what can matter is asked for: a branch that a known condition rules out is not, so `judge.score(…) if outcome == 1
else 0` pays for right rollouts only. Where a condition itself waits for a judge, or for a mean of the group that dropped
rollouts may still change, both branches are asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from exgrpo_artifact.graph import Node, RewardGraph
from exgrpo_artifact.operations import apply_operation, is_external
from exgrpo_artifact.record import Record, replace
from exgrpo_artifact.reward_table import RewardTable, Rollout, make_key
from exgrpo_artifact.values import NOT_APPLICABLE, Failed, Value, find_gap

Demand = tuple[str, int | None, int | None]
"""A node at a place."""


class Judgement(Record):
    """One question to a judge."""

    key: str
    """Where `evaluate_reward` looks for the answer."""
    node: str
    rollout: int
    """Index in the group; 0 where the question is the same for all of them."""
    turn: int | None
    """Index of the probe, for a turn inside `for`."""
    fn: str
    """`judge.score`, `judge.same` or `similarity`."""
    params: dict[str, Any]
    """The node's: `rubric`, `model`; of `similarity` `id` and `revision`."""
    arguments: tuple[Value, ...]
    """Values of the node's arguments, all known."""


def collect_judgements(
    reward: RewardGraph, item: Mapping[str, Any], rollouts: Sequence[Rollout]
) -> tuple[Judgement, ...]:
    """What to ask judges about these rollouts, in the order of rollouts, nodes, turns; each question once.

    Raises:
        ArtifactError: the graph is malformed.
    """
    if not any(is_external(node) for node in reward.nodes):
        return ()
    table = RewardTable(reward, item, rollouts, {}, is_active=[True] * len(rollouts))
    order = {node.id: at for at, node in enumerate(reward.nodes)}
    found = [
        _make_judgement(table, *demand)
        for demand in _find_demands(table)
        if is_external(table.get_node(demand[0]))
    ]
    known = [judgement for judgement in found if judgement is not None]
    return tuple(sorted(known, key=lambda one: (one.rollout, order[one.node], one.turn or 0)))


def restrict_reward(reward: RewardGraph, term: str) -> RewardGraph:
    """The reward with `term` as its only term, and only the nodes that it is computed from.

    So a judge is not paid for, and no failure of another term counts, when only the outcome is asked for.
    """
    nodes = {node.id: node for node in reward.nodes}
    needed: set[str] = set()
    waiting = [term]
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += nodes[name].args
    kept = tuple(node for node in reward.nodes if node.id in needed)
    return replace(reward, nodes=kept, terms=(term,), result=term)


def _find_demands(table: RewardTable) -> set[Demand]:
    """Every node at every place that a term may need."""
    waiting: list[Demand] = [
        (term, *place) for term in table.reward.terms for place in table.iterate_places(term)
    ]
    seen: set[Demand] = set()
    while waiting:
        node_id, rollout, turn = waiting.pop()
        level = table.places[node_id].level
        demand = (
            node_id,
            rollout if level in ("turn", "rollout") else None,
            turn if level == "turn" else None,
        )
        if demand not in seen:
            seen.add(demand)
            waiting += _find_needed(table, table.get_node(node_id), demand[1], demand[2])
    return seen


def _find_needed(table: RewardTable, node: Node, rollout: int | None, turn: int | None) -> list[Demand]:
    if node.op == "aggregate" and table.places[node.id].members is not None:
        return _find_members(table, node, rollout)
    args = node.args
    if node.op == "if":
        truth = _settle(table, args[0], rollout, turn)
        args = args if truth is None else (args[0], args[1] if truth else args[2])
    elif node.op == "default":
        value = table.read(args[0], rollout, turn)
        is_open = isinstance(value, Failed) or value is NOT_APPLICABLE or table.places[args[0]].stratum > 0
        args = args if is_open else args[:1]
    elif node.op in ("and", "or"):
        truths = [_settle(table, arg, rollout, turn) for arg in args]
        deciding = node.op == "or"
        args = (args[truths.index(deciding)],) if deciding in truths else args
    return [(arg, rollout, turn) for arg in args]


def _settle(table: RewardTable, node_id: str, rollout: int | None, turn: int | None) -> bool | None:
    """Whether a condition is met, None where that is still open."""
    value = table.read(node_id, rollout, turn)
    truth = apply_operation("if", [value, True, False], {})
    return None if isinstance(truth, Failed) or table.places[node_id].stratum > 0 else truth is True


def _find_members(table: RewardTable, node: Node, rollout: int | None) -> list[Demand]:
    needed: list[Demand] = []
    for at in table.iterate_members(node, rollout):
        needed += [(arg, *at) for arg in node.args[1:]]
        is_met = _settle(table, node.args[1], *at) if len(node.args) > 1 else True
        if is_met is not False:
            needed.append((node.args[0], *at))
    return needed


def _make_judgement(
    table: RewardTable, node_id: str, rollout: int | None, turn: int | None
) -> Judgement | None:
    node = table.get_node(node_id)
    arguments = [table.read(arg, rollout, turn) for arg in node.args]
    if find_gap(arguments) is not None:
        return None
    key = make_key(node_id, rollout, turn)
    return Judgement(key, node_id, rollout or 0, turn, node.params["fn"], dict(node.params), tuple(arguments))
