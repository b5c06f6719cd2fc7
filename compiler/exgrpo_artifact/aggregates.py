"""Aggregates: `mean max min count any all` of the members of a set."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from exgrpo_artifact.arithmetic import guard_result
from exgrpo_artifact.errors import ArtifactError
from exgrpo_artifact.values import (
    NOT_APPLICABLE,
    Failed,
    Value,
    clean_value,
    describe_value,
    find_gap,
    read_truth,
)


def aggregate_values(fn: str, values: Sequence[Value]) -> Value:
    """`mean max min count any all` of the members of a set.

    A failed member makes the result failed. Not-applicable members do not belong to the set. Nothing is left of an
    empty set but its count, 0; the rest are not-applicable.
    """
    gap = find_gap(list(values))
    if isinstance(gap, Failed):
        return gap
    members = [value for value in values if value is not NOT_APPLICABLE and value is not None]
    if fn == "count":
        return len(members)
    if not members:
        return NOT_APPLICABLE
    if fn in ("any", "all"):
        truths = [read_truth(member) for member in members]
        failed = next((truth for truth in truths if isinstance(truth, Failed)), None)
        return failed or (any(truths) if fn == "any" else all(truths))
    if fn not in ("mean", "max", "min"):
        raise ArtifactError(
            f"the artifact uses the aggregate `{fn}`, which this exgrpo does not know. Upgrade it."
        )
    for member in members:
        if not isinstance(member, int | float):
            return Failed(f"`{fn}` needs numbers, and one is {describe_value(member)}")
    return guard_result(fn, _AGGREGATES[fn], [members])


def aggregate_list(fn: str, args: Sequence[Value]) -> Value:
    """An aggregate over the items of one list."""
    items = args[0]
    if isinstance(items, Failed) or items is NOT_APPLICABLE:
        return items
    if not isinstance(items, list | tuple):
        return Failed(f"`{fn}` goes over a list, and this is {describe_value(items)}")
    return aggregate_values(fn, [clean_value(item) for item in items])


def _average(members: Sequence[float]) -> float:
    return math.fsum(members) / len(members)


_AGGREGATES: Final[Mapping[str, Callable[..., Any]]] = {"mean": _average, "max": max, "min": min}
