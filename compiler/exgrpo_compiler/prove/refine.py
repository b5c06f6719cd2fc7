"""What a condition says about the values it speaks of.

`x > 0 ? a : b` computes `a` for positive x only. A condition is met, or not: false or not applicable, which comes to the same
in an `if` and in a `where`. A failed condition has neither branch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from exgrpo_compiler.prove.interval import (
    NONE,
    ZERO,
    Interval,
    exclude,
    make_empty,
    make_number,
    meet,
    step_down,
    step_up,
    with_gaps,
)
from exgrpo_compiler.prove.plan import Plan

Truth = Literal["met", "unmet"]

Overrides = dict[int, Interval]
"""Place of a node -> what it is then."""

_MAX_DEPTH: Final = 20


def refine(plan: Plan, values: Sequence[Interval], condition: int, truth: Truth) -> Overrides:
    """Narrower values of nodes, given that the condition is met or unmet; only those that get narrower."""
    found: Overrides = {}
    _refine(plan, values, condition, truth, found, 0)
    return found


def _refine(
    plan: Plan, values: Sequence[Interval], at: int, truth: Truth, found: Overrides, depth: int
) -> None:
    if depth > _MAX_DEPTH:
        return
    op, args = plan.ops[at], plan.args[at]
    if plan.is_replaced(at):
        # What stands in for a failure says nothing about what failed.
        op = ""
    if op == "not":
        _refine_negation(plan, values, args[0], truth, found, depth)
    elif (op == "and" and truth == "met") or (op == "or" and truth == "unmet"):
        for arg in args:
            _refine(plan, values, arg, truth, found, depth + 1)
    elif op in _NEGATIONS:
        _refine_comparison(plan, values, op, args, truth, found)
    own = values[at]
    if truth == "met":
        # A met condition is a number other than 0, so it is neither missing nor failed.
        _narrow(values, found, at, exclude(with_gaps(own, NONE, NONE), 0))
    elif own.kind == "number":
        _narrow(values, found, at, with_gaps(meet(own, ZERO), own.missing, NONE))


def _refine_negation(
    plan: Plan, values: Sequence[Interval], arg: int, truth: Truth, found: Overrides, depth: int
) -> None:
    if truth == "unmet":
        if not values[arg].missing:
            _refine(plan, values, arg, "met", found, depth + 1)
    else:
        _refine(plan, values, arg, "unmet", found, depth + 1)
        _narrow(values, found, arg, with_gaps(values[arg], NONE, NONE))


def _refine_comparison(
    plan: Plan, values: Sequence[Interval], op: str, args: Sequence[int], truth: Truth, found: Overrides
) -> None:
    left, right = args
    if left == right:
        return
    if truth == "met":
        x, y = (with_gaps(values[arg], NONE, NONE) for arg in args)
        _narrow(values, found, left, _limit(x, op, y))
        _narrow(values, found, right, _limit(y, _MIRRORED[op], x))
        return
    # Unmet may mean that the other side is missing, which says nothing about this one.
    op = _NEGATIONS[op]
    x, y = values[left], values[right]
    if not y.missing:
        _narrow(values, found, left, _limit(x, op, y))
    if not x.missing:
        _narrow(values, found, right, _limit(y, _MIRRORED[op], x))


def _limit(x: Interval, op: str, y: Interval) -> Interval:
    """The x for which `x op y` can hold, with the gaps that x has."""
    if x.is_empty or y.is_empty:
        return make_empty(x.missing, x.failing) if y.is_empty else x
    if op == "eq":
        return x if "any" in (x.kind, y.kind) else with_gaps(meet(x, y), x.missing, x.failing)
    if op == "ne":
        return exclude(x, y.values[0]) if y.values is not None and len(y.values) == 1 else x
    if x.kind != "number" or y.kind != "number":
        return x
    whole = x.is_whole
    low, high = x.low, x.high
    if op == "lt":
        high = min(high, step_down(y.high, whole))
    elif op == "le":
        high = min(high, y.high)
    elif op == "gt":
        low = max(low, step_up(y.low, whole))
    else:
        low = max(low, y.low)
    limits = with_gaps(make_number(low, high), x.missing, x.failing)
    return meet(x, limits)


def _narrow(values: Sequence[Interval], found: Overrides, at: int, narrowed: Interval) -> None:
    current = found.get(at, values[at])
    met = meet(current, narrowed) if at in found else narrowed
    if met != current:
        found[at] = met


_NEGATIONS: Final = {"lt": "ge", "le": "gt", "gt": "le", "ge": "lt", "eq": "ne", "ne": "eq"}
_MIRRORED: Final = {"lt": "gt", "le": "ge", "gt": "lt", "ge": "le", "eq": "eq", "ne": "ne"}
