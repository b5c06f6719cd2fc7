"""Ends of a total where its terms share what they read: intervals alone let `x - x` go from -1 to 1.

What is read on several ways to the total is cut into pieces, and the total is inferred on each (branch and bound: the piece with the
farthest end is cut next). A piece holds all that can be in it, so an end is never nearer than the real one; where pieces are left
whose ends meet, they are told apart by values that were tried: what is reached by such a value is real.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence

from exgrpo_artifact.graph import RewardGraph
from exgrpo_artifact.named import NamedTuple
from exgrpo_artifact.record import replace
from exgrpo_compiler.prove.atoms import Anatomy
from exgrpo_compiler.prove.infer import Inference
from exgrpo_compiler.prove.interval import Interval, meet

MOST_PIECES = 500
"""Pieces that are inferred for one end."""
MOST_SHARED = 4
"""Atoms that are cut."""
MOST_TRIED = 81
"""Values of the shared atoms that are tried."""

Assumed = Mapping[str, Interval]


class Question(NamedTuple):
    """Where the total is looked for."""

    inference: Inference
    result: str
    shared: Mapping[str, Interval]
    """Nodes that are read on several ways to the total, and what they can be."""
    limits: tuple[float, ...]
    """Numbers of the graph: where something may change."""

    def infer(self, assumed: Assumed, pieces: Assumed) -> Interval:
        """The total where both hold."""
        return self.inference.assume({**assumed, **pieces})[self.result]


def build_question(anatomy: Anatomy, inference: Inference) -> Question | None:
    """The question for a reward, or None where no number of many values is read on several ways."""
    graph = anatomy.graph
    ways = _count_ways(graph)
    shared: dict[str, Interval] = {}
    for atom in anatomy.atoms:
        one = inference.intervals[atom.id]
        is_many = one.kind == "number" and one.values is None and not one.is_empty
        if (
            atom.level in ("const", "rollout")
            and is_many
            and sum(ways.get(node, 0) for node in atom.nodes) > 1
        ):
            shared[atom.id] = one
    if not shared or len(shared) > MOST_SHARED:
        return None
    values = (node.params.get("value") for node in graph.nodes if node.op == "const")
    limits = sorted(
        {float(value) for value in values if isinstance(value, int | float) and not isinstance(value, bool)}
    )
    return Question(inference, graph.result, shared, tuple(limits))


def _count_ways(graph: RewardGraph) -> dict[str, int]:
    """For each node the number of ways from it to the total."""
    ways = {graph.result: 1}
    for node in reversed(graph.nodes):
        for arg in node.args:
            ways[arg] = ways.get(arg, 0) + ways.get(node.id, 0)
    return ways


def narrow_ends(
    question: Question, wrong: Assumed, right: Assumed, ends: tuple[float, float]
) -> tuple[float, float] | None:
    """The greatest total of a wrong answer and the least of a right one; None where the first is below the second.

    Args:
        question: the total.
        wrong: what holds of wrong answers.
        right: what holds of right ones.
        ends: the two as intervals have them, which meet.
    """
    tried = list(_list_points(question))
    most = max((_get_end(question.infer(wrong, point), 1) for point in tried), default=-math.inf)
    least = min((_get_end(question.infer(right, point), -1) for point in tried), default=math.inf)
    if most >= least:
        return most, least
    high = _bound(question, wrong, 1, least)
    if high < least:
        low = _bound(question, right, -1, high)
        if low > high:
            return None
        high = _bound(question, wrong, 1, low)
        return None if high < low else (max(most, min(high, ends[0])), min(least, max(low, ends[1])))
    return high, least


def _get_end(one: Interval, sign: int) -> float:
    """The greatest (1) or least (-1) value; the other infinity where there is none."""
    if one.is_empty or one.kind != "number":
        return -sign * math.inf
    return one.high if sign > 0 else one.low


def _list_points(question: Question) -> Iterator[dict[str, Interval]]:
    columns = [
        [_pin(one, value) for value in _list_values(one, question.limits)] for one in question.shared.values()
    ]
    for values in itertools.islice(itertools.product(*columns), MOST_TRIED):
        yield dict(zip(question.shared, values, strict=True))


def _list_values(one: Interval, limits: Sequence[float]) -> list[float]:
    ends = [end for end in (one.low, one.high) if math.isfinite(end)]
    inside = [limit for limit in limits if one.low <= limit <= one.high]
    points = sorted(
        {*ends, *inside, *(sum(pair) / 2 for pair in itertools.pairwise(sorted({*ends, *inside})))}
    )
    return [value for value in points if one.holds(value)] or ends


def _pin(one: Interval, value: float) -> Interval:
    return replace(one, low=value, high=value, values=(value,))


def _bound(question: Question, assumed: Assumed, sign: int, enough: float) -> float:
    """An end of the total, at or beyond the real one; no nearer than it takes to be on this side of `enough`."""
    count = itertools.count()
    first = _get_end(question.infer(assumed, question.shared), sign)
    heap = [(-sign * first, next(count), dict(question.shared), dict.fromkeys(question.shared, 0))]
    settled = -sign * math.inf
    for _ in range(MOST_PIECES):
        if not heap:
            break
        end, _, pieces, cuts = heapq.heappop(heap)
        end = -sign * end
        if sign * end < sign * enough or sign * end <= sign * settled:
            return max(end, settled) if sign > 0 else min(end, settled)
        name = min(cuts, key=lambda one: cuts[one])
        halves = _cut(pieces[name], question.limits)
        if len(halves) < 2 or cuts[name] > 12:
            settled = max(settled, end) if sign > 0 else min(settled, end)
            continue
        for half in halves:
            smaller = {**pieces, name: half}
            new = _get_end(question.infer(assumed, smaller), sign)
            if math.isnan(new):
                new = sign * math.inf  # nothing is known there
            if new != -sign * math.inf:
                heapq.heappush(heap, (-sign * new, next(count), smaller, {**cuts, name: cuts[name] + 1}))
    rest = [-sign * end for end, *_ in heap]
    return max([settled, *rest]) if sign > 0 else min([settled, *rest])


def _cut(one: Interval, limits: Sequence[float]) -> list[Interval]:
    """Two pieces that together are the interval; one where it cannot be cut."""
    inside = [limit for limit in limits if one.low < limit < one.high]
    if inside:
        at = inside[len(inside) // 2]
    elif math.isfinite(one.low) and math.isfinite(one.high):
        at = (one.low + one.high) / 2
    elif math.isfinite(one.low):
        at = max(1.0, 2 * abs(one.low))
    elif math.isfinite(one.high):
        at = -max(1.0, 2 * abs(one.high))
    else:
        at = 0.0
    if not one.low < at < one.high:
        return [one]
    parts = [meet(one, replace(one, low=one.low, high=at)), meet(one, replace(one, low=at, high=one.high))]
    return [part for part in parts if not part.is_empty]
