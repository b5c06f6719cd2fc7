"""A reward computed over kinds of rollouts, for many groups of them at once, and for all rewards of one shape.

What a node comes to is kept by the numbers that it is computed from, so that of two rewards which differ in one weight, only
what depends on that weight is computed twice. The semantics are those of `exgrpo_artifact.rewards` (three values, levels, empty
sets), which a test compares.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from exgrpo_artifact.graph import Node
from exgrpo_artifact.named import NamedTuple
from exgrpo_artifact.record import Record
from exgrpo_compiler.prove.atoms import Anatomy, Shape
from exgrpo_compiler.prove.operations import CALLS, FAILED, LAZY, STRICT, apply_with_gaps

MAX_COLUMNS = 4096
"""Columns that a table keeps."""

Column = Any
"""One value, or one for each kind, for each group, or for each kind of each group, as the step's `spread` says."""

Spread = str
"""`one`, `kinds`, `groups` or `all`."""


class Kind(Record):
    """Rollouts that no reward can tell apart."""

    scenario: str
    atoms: Mapping[str, float | None]
    """Values of the atoms that differ between rollouts; those of a turn are the same in each turn."""
    num_turns: int = 1
    """Turns inside `for`."""


class Step(NamedTuple):
    """How one node is computed."""

    what: str
    """`number`, `fixed`, `scenario`, `atom`, `function`, `turns` or `group`."""
    value: Any
    """Of a literal, its place or its value; of an atom, its id; of an aggregate, its name; else the function."""
    is_lazy: bool
    """Whether the function takes gaps itself."""
    args: tuple[str, ...]
    spread: Spread
    pick: Callable[[Sequence[str]], Any] | None
    """Picks, of the numbers of the graph, those that the node depends on; None where there are none."""


def list_steps(anatomy: Anatomy) -> Mapping[str, Step]:
    """The steps of a shape, in evaluation order."""
    found: dict[str, Step] = anatomy.shape.keep("steps", lambda: _write_steps(anatomy))
    return found


def _write_steps(anatomy: Anatomy) -> dict[str, Step]:
    steps: dict[str, Step] = {}
    uses: dict[str, frozenset[int]] = {}
    for atom in anatomy.atoms:
        spread = "one" if atom.level == "const" else "kinds"
        for id_ in atom.nodes:
            uses[id_] = frozenset()
            steps[id_] = Step("atom", atom.id, False, (), spread, None)
    for node in anatomy.arithmetic:
        own = frozenset[int]().union(*(uses[arg] for arg in node.args if arg in uses))
        at = anatomy.shape.number_places.get(node.id)
        uses[node.id] = own if at is None else own | {at}
        steps[node.id] = _write_step(node, anatomy.shape, steps, uses[node.id])
    return steps


def _write_step(node: Node, shape: Shape, steps: Mapping[str, Step], uses: frozenset[int]) -> Step:
    pick = itemgetter(*sorted(uses)) if uses else None
    if node.op == "const":
        if node.id in shape.number_places:
            return Step("number", shape.number_places[node.id], False, (), "one", pick)
        return Step("fixed", node.params["value"], False, (), "one", pick)
    if node.op == "scenario":
        return Step("scenario", None, False, (), "kinds", pick)
    spreads = {steps[arg].spread for arg in node.args}
    if node.op == "aggregate":
        if shape.places[node.id].members == "turn":
            spread = "all" if spreads & {"all", "groups"} else "kinds"
            return Step("turns", node.params["fn"], False, node.args, spread, pick)
        return Step("group", node.params["fn"], False, node.args, "groups", pick)
    function = LAZY.get(node.op) or STRICT.get(node.op) or CALLS[node.params["fn"]]
    spread = max(spreads, key=("one", "kinds", "groups", "all").index, default="one")
    if spreads >= {"kinds", "groups"}:
        spread = "all"
    return Step("function", function, node.op in LAZY, node.args, spread, pick)


