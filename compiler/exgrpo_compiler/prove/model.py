"""A reward as arithmetic over atoms, evaluated for whole groups at once without any text.

Rollouts that agree in scenario and atoms are one `Kind`, and a group is how many there are of each; a kind with
count 0 is scored too, but no mean sees it. The semantics are those of `exgrpo_artifact.rewards` (three values, levels,
empty sets), which a test compares. Only a group's values are computed anew for each group.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from exgrpo_artifact.graph import Node
from exgrpo_artifact.levels import place_nodes
from exgrpo_artifact.record import Record
from exgrpo_artifact.text_functions import round_number
from exgrpo_compiler.prove.atoms import Anatomy


class _Failed:
    """The type of FAILED."""

    def __repr__(self) -> str:
        return "FAILED"


FAILED: Final = _Failed()
"""A value that cannot be computed. None is not-applicable."""

Column = Any
"""One value where it is the same for every kind, else a list with one value for each."""


class Kind(Record):
    """Rollouts that no reward can tell apart."""

    scenario: str
    atoms: Mapping[str, float | None]
    """Values of the atoms that differ between rollouts; those of a turn are the same in each turn."""
    num_turns: int = 1
    """Turns inside `for`."""


class RewardModel:
    """The arithmetic of a reward."""

    def __init__(self, anatomy: Anatomy) -> None:
        self.anatomy = anatomy
        self._places = place_nodes(anatomy.graph.nodes)
        self._still = [node for node in anatomy.arithmetic if self._places[node.id].stratum == 0]
        self._moving = [node for node in anatomy.arithmetic if self._places[node.id].stratum > 0]

    def bind(self, kinds: Sequence[Kind], row: Mapping[str, float | None]) -> Bound:
        """The reward over these kinds; `row` gives the atoms of level `const`."""
        columns: dict[str, Column] = {}
        for atom in self.anatomy.atoms:
            value = row[atom.id] if atom.level == "const" else [kind.atoms[atom.id] for kind in kinds]
            columns.update(dict.fromkeys(atom.nodes, value))
        bound = Bound(self, kinds, columns)
        for node in self._still:
            columns[node.id] = bound.compute(node, columns, ())
        return bound

    @property
    def moving(self) -> Sequence[Node]:
        """Nodes that depend on the other rollouts of the group."""
        return self._moving

    def get_members(self, node: Node) -> str | None:
        """The level that an aggregate goes over."""
        return self._places[node.id].members


class Bound:
    """A reward over given kinds of rollouts."""

    def __init__(self, model: RewardModel, kinds: Sequence[Kind], columns: dict[str, Column]) -> None:
        self.model = model
        self.kinds = kinds
        self._columns = columns

    def score(
        self, counts: Sequence[int], replaced: Mapping[str, float] | None = None
    ) -> Mapping[str, Column]:
        """Values of all nodes in the group with so many rollouts of each kind.

        `replaced` gives nodes another value, wherever they have one, before anything is computed from them.
        """
        columns = dict(self._columns)
        nodes: Sequence[Node] = self.model.moving
        if replaced:
            nodes = self.model.anatomy.arithmetic
            for id_ in [atom_id for atom in self.model.anatomy.atoms for atom_id in atom.nodes]:
                if id_ in replaced:
                    columns[id_] = _overwrite(columns[id_], replaced[id_])
        for node in nodes:
            column = self.compute(node, columns, counts)
            columns[node.id] = (
                _overwrite(column, replaced[node.id]) if replaced and node.id in replaced else column
            )
        return columns

    def spread(self, column: Column) -> list[Any]:
        """The column with one value for each kind."""
        return column if isinstance(column, list) else [column] * len(self.kinds)

    def compute(self, node: Node, columns: Mapping[str, Column], counts: Sequence[int]) -> Column:
        """The column of one node."""
        if node.op == "const":
            return node.params["value"]
        if node.op == "scenario":
            return [kind.scenario for kind in self.kinds]
        args = [columns[arg] for arg in node.args]
        if node.op == "aggregate":
            if self.model.get_members(node) == "turn":
                return self._aggregate_turns(node, args)
            return self._aggregate_group(node, args, counts)
        function = _LAZY.get(node.op) or _STRICT.get(node.op) or _CALLS[node.params["fn"]]
        if not any(isinstance(arg, list) for arg in args):
            return _apply(function, args, node.op in _LAZY)
        spread = [self.spread(arg) for arg in args]
        try:
            return list(map(function, *spread))
        except (TypeError, ArithmeticError, ValueError):
            return [_apply(function, row, node.op in _LAZY) for row in zip(*spread, strict=True)]

    def _aggregate_turns(self, node: Node, args: Sequence[Column]) -> Column:
        values = self.spread(args[0])
        where = self.spread(args[1]) if len(args) > 1 else [True] * len(values)
        return [
            _aggregate(node.params["fn"], [(value, kind.num_turns)] if met and kind.num_turns else [])
            for value, met, kind in zip(values, where, self.kinds, strict=True)
        ]

    def _aggregate_group(self, node: Node, args: Sequence[Column], counts: Sequence[int]) -> Any:
        values = self.spread(args[0])
        members = list(zip(values, counts, strict=True))
        if len(args) > 1:
            where = self.spread(args[1])
            members = [
                member for member, met in zip(members, where, strict=True) if met and met is not FAILED
            ]
        return _aggregate(node.params["fn"], members)


def _overwrite(column: Column, value: float) -> Column:
    if isinstance(column, list):
        return [value if isinstance(one, int | float) else one for one in column]
    return value if isinstance(column, int | float) else column


def _apply(function: Callable[..., Any], args: Sequence[Any], is_lazy: bool) -> Any:
    """The function's value with gaps: a failed argument fails, a not-applicable one is not-applicable."""
    if not is_lazy:
        if any(arg is FAILED for arg in args):
            return FAILED
        if any(arg is None for arg in args):
            return None
    try:
        value = function(*args)
    except (TypeError, ArithmeticError, ValueError):
        return FAILED
    return FAILED if isinstance(value, float) and not math.isfinite(value) else value


