"""Atoms of real texts: what `matches`, `format`, `d.tokens` and the like are for a rollout that says so and so.

Each turn inside `for` says the same, so one turn stands for all. Judges are told from outside, and draws fall to 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from exgrpo_artifact.aggregates import aggregate_list, aggregate_values
from exgrpo_artifact.boxed import compare_plainly, find_last_boxed
from exgrpo_artifact.graph import Node
from exgrpo_artifact.operations import apply_operation, is_external
from exgrpo_artifact.values import NOT_APPLICABLE, Failed, Value, clean_value, find_gap, read_path
from exgrpo_compiler.prove.atoms import Anatomy
from exgrpo_compiler.prove.model import FAILED

CHARACTERS_PER_TOKEN = 4
MAX_READINGS = 1024
"""Texts of which is kept what was read."""


class Reader:
    """Reads the atoms of a reward off texts."""

    def __init__(self, anatomy: Anatomy, scales: Mapping[str, tuple[float, float]]) -> None:
        self._atoms = anatomy.atoms
        self._scales = scales
        nodes = {node.id: node for node in anatomy.graph.nodes}
        self._places = anatomy.shape.places
        needed: set[str] = set()
        waiting = [atom.id for atom in anatomy.atoms]
        while waiting:
            id_ = waiting.pop()
            if id_ not in needed:
                needed.add(id_)
                waiting += nodes[id_].args
        self._found: dict[Any, Mapping[str, float | None]] = {}
        self._nodes = [node for node in anatomy.graph.nodes if node.id in needed]

    def read(
        self,
        item: Mapping[str, Any],
        turns: Mapping[str, str],
        num_turns: int,
        tokens: int,
        *,
        is_praised: bool,
    ) -> Mapping[str, float | None]:
        """Values of all atoms; None is not-applicable. Judges give their best where `is_praised`, else their worst."""
        key = (repr(item), tuple(turns.items()), num_turns, tokens, is_praised)
        if key not in self._found:
            if len(self._found) >= MAX_READINGS:
                self._found.clear()
            self._found[key] = self._read(item, turns, num_turns, tokens, is_praised)
        return self._found[key]

    def _read(
        self, item: Mapping[str, Any], turns: Mapping[str, str], num_turns: int, tokens: int, is_praised: bool
    ) -> Mapping[str, float | None]:
        values: dict[str, Value] = {}
        with compare_plainly():
            for node in self._nodes:
                values[node.id] = self._compute(node, values, item, turns, num_turns, tokens, is_praised)
        return {atom.id: _to_number(values[atom.id]) for atom in self._atoms}

    def _compute(
        self,
        node: Node,
        values: Mapping[str, Value],
        item: Mapping[str, Any],
        turns: Mapping[str, str],
        num_turns: int,
        tokens: int,
        is_praised: bool,
    ) -> Value:
        if node.op == "const":
            return clean_value(node.params["value"])
        if node.op == "item":
            return clean_value(read_path(item, node.params["field"]))
        if node.op == "turn":
            return turns.get(node.params["name"], NOT_APPLICABLE)
        if node.op in ("tokens", "num_turns"):
            return tokens if node.op == "tokens" else num_turns
        if node.op == "scenario":
            return ""
        args = [values[arg] for arg in node.args]
        if is_external(node):
            gap = find_gap(args)
            return gap if gap is not None else self._judge(node, is_praised)
        if node.params.get("fn") == "bernoulli":
            return 0
        if node.op == "aggregate":
            if self._places[node.id].members is None:
                return aggregate_list(node.params["fn"], args)
            return aggregate_values(node.params["fn"], args[:1])
        if node.params.get("fn") == "matches" and node.params["answer"]["kind"] == "math.boxed":
            # Made-up golds are plain numbers: their texts decide, without a process that knows mathematics.
            return int(isinstance(args[0], str) and find_last_boxed(args[0]) == str(args[1]))
        return apply_operation(node.op, args, node.params)

    def _judge(self, node: Node, is_praised: bool) -> float:
        if node.params["fn"] == "similarity":
            return 1 if is_praised else -1
        if node.params["fn"] != "judge.score":
            return 1 if is_praised else 0
        low, high = self._scales.get(node.params["rubric"], (0.0, 1.0))
        return high if is_praised else low


def _to_number(value: Value) -> Any:
    if isinstance(value, Failed):
        return FAILED
    return value if isinstance(value, int | float) else None


def count_tokens(texts: Mapping[str, str], looped: frozenset[str], probes: int) -> int:
    """About how many tokens a student writes for these turns."""
    characters = sum(len(text) * (probes if name in looped else 1) for name, text in texts.items())
    return characters // CHARACTERS_PER_TOKEN + len(texts)