class Table:
    """Rewards of one shape over given kinds of rollouts, one row, and some groups."""

    def __init__(
        self,
        anatomy: Anatomy,
        kinds: Sequence[Kind],
        row: Mapping[str, float | None],
        groups: Sequence[Sequence[int]],
    ) -> None:
        self.kinds = kinds
        self.groups = groups
        self._row = row
        self._steps = list_steps(anatomy)
        self._sizes = {"one": 1, "kinds": len(kinds), "groups": len(groups), "all": len(kinds) * len(groups)}
        self._columns: dict[Any, Column] = {}

    def get(self, node: str, anatomy: Anatomy) -> Column:
        """The column of a node, as it is spread."""
        pick = self._steps[node].pick
        key = node if pick is None else (node, pick(anatomy.texts))
        if key not in self._columns:
            if len(self._columns) >= MAX_COLUMNS:
                self._columns.clear()
            self._columns[key] = self._compute(self._steps[node], anatomy)
        return self._columns[key]

    def spread(self, node: str, anatomy: Anatomy) -> list[Any]:
        """The column with one value for each kind of each group, group after group."""
        step = self._steps[node]
        if step.spread == "all":
            return self.get(node, anatomy)  # type: ignore[no-any-return]
        key = (None, node) if step.pick is None else (None, node, step.pick(anatomy.texts))
        if key not in self._columns:
            column = self._widen(self.get(node, anatomy), step.spread, "all")
            self._columns[key] = column
        return self._columns[key]  # type: ignore[no-any-return]

    def _widen(self, column: Column, spread: Spread, to: Spread) -> list[Any]:
        if spread == to:
            return column if spread != "one" else [column]
        if spread == "one":
            return [column] * self._sizes[to]
        if spread == "kinds":
            return column * len(self.groups)  # type: ignore[no-any-return]
        num_kinds = len(self.kinds)
        return [value for value in column for _ in range(num_kinds)]

    def _compute(self, step: Step, anatomy: Anatomy) -> Column:
        if step.what == "function":
            return self._apply(step, anatomy)
        if step.what == "number":
            return anatomy.numbers[step.value]
        if step.what == "fixed":
            return step.value
        if step.what == "atom":
            if step.spread == "one":
                return self._row[step.value]
            return [kind.atoms[step.value] for kind in self.kinds]
        if step.what == "scenario":
            return [kind.scenario for kind in self.kinds]
        return (
            self._aggregate_turns(step, anatomy) if step.what == "turns" else self._aggregate(step, anatomy)
        )

    def _apply(self, step: Step, anatomy: Anatomy) -> Column:
        function, spread = step.value, step.spread
        columns = [self.get(arg, anatomy) for arg in step.args]
        if spread == "one":
            return apply_with_gaps(function, columns, step.is_lazy)
        wide = [
            self._widen(column, self._steps[arg].spread, spread)
            for column, arg in zip(columns, step.args, strict=True)
        ]
        try:
            values = list(map(function, *wide))
        except (TypeError, ArithmeticError, ValueError):
            return [apply_with_gaps(function, row, step.is_lazy) for row in zip(*wide, strict=True)]
        if spread == "groups" and any(type(one) is float and not math.isfinite(one) for one in values):
            return [FAILED if type(one) is float and not math.isfinite(one) else one for one in values]
        return values

    def _aggregate_turns(self, step: Step, anatomy: Anatomy) -> Column:
        values = self._widen(self.get(step.args[0], anatomy), self._steps[step.args[0]].spread, step.spread)
        where = [True] * len(values)
        if len(step.args) > 1:
            where = self._widen(
                self.get(step.args[1], anatomy), self._steps[step.args[1]].spread, step.spread
            )
        kinds = list(self.kinds) * (len(values) // max(1, len(self.kinds)))
        return [
            _aggregate_members(step.value, [(value, kind.num_turns)] if met and kind.num_turns else [])
            for value, met, kind in zip(values, where, kinds, strict=True)
        ]

    def _aggregate(self, step: Step, anatomy: Anatomy) -> Column:
        """Members that do not meet the condition or have no value are left out before anything is counted."""
        num_kinds = len(self.kinds)
        is_moving = any(self._steps[arg].spread in ("groups", "all") for arg in step.args)
        columns = [
            self.spread(arg, anatomy)
            if is_moving
            else self._widen(self.get(arg, anatomy), self._steps[arg].spread, "kinds")
            for arg in step.args
        ]
        found: list[Any] = []
        kept: list[tuple[Any, int]] = []
        for number, counts in enumerate(self.groups):
            if is_moving or not number:
                start = number * num_kinds if is_moving else 0
                kept = _keep_members([column[start : start + num_kinds] for column in columns])
            found.append(
                _aggregate_members(step.value, [(value, counts[at]) for value, at in kept if counts[at]])
            )
        return found


def _keep_members(columns: Sequence[Sequence[Any]]) -> list[tuple[Any, int]]:
    """Values of the kinds that can be members, with their places."""
    where = columns[1] if len(columns) > 1 else None
    return [
        (value, at)
        for at, value in enumerate(columns[0])
        if value is not None
        and value is not FAILED
        and (where is None or (where[at] and where[at] is not FAILED))
    ]


def _aggregate_members(fn: str, members: Sequence[tuple[Any, int]]) -> Any:
    """Of (value, how many)."""
    kept = [one for one in members if one[0] is not None and one[0] is not FAILED]
    if fn == "count":
        return sum([count for _, count in kept])
    if not kept:
        return None
    if fn == "mean":
        return sum([value * count for value, count in kept]) / sum([count for _, count in kept])
    return _AGGREGATES[fn]([value for value, _ in kept])


_AGGREGATES: Mapping[str, Callable[[list[Any]], Any]] = {"max": max, "min": min, "any": any, "all": all}
