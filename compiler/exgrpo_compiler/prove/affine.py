"""A proof, over all groups whatever their size, that a part T of a total is T = a S + c beside the rest S.

What cannot be computed exactly becomes a free value: an aggregate over the group, a number without known values, a comparison or a
bound of such. Free truths are tried both ways, free values that may be missing are tried missing, and free numbers are drawn at
random: what is left above them is polynomial, and a polynomial that is 0 at random points is 0 (Schwartz 1980). More is allowed
than any group can show, so what holds here holds in every group; what fails here may still hold.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from exgrpo_artifact.graph import Node
from exgrpo_artifact.named import NamedTuple
from exgrpo_compiler.prove.atoms import Anatomy, find_implied
from exgrpo_compiler.prove.facts import Facts
from exgrpo_compiler.prove.infer import Inference
from exgrpo_compiler.prove.interval import Interval
from exgrpo_compiler.prove.operations import CALLS, FAILED, LAZY, STRICT, apply_with_gaps
from exgrpo_compiler.prove.summands import Part, combine_part
from exgrpo_compiler.prove.worlds import Sampling

MAX_CASES = 6144
"""Kinds of rollouts times settings of the group that are tried at most."""
NUM_DRAWS = 3
MAX_CORNERS = 32
TOLERANCE = 1e-9

_POLYNOMIAL: Final = frozenset({"add", "sub", "mul", "div", "neg", "if", "default"})
_TRUTHS: Final = frozenset({"eq", "ne", "lt", "le", "gt", "ge", "and", "or", "not"})


class Slopes(NamedTuple):
    """What is proved of a."""

    least: float
    """No group has a smaller one; `-inf` where that is not known."""
    is_zero: bool
    """Whether it is 0 throughout, so that T = c."""


class Free(NamedTuple):
    """A value that is not computed."""

    is_shared: bool
    """Whether it is the same for all rollouts of a group."""
    values: tuple[Any, ...]
    """What is tried; `...` stands for a number at random."""
    range: tuple[float, float]


class Freedom:
    """The free values of a total, each under a key that is the same for equal nodes."""

    def __init__(self, anatomy: Anatomy) -> None:
        self.anatomy = anatomy
        self.nodes = {node.id: node for node in anatomy.graph.nodes}
        self.keys: dict[str, Any] = {}
        """Node -> the key of its free value."""
        self.free: dict[Any, Free] = {}
        self._atoms = {id_: atom for atom in anatomy.atoms for id_ in atom.nodes}
        self._is_random: dict[str, bool] = {}
        self._structure: dict[str, Any] = {}
        self.intervals: Mapping[str, Interval] = Inference(anatomy.graph, Facts()).intervals
        self._visit(anatomy.graph.result)

    def _visit(self, id_: str) -> bool:
        """Whether a random number can reach the node's value."""
        if id_ not in self._is_random:
            self._is_random[id_] = self._look_at(self.nodes[id_])
        return self._is_random[id_]

    def _look_at(self, node: Node) -> bool:
        if node.id in self._atoms:
            atom = self._atoms[node.id]
            return self._set_free(node, atom.id, atom.values if atom.is_finite else (...,))
        if node.op in ("const", "scenario"):
            return False
        if node.op == "aggregate":
            is_truth = node.params["fn"] in ("any", "all")
            return self._set_free(node, self._describe(node.id), (0, 1) if is_truth else (...,))
        reached = [self._visit(arg) for arg in node.args]
        if True not in reached:
            return False
        if node.op in ("if", "default"):
            if node.op == "if" and self._is_random[node.args[0]]:
                return self._set_free(node, self._describe(node.id), (...,))
            return True
        if node.op in _POLYNOMIAL:
            return True
        return self._set_free(node, self._describe(node.id), (0, 1) if node.op in _TRUTHS else (...,))

    def _set_free(self, node: Node, key: Any, values: tuple[Any, ...]) -> bool:
        one = self.intervals[node.id]
        if one.missing:
            values = (*values, None)
        is_shared = self.anatomy.shape.places[node.id].level in ("group", "const")
        self.keys[node.id] = key
        self.free[key] = Free(is_shared, values, (one.low, one.high))
        return ... in values

    def _describe(self, id_: str) -> Any:
        if id_ not in self._structure:
            node = self.nodes[id_]
            args = tuple(self._describe(arg) for arg in node.args)
            own = id_ if node.params.get("fn") == "bernoulli" else ""
            self._structure[id_] = (node.op, own, args, repr(node.params))
        return self._structure[id_]


