"""Where each node of a reward lives: its level, and how many group aggregates stand below it.

An operation lives at the finest level among its arguments; an aggregate lifts exactly one level. `Node.level` is believed
for leaves only, where nothing else tells it: whether a turn stands inside `for`, or a literal is a term turned off.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from exgrpo_artifact.errors import ArtifactError
from exgrpo_artifact.graph import Level, Node
from exgrpo_artifact.named import NamedTuple

ORDER: Final[Sequence[Level]] = ("turn", "rollout", "group", "const")
"""From the finest to the coarsest."""

_ROLLOUT_LEAVES = frozenset({"scenario", "tokens", "num_turns"})
_LIFTED: Mapping[Level, Level] = {"turn": "rollout", "rollout": "group"}


class Place(NamedTuple):
    """Where a node lives."""

    level: Level
    stratum: int
    """Most group aggregates on a path down from the node; 0 where it needs no other rollout."""
    members: Level | None = None
    """Of an aggregate: the level that it goes over; None where it goes over a list."""


def place_nodes(nodes: Sequence[Node]) -> dict[str, Place]:
    """The place of each node by id.

    Raises:
        ArtifactError: a node stands before its argument.
    """
    places: dict[str, Place] = {}
    for node in nodes:
        try:
            args = [places[arg] for arg in node.args]
        except KeyError as error:
            raise ArtifactError(
                f"the reward is malformed: node `{node.id}` stands before its argument {error}. Compile again."
            ) from error
        places[node.id] = _place_node(node, args)
    return places


def _place_node(node: Node, args: Sequence[Place]) -> Place:
    level: Level = min((arg.level for arg in args), key=ORDER.index, default="const")
    stratum = max((arg.stratum for arg in args), default=0)
    if node.op == "turn":
        return Place("turn" if node.level == "turn" else "rollout", 0)
    if node.op == "const":
        # A term that was turned off is a literal at the level that it had.
        return Place(node.level, 0)
    if node.op in _ROLLOUT_LEAVES:
        return Place("rollout", 0)
    if node.op == "call" and node.params.get("fn") == "bernoulli":
        # Drawn for each rollout, even where its probability is a literal.
        return Place(min(level, "rollout", key=ORDER.index), stratum)
    if node.op == "aggregate" and level in _LIFTED:
        lifted = _LIFTED[level]
        return Place(lifted, stratum + (lifted == "group"), level)
    return Place(level, stratum)
