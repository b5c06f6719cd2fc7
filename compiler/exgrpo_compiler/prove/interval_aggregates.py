"""Aggregates on intervals: `mean max min count any all` of a set of unknown size."""

from __future__ import annotations

import math

from exgrpo_artifact.named import NamedTuple
from exgrpo_compiler.prove.interval import Interval, Nodes, make_empty, make_number, with_gaps
from exgrpo_compiler.prove.interval_operators import (
    as_number,
    can_be_false,
    can_be_true,
    make_truth,
    may_refuse,
)

_GRID = 2.0**20
"""Sums of multiples of its inverse are exact, so that their mean keeps to the ends; others may be off by rounding."""


class Members(NamedTuple):
    """What an aggregate goes over."""

    value: Interval
    """Of a place that meets the condition."""
    where: Interval
    low: float
    """Places before the condition, at least."""
    high: float

    @property
    def can_be_some(self) -> bool:
        """Whether any place can be a member."""
        return self.high > 0 and can_be_true(self.where) and not self.value.is_empty

    @property
    def can_be_none(self) -> bool:
        """Whether the set can be empty."""
        where = self.where
        is_sure = can_be_true(where) and not (can_be_false(where) or where.missing or may_refuse(where))
        return self.low == 0 or not is_sure or bool(self.value.missing) or self.value.is_empty


def aggregate(fn: str, node: str, members: Members) -> Interval:
    """The values of an aggregate. Places that do not meet the condition or are missing are no members; one failure fails all."""
    value = members.value
    failing = members.where.failing | ({node} if may_refuse(members.where) else frozenset())
    if members.high > 0 and can_be_true(members.where):
        failing |= value.failing
    if fn == "count":
        low = 0 if members.can_be_none else members.low
        high = members.high if members.can_be_some else 0
        return make_number(low, high, is_whole=True, failing=failing)
    missing: Nodes = frozenset({node}) if members.can_be_none else frozenset()
    if not members.can_be_some:
        return make_empty(missing, failing)
    if fn in ("any", "all"):
        failing |= {node} if may_refuse(value) else frozenset()
        return with_gaps(make_truth(can_be_true(value), can_be_false(value)), missing, failing)
    if value.kind != "number":
        failing |= {node}
        if value.kind != "any":
            return make_empty(missing, failing)
    numbers = as_number(value)
    if fn == "mean" and not (numbers.is_whole and numbers.low == numbers.high):
        low = numbers.low if _is_exact(numbers.low) else math.nextafter(numbers.low, -math.inf)
        high = numbers.high if _is_exact(numbers.high) else math.nextafter(numbers.high, math.inf)
        return make_number(low, high, missing=missing, failing=failing)
    return with_gaps(numbers, missing, failing)


def _is_exact(end: float) -> bool:
    return math.isinf(end) or (abs(end) < _GRID and (end * _GRID).is_integer())