class Rollout:
    """One kind of rollouts in one setting of the group."""

    def __init__(self, freedom: Freedom, scenario: str, values: Mapping[Any, Any]) -> None:
        self.scenario = scenario
        self._freedom = freedom
        self._values = values
        self._known: dict[str, Any] = {}

    def compute(self, id_: str) -> Any:
        """What a node comes to."""
        if id_ not in self._known:
            self._known[id_] = self._compute(self._freedom.nodes[id_])
        return self._known[id_]

    def _compute(self, node: Node) -> Any:
        key = self._freedom.keys.get(node.id)
        if key is not None:
            return self._values[key]
        if node.op == "const":
            return node.params["value"]
        if node.op == "scenario":
            return self.scenario
        if node.op == "if":
            met = self.compute(node.args[0])
            return FAILED if met is FAILED else self.compute(node.args[1 if met else 2])
        args = [self.compute(arg) for arg in node.args]
        function = LAZY.get(node.op) or STRICT.get(node.op) or CALLS[node.params["fn"]]
        return apply_with_gaps(function, args, node.op in LAZY)

    def compute_part(self, part: Part) -> float | None:
        """What a part of the total comes to."""
        for guard, due in part.guards:
            met = self.compute(guard)
            if met is not FAILED and bool(met) is not due:
                return 0.0
        factors = [self.compute(id_) for id_ in (part.node, *part.factors)]
        return combine_part(part.sign, factors, [self.compute(id_) for id_ in part.divisors])


def prove_affine(
    anatomy: Anatomy, sampling: Sampling, baseline: str, part: Part, removed: Sequence[Part]
) -> Slopes | None:
    """What holds of a in every group of any size; None where T = a S + c is not proved."""
    freedom = Freedom(anatomy)
    if _can_be_replaced(anatomy, freedom.intervals):
        return None
    proof = _Proof(freedom, sampling, baseline, part, removed)
    return proof.run() if proof.is_small else None


def has_gaps(anatomy: Anatomy) -> bool:
    """Whether something that is read may be missing, or a term that fails be replaced by a value."""
    intervals = Inference(anatomy.graph, Facts()).intervals
    return any(intervals[atom.id].missing for atom in anatomy.atoms) or _can_be_replaced(anatomy, intervals)


def _can_be_replaced(anatomy: Anatomy, intervals: Mapping[str, Interval]) -> bool:
    """Whether a value can stand in for a term, so that a total is not what its parts add up to."""
    graph = anatomy.graph
    return graph.on_failure.action == "value" and any(intervals[term].failing for term in graph.terms)


