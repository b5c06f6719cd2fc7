"""Every value of a reward graph at every place: per group, rollout, or turn.

A place is (rollout, turn), both None where the level has none. All nodes are computed once, in evaluation order; what is
lazy in the language (`if`, `and`, `default`) is a choice among values here, which comes to the same in a language without
effects. Only group aggregates look at which rollouts are active.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from exgrpo_artifact.aggregates import aggregate_list, aggregate_values
from exgrpo_artifact.draws import draw_bernoulli
from exgrpo_artifact.graph import Node, RewardGraph
from exgrpo_artifact.levels import Place, place_nodes
from exgrpo_artifact.operations import apply_operation, is_external
from exgrpo_artifact.record import Record
from exgrpo_artifact.values import NOT_APPLICABLE, Failed, Value, clean_value, find_gap, read_path


class Rollout(Record):
    """What a reward sees of one dialogue."""

    scenario: str
    turns: Mapping[str, str | tuple[str, ...] | None]
    """Texts of the assistant turns by name; a tuple for a turn inside `for`; None for one that was left out."""
    tokens: int
    """Sampled by the student, all turns together."""
    num_turns: int
    """Assistant turns."""
    seed: int
    """What the rollout's `bernoulli` draws depend on."""


class RewardTable:
    """Values of one reward over one group."""

    def __init__(
        self,
        reward: RewardGraph,
        item: Mapping[str, Any],
        rollouts: Sequence[Rollout],
        judgements: Mapping[str, Value],
        *,
        is_active: Sequence[bool],
        neutralise: frozenset[str] = frozenset(),
        substitute: float | None = None,
    ) -> None:
        """Computes all values.

        Args:
            reward: the graph.
            item: fields of the row.
            rollouts: of the group.
            judgements: by key; see `make_key`.
            is_active: whether a rollout counts in aggregates over the group.
            neutralise: terms that are 0 wherever they have a value.
            substitute: what a failed term becomes; None leaves it failed.
        """
        self.reward = reward
        self.places = place_nodes(reward.nodes)
        self.num_rollouts = len(rollouts)
        self.active = [at for at, is_one in enumerate(is_active) if is_one]
        self.num_strata = 1 + max((place.stratum for place in self.places.values()), default=0)
        self._item = item
        self._rollouts = rollouts
        self._judgements = judgements
        self._neutralise = neutralise
        self._substitute = substitute
        self.substituted: list[str] = []
        """Why a failed term took the value that the reward declares, once for each place at which it did."""
        self._nodes = {node.id: node for node in reward.nodes}
        self._terms = frozenset(reward.terms)
        self._num_turns = [_count_turns(rollout) for rollout in rollouts]
        self._values: dict[tuple[str, int | None, int | None], Value] = {}
        for node in reward.nodes:
            for rollout, turn in self.iterate_places(node.id):
                self._values[node.id, rollout, turn] = self._settle(node, self._compute(node, rollout, turn))

    def get_node(self, node_id: str) -> Node:
        """The node."""
        return self._nodes[node_id]

    def iterate_places(self, node_id: str) -> Iterable[tuple[int | None, int | None]]:
        """Every place at which the node has a value."""
        level = self.places[node_id].level
        if level == "turn":
            return [(at, turn) for at, count in enumerate(self._num_turns) for turn in range(count)]
        if level == "rollout":
            return [(at, None) for at in range(self.num_rollouts)]
        return [(None, None)]

    def read(self, node_id: str, rollout: int | None, turn: int | None) -> Value:
        """The node's value as seen from a place that is as fine as the node's own, or finer."""
        level = self.places[node_id].level
        if level == "turn":
            return self._values[node_id, rollout, turn]
        return self._values[node_id, rollout if level == "rollout" else None, None]

    def iterate_members(self, node: Node, rollout: int | None) -> Iterable[tuple[int | None, int | None]]:
        """The places that an aggregate goes over. Turns of this rollout, or the active rollouts."""
        if self.places[node.id].members == "turn":
            assert rollout is not None, "an aggregate of turns is at rollout level"
            return [(rollout, turn) for turn in range(self._num_turns[rollout])]
        return [(at, None) for at in self.active]

    def is_member(self, node: Node, rollout: int | None, turn: int | None) -> Value:
        """Whether the aggregate's `where` is met there; failed where that failed."""
        if len(node.args) == 1:
            return True
        return apply_operation("if", [self.read(node.args[1], rollout, turn), True, False], {})

    def summarize(self, term: str, rollout: int) -> Value:
        """The term as one value of the rollout: a turn's is the mean over its turns."""
        if self.places[term].level != "turn":
            return self.read(term, rollout, None)
        return aggregate_values("mean", self.list_turns(term, rollout))

    def list_turns(self, term: str, rollout: int) -> list[Value]:
        """The values of a turn's term in each turn of the rollout."""
        return [self.read(term, rollout, turn) for turn in range(self._num_turns[rollout])]

    def find_failure(self, rollout: int, stratum: int) -> str | None:
        """Why the rollout fails at this stratum: one of its terms does, or what it adds to a group's aggregate."""
        for term in self.reward.terms:
            place = self.places[term]
            if place.stratum != stratum:
                continue
            for at in self._iterate_within(place, rollout):
                value = self.read(term, *at)
                if isinstance(value, Failed):
                    return f"term `{term}` failed: {value.reason}"
        if self._substitute is not None:
            return None
        for node in self.reward.nodes:
            if self.places[node.id].members != "rollout":
                continue
            value = self._find_member_failure(node, rollout, stratum)
            if value is not None:
                return f"what it adds to a value of the group failed: {value.reason}"
        return None

    def _find_member_failure(self, node: Node, rollout: int, stratum: int) -> Failed | None:
        # An aggregate's own stratum is one above that of its arguments.
        if self.places[node.id].stratum != stratum + 1:
            return None
        is_member = self.is_member(node, rollout, None)
        if isinstance(is_member, Failed):
            return is_member
        value = self.read(node.args[0], rollout, None)
        return value if is_member is True and isinstance(value, Failed) else None

    def _iterate_within(self, place: Place, rollout: int) -> Iterable[tuple[int, int | None]]:
        if place.level == "turn":
            return [(rollout, turn) for turn in range(self._num_turns[rollout])]
        return [(rollout, None)]

    def _settle(self, node: Node, value: Value) -> Value:
        if node.id not in self._terms:
            return value
        if isinstance(value, Failed) and self._substitute is not None:
            self.substituted.append(f"term `{node.id}` failed: {value.reason}")
            value = self._substitute
        if node.id in self._neutralise and isinstance(value, int | float):
            return 0
        return value

    def _compute(self, node: Node, rollout: int | None, turn: int | None) -> Value:
        if node.op in _LEAVES:
            return self._read_leaf(node, rollout, turn)
        if node.op == "aggregate":
            return self._aggregate(node, rollout)
        args = [self.read(arg, rollout, turn) for arg in node.args]
        if is_external(node):
            gap = find_gap(args)
            missing = Failed(f"`{node.params['fn']}` was not answered")
            return (
                gap
                if gap is not None
                else clean_value(self._judgements.get(make_key(node.id, rollout, turn), missing))
            )
        if node.op == "call" and node.params.get("fn") == "bernoulli":
            assert rollout is not None, "bernoulli is at rollout level or finer"
            return draw_bernoulli(args[0], f"{self._rollouts[rollout].seed}/{node.id}/{turn}")
        return apply_operation(node.op, args, node.params)

    def _aggregate(self, node: Node, rollout: int | None) -> Value:
        fn = node.params["fn"]
        if self.places[node.id].members is None:
            return aggregate_list(fn, [self.read(arg, rollout, None) for arg in node.args])
        members: list[Value] = []
        for at in self.iterate_members(node, rollout):
            is_member = self.is_member(node, *at)
            if isinstance(is_member, Failed):
                members.append(is_member)
            elif is_member is True:
                members.append(self.read(node.args[0], *at))
        return aggregate_values(fn, members)

    def _read_leaf(self, node: Node, rollout: int | None, turn: int | None) -> Value:
        if node.op == "const":
            return clean_value(node.params["value"])
        if node.op == "item":
            return clean_value(read_path(self._item, node.params["field"]))
        assert rollout is not None, f"`{node.op}` is at rollout level or finer"
        one = self._rollouts[rollout]
        if node.op != "turn":
            attributes: dict[str, Value] = {
                "scenario": one.scenario,
                "tokens": one.tokens,
                "num_turns": one.num_turns,
            }
            return attributes[node.op]
        text = one.turns.get(node.params["name"])
        if turn is None:
            return list(text) if isinstance(text, tuple) else clean_value(text)
        texts = text if isinstance(text, tuple) else ()
        return texts[turn] if turn < len(texts) else NOT_APPLICABLE


_LEAVES = frozenset({"const", "item", "turn", "scenario", "tokens", "num_turns"})


def make_key(node_id: str, rollout: int | None, turn: int | None) -> str:
    """Key of a judgement: the node and where it was made.

    >>> make_key("_4", 0, 2), make_key("_4", None, None)
    ('_4/0/2', '_4')
    """
    return "/".join([node_id, *(str(part) for part in (rollout, turn) if part is not None)])


def _count_turns(rollout: Rollout) -> int:
    return max((len(text) for text in rollout.turns.values() if isinstance(text, tuple)), default=0)