def _aggregate(fn: str, members: Sequence[tuple[Any, int]]) -> Any:
    """Of (value, how many); members that failed are dropped before, those that are not-applicable are none."""
    kept = [(value, count) for value, count in members if count and value is not None and value is not FAILED]
    if fn == "count":
        return sum(count for _, count in kept)
    if not kept:
        return None
    values = [value for value, _ in kept]
    if fn == "mean":
        return sum(value * count for value, count in kept) / sum(count for _, count in kept)
    functions: Mapping[str, Callable[[list[Any]], Any]] = {"max": max, "min": min, "any": any, "all": all}
    return functions[fn](values)


# --- operations -------------------------------------------------------------------------------------------


def _choose(condition: Any, then: Any, otherwise: Any) -> Any:
    if condition is FAILED:
        return FAILED
    return then if condition else otherwise


def _default(value: Any, otherwise: Any) -> Any:
    return otherwise if value is None else value


def _decide(args: tuple[Any, ...], deciding: bool) -> Any:
    known = [arg for arg in args if arg is not None and arg is not FAILED]
    if any(bool(arg) is deciding for arg in known):
        return deciding
    if len(known) == len(args):
        return not deciding
    return FAILED if any(arg is FAILED for arg in args) else None


def _and(*args: Any) -> Any:
    return _decide(args, False)


def _or(*args: Any) -> Any:
    return _decide(args, True)


def _equal(left: Any, right: Any) -> Any:
    if left is FAILED or right is FAILED:
        return FAILED
    return None if left is None or right is None else left == right


def _differ(left: Any, right: Any) -> Any:
    equal = _equal(left, right)
    return equal if equal is None or equal is FAILED else not equal


def _not(value: Any) -> Any:
    return value if value is None or value is FAILED else not value


def _clip(x: float, a: float, b: float) -> float:
    if a > b:
        raise ValueError("nothing lies between")
    return min(max(x, a), b)


def _ramp(x: float, start: float, end: float) -> float:
    return min(max((x - start) / (end - start), 0.0), 1.0)


_LAZY: Mapping[str, Callable[..., Any]] = {
    "if": _choose,
    "default": _default,
    "and": _and,
    "or": _or,
    "eq": _equal,
    "ne": _differ,
    "not": _not,
}
"""Operations that take gaps themselves."""

_STRICT: Mapping[str, Callable[..., Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "neg": operator.neg,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}

_CALLS: Mapping[str, Callable[..., Any]] = {
    "clip": _clip,
    "ramp": _ramp,
    "abs": abs,
    "min": min,
    "max": max,
    "mod": operator.mod,
    "round": round_number,
}