class _Proof:
    def __init__(
        self, freedom: Freedom, sampling: Sampling, baseline: str, part: Part, removed: Sequence[Part]
    ) -> None:
        self._freedom, self._sampling, self._baseline = freedom, sampling, baseline
        self._part, self._removed = part, removed
        self._shared = {key: one for key, one in freedom.free.items() if one.is_shared}
        self._own = {key: one for key, one in freedom.free.items() if not one.is_shared}
        self._implied = [
            (one, two)
            for one in self._own
            for two in find_implied(freedom.anatomy, frozenset({one}))
            if two in self._own
        ]
        from random import Random  # here: few rewards come this far, and a cold check is mostly imports

        self._random = Random(20240917)

    @property
    def is_small(self) -> bool:
        """Whether all can be tried."""
        number = math.prod(len(one.values) for one in self._freedom.free.values())
        return number * len(self._sampling.group) * NUM_DRAWS <= MAX_CASES

    def run(self) -> Slopes | None:
        """The proof. Where the slope moves with the numbers of the group, `least` is only told of a polynomial one."""
        least, is_zero = math.inf, True
        for chosen in itertools.product(*(one.values for one in self._shared.values())):
            setting = dict(zip(self._shared, chosen, strict=True))
            slopes: list[float] = []
            for _ in range(NUM_DRAWS):
                slope = self._compare({key: self._draw(value) for key, value in setting.items()})
                if slope is False:
                    return None
                if slope is not None:
                    slopes.append(slope)
            if not slopes:
                continue
            is_zero = is_zero and all(abs(slope) <= TOLERANCE for slope in slopes)
            is_fixed = max(slopes) - min(slopes) <= TOLERANCE * max(1.0, abs(slopes[0]))
            least = min(least, slopes[0] if is_fixed else self._bound(setting))
        return None if least == math.inf else Slopes(least, is_zero)

    def _draw(self, value: Any) -> Any:
        return self._random.uniform(0.1, 2.9) if value is ... else value

    def _compare(self, shared: Mapping[Any, Any]) -> float | bool | None:
        """The a under one baseline or several; False where there is none, None where nothing varies."""
        first: dict[str, tuple[float, float]] = {}
        rest: list[float] = []
        own: list[float] = []
        size = 1e-12
        for rollout in self._iterate_rollouts(shared):
            total = rollout.compute(self._freedom.anatomy.graph.result)
            if total is None or total is FAILED:
                continue
            parts = [rollout.compute_part(part) for part in (self._part, *self._removed)]
            if not isinstance(total, int | float) or any(one is None for one in parts):
                return False
            t = float(parts[0] or 0)
            s = float(total) - math.fsum(one for one in parts if one is not None)
            start = first.setdefault(rollout.scenario if self._baseline == "scenario" else "", (s, t))
            rest.append(s - start[0])
            own.append(t - start[1])
            size = max(size, abs(s), abs(t))
        return find_slope(rest, own, size)

    def _iterate_rollouts(self, shared: Mapping[Any, Any]) -> Iterator[Rollout]:
        for scenario in self._sampling.group:
            for chosen in itertools.product(*(one.values for one in self._own.values())):
                setting = dict(zip(self._own, chosen, strict=True))
                if any(setting[one] == 1 and setting[two] == 0 for one, two in self._implied):
                    continue
                for _ in range(NUM_DRAWS if ... in chosen else 1):
                    drawn = {key: self._draw(value) for key, value in setting.items()}
                    yield Rollout(self._freedom, scenario, {**shared, **drawn})

    def _bound(self, setting: Mapping[Any, Any]) -> float:
        """The least slope while the numbers of the group go over their ranges; `-inf` where that is not known.

        A slope that is linear in each number by itself is least in a corner.
        """
        moving = [key for key, value in setting.items() if value is ...]
        ranges = {key: self._shared[key].range for key in moving}
        if 2 ** len(moving) > MAX_CORNERS or not all(math.isfinite(a + b) for a, b in ranges.values()):
            return -math.inf
        if not all(self._is_linear(setting, ranges, key) for key in moving):
            return -math.inf
        slopes = [
            self._compare({**setting, **dict(zip(moving, corner, strict=True))})
            for corner in itertools.product(*(ranges[key] for key in moving))
        ]
        known = [slope for slope in slopes if isinstance(slope, float)]
        return min(known) if len(known) == len(slopes) else -math.inf

    def _is_linear(
        self, setting: Mapping[Any, Any], ranges: Mapping[Any, tuple[float, float]], key: Any
    ) -> bool:
        for _ in range(NUM_DRAWS):
            others = {one: self._random.uniform(*ranges[one]) for one in ranges}
            low, high = ranges[key]
            at = self._random.uniform(0.2, 0.8)
            slopes = [
                self._compare({**setting, **others, key: value})
                for value in (low, high, low + at * (high - low))
            ]
            if not all(isinstance(slope, float) for slope in slopes):
                return False
            left, right, middle = (float(slope or 0) for slope in slopes)
            if abs(left + at * (right - left) - middle) > TOLERANCE * max(1.0, abs(left), abs(right)):
                return False
        return True


def find_slope(rest: Sequence[float], own: Sequence[float], size: float) -> float | bool | None:
    """The a of own = a rest; None where both are 0 throughout, False where there is none."""
    widest = max(range(len(rest)), key=lambda at: abs(rest[at]), default=None)
    if widest is None or abs(rest[widest]) < TOLERANCE * size:
        return False if any(abs(value) > TOLERANCE * size for value in own) else None
    slope = own[widest] / rest[widest]
    margin = TOLERANCE * size * max(1.0, abs(slope))
    return slope if all(abs(t - slope * s) <= margin for s, t in zip(rest, own, strict=True)) else False
