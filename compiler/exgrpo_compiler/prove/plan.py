"""A reward graph prepared for inference: equal nodes made one, and which nodes are about the same rollout and turn.

A node that is assumed to be 1 at a rollout is 1 there and nowhere else: an aggregate over the group goes over other rollouts too, so
the assumption does not reach its members. `same[i]` holds the nodes that node i sees at its own place, as bits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from exgrpo_artifact.graph import Level, Node, RewardGraph
from exgrpo_artifact.levels import ORDER, Place, place_nodes
from exgrpo_artifact.operations import is_external

_NUMBERS: Final[Mapping[Level, int]] = {level: at for at, level in enumerate(ORDER)}
OUTSIDE: Final = len(ORDER)
"""Coarser than every level: no assumption is being made."""


class Plan:
    """Columns by position in evaluation order; `index` gives the position of a node's id, the same for equal nodes."""

    def __init__(self, graph: RewardGraph) -> None:
        self.ids: list[str] = []
        self.ops: list[str] = []
        self.args: list[tuple[int, ...]] = []
        self.params: list[Mapping[str, Any]] = []
        self.levels: list[int] = []
        self.members: list[int | None] = []
        """Of an aggregate: the level that it goes over."""
        self.same: list[int] = []
        self.inputs: list[int] = []
        """Arguments as bits, and the scenario where it counts."""
        self.below: list[int] = []
        """Everything that a node is computed from, and itself."""
        self.users: list[int] = []
        """Nodes that have this one among their arguments, at the same place."""
        self.index: dict[str, int] = {}
        self.terms: frozenset[str] = frozenset(graph.terms)
        self.substitute = graph.on_failure.value if graph.on_failure.action == "value" else None
        self.scenario: int | None = None
        self._coarser = [0] * (len(ORDER) + 1)
        self._known: dict[Any, int] = {}
        places = place_nodes(graph.nodes)
        # Leaves first, so that turns can be counted by a scenario that is named after them.
        for node in sorted(graph.nodes, key=lambda one: one.op != "scenario"):
            self._add(node, places[node.id])
        self.size = len(self.ids)
        self.roots: Sequence[int] = self._find_roots(graph)

    def fill(self, graph: RewardGraph) -> Plan:
        """The plan of a graph that differs in literals only, and has equal ones where this one has."""
        filled = object.__new__(Plan)
        vars(filled).update(vars(self))
        filled.params = self.params.copy()
        for node in graph.nodes:
            if node.op == "const":
                filled.params[self.index[node.id]] = node.params
        return filled

    def get_bit(self, node_id: str) -> int:
        """The node as a bit."""
        return 1 << self.index[node_id]

    def is_term(self, at: int) -> bool:
        """Whether a term is named after the node."""
        return self.ids[at] in self.terms

    def is_replaced(self, at: int) -> bool:
        """Whether a value stands in for the node where it fails."""
        return self.substitute is not None and self.is_term(at)

    def _add(self, node: Node, place: Place) -> None:
        args = tuple(self.index[arg] for arg in node.args)
        known = self._find_equal(node, args)
        if known is not None:
            self.index[node.id] = known
            return
        at = len(self.ids)
        self.index[node.id] = at
        self.ids.append(node.id)
        self.ops.append(node.op)
        self.args.append(args)
        self.params.append(node.params)
        level = _NUMBERS[place.level]
        members = None if place.members is None else _NUMBERS[place.members]
        self.levels.append(level)
        self.members.append(members)
        self.users.append(0)
        if node.op == "scenario":
            self.scenario = at
        for coarser in range(level):
            self._coarser[coarser] |= 1 << at
        self.same.append(self._link(at, args, members))
        inputs, below = 0, 1 << at
        for arg in args:
            inputs |= 1 << arg
            below |= self.below[arg]
        if self._counts_turns(at) and self.scenario is not None:
            inputs |= 1 << self.scenario
            below |= 1 << self.scenario
        self.inputs.append(inputs)
        self.below.append(below)

    def _link(self, at: int, args: Sequence[int], members: int | None) -> int:
        seen = 0
        for arg in args:
            seen |= self.same[arg]
            if members is None or self.levels[arg] > members:
                self.users[arg] |= 1 << at
        if members is not None:
            seen &= self._coarser[members]
        if self._counts_turns(at) and self.scenario is not None:
            seen |= 1 << self.scenario
            self.users[self.scenario] |= 1 << at
        return seen | 1 << at

    def _counts_turns(self, at: int) -> bool:
        """Whether it depends on how many turns there are, and so on the scenario."""
        return self.ops[at] == "num_turns" or self.members[at] == _NUMBERS["turn"]

    def _find_equal(self, node: Node, args: tuple[int, ...]) -> int | None:
        is_own = self.substitute is not None and node.id in self.terms
        if node.op == "default" and args[0] == args[1] and (not is_own or self.is_term(args[0])):
            return args[0]
        if is_external(node) or node.params.get("fn") == "bernoulli":
            return None
        level = node.level if node.op in ("const", "turn") else ""
        key = (node.op, args, repr(node.params) if node.params else "", level, is_own)
        if key in self._known:
            return self._known[key]
        self._known[key] = len(self.ids)
        return None

    def _find_roots(self, graph: RewardGraph) -> Sequence[int]:
        """Nodes whose value is asked for: terms, and what aggregates go over."""
        roots = dict.fromkeys(self.index[term] for term in graph.terms)
        for members, args in zip(self.members, self.args, strict=True):
            if members is not None:
                roots.update(dict.fromkeys(args))
        return tuple(roots)
