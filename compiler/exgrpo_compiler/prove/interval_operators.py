"""Operators on intervals: arithmetic, comparison, logic; what exgrpo_artifact.arithmetic computes, for all values at once.

Invariant: sound, gaps included. Ends are computed with the same floating-point operations as values, which are monotone, so
rounding never puts a value outside. Overflow of unbounded operands is not called a failure: no real text is 1e308 tokens long.
"""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Callable
from typing import Any, Final

from exgrpo_compiler.prove.interval import (
    EITHER,
    ONE,
    ZERO,
    Interval,
    Nodes,
    exclude,
    make_empty,
    make_number,
    make_set,
    with_gaps,
)

Number = int | float
_MAX_PAIRS: Final = 1024
"""Pairs of values up to which an operation is computed for each pair."""


def apply_operator(op: str, args: list[Interval], node: str) -> Interval:
    """The values of an arithmetic or comparing operator; `node` is named as the reason of its own failures."""
    missing, failing = args[0].missing, args[0].failing
    for arg in args[1:]:
        if arg.missing:
            missing |= arg.missing
        if arg.failing:
            failing |= arg.failing
    if any(arg.is_empty for arg in args):
        return make_empty(missing, failing)
    if op in ("eq", "ne"):
        return with_gaps(_compare_equal(args[0], args[1], op == "eq"), missing, failing)
    kinds = {arg.kind for arg in args}
    if kinds != {"number"}:
        if op == "add" and kinds == {"text"}:
            return Interval(kind="text", missing=missing, failing=failing)
        failing |= {node}
        if not kinds <= {"number", "any"}:
            has_text = op == "add" and "number" not in kinds and kinds <= {"text", "any"}
            return (
                Interval(kind="text", missing=missing, failing=failing)
                if has_text
                else make_empty(missing, failing)
            )
        if op == "add" and kinds == {"any"}:
            return Interval(kind="any", missing=missing, failing=failing)
    if op in _ORDERS:
        return with_gaps(_compare_order(op, args[0], args[1]), missing, failing)
    numbers = [as_number(arg) for arg in args]
    if op == "neg":
        one = numbers[0]
        if one.values is not None:
            return make_set((-v for v in one.values), missing=missing, failing=failing)
        return make_number(-one.high, -one.low, is_whole=one.is_whole, missing=missing, failing=failing)
    if op == "div":
        return _divide(numbers[0], numbers[1], missing, failing, node)
    return _combine(op, numbers[0], numbers[1], missing, failing, node)


def as_number(one: Interval) -> Interval:
    """The numbers among the values."""
    return one if one.kind == "number" else Interval(missing=one.missing, failing=one.failing)


# --- arithmetic ---------------------------------------------------------------------------------------------


def _combine(op: str, left: Interval, right: Interval, missing: Nodes, failing: Nodes, node: str) -> Interval:
    function = _FUNCTIONS[op]
    if left.values is not None and right.values is not None:
        pairs = [(x, y) for x in left.values for y in right.values]
        if len(pairs) <= _MAX_PAIRS:
            return _compute_all(function, pairs, missing, failing, node)
    if op == "add":
        low, high = left.low + right.low, left.high + right.high
    elif op == "sub":
        low, high = left.low - right.high, left.high - right.low
    else:
        corners = [_multiply(x, y) for x in (left.low, left.high) for y in (right.low, right.high)]
        low, high = min(corners), max(corners)
    is_whole = left.is_whole and right.is_whole
    if left.is_bounded and right.is_bounded and not (math.isfinite(low) and math.isfinite(high)):
        failing |= {node}
    return make_number(low, high, is_whole=is_whole, missing=missing, failing=failing)


def _multiply(x: Number, y: Number) -> float:
    # An infinite end stands for numbers without bound, each of them finite: 0 times any is 0.
    return 0.0 if x == 0 or y == 0 else x * y


def _compute_all(
    function: Callable[[Any, Any], Any],
    pairs: list[tuple[Number, Number]],
    missing: Nodes,
    failing: Nodes,
    node: str,
) -> Interval:
    results: list[Number] = []
    for x, y in pairs:
        try:
            value = function(x, y)
        except (ZeroDivisionError, OverflowError):
            value = math.nan
        if -sys.float_info.max <= value <= sys.float_info.max:
            results.append(value)
        else:
            failing |= {node}
    return make_set(results, missing=missing, failing=failing)


def _divide(left: Interval, right: Interval, missing: Nodes, failing: Nodes, node: str) -> Interval:
    if left.values is not None and right.values is not None:
        pairs = [(x, y) for x in left.values for y in right.values]
        if len(pairs) <= _MAX_PAIRS:
            return _compute_all(operator.truediv, pairs, missing, failing, node)
    if right.low <= 0 <= right.high and (right.values is None or 0 in right.values):
        failing |= {node}
        right = exclude(right, 0)
        if right.is_empty:
            return make_empty(missing, failing)
    if right.low < 0 < right.high:
        low, high = (0.0, 0.0) if left.low == left.high == 0 else (-math.inf, math.inf)
        if right.is_whole or right.values is not None:
            least = min(abs(v) for v in right.values) if right.values else 1
            bound = max(abs(left.low), abs(left.high)) / least
            low, high = max(low, -bound), min(high, bound)
        return make_number(low, high, missing=missing, failing=failing)
    corners = [_quotient(x, y) for x in (left.low, left.high) for y in (right.low, right.high)]
    return make_number(min(corners), max(corners), missing=missing, failing=failing)


def _quotient(x: Number, y: Number) -> float:
    if x == 0 or math.isinf(y):
        # Towards an unbounded divisor the quotient tends to 0, from an unbounded dividend to anything on its side of 0.
        return 0.0
    if math.isinf(x):
        return x if y > 0 else -x
    try:
        return x / y
    except OverflowError:
        return math.inf if (x > 0) == (y > 0) else -math.inf


_FUNCTIONS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
}


# --- comparison ---------------------------------------------------------------------------------------------


def make_truth(can_hold: bool, can_not: bool) -> Interval:
    """0, 1, either, or nothing where neither can be."""
    if can_hold:
        return EITHER if can_not else ONE
    return ZERO if can_not else make_empty()


def _compare_order(op: str, left: Interval, right: Interval) -> Interval:
    left, right = as_number(left), as_number(right)
    if op in ("gt", "ge"):
        left, right, op = right, left, "lt" if op == "gt" else "le"
    # An unbounded end is never reached, so a comparison with it can go either way.
    if op == "lt":
        return make_truth(left.low < right.high, left.high >= right.low)
    return make_truth(left.low <= right.high, left.high > right.low)


def _compare_equal(left: Interval, right: Interval, is_equal: bool) -> Interval:
    can_hold, can_not = _can_be_equal(left, right), _can_differ(left, right)
    return make_truth(can_hold, can_not) if is_equal else make_truth(can_not, can_hold)


def _can_be_equal(left: Interval, right: Interval) -> bool:
    if "any" in (left.kind, right.kind):
        return True
    if left.kind != right.kind:
        return False
    if left.values is not None and right.values is not None:
        return any(value in right.values for value in left.values)
    if left.kind != "number":
        return True
    if left.values is not None or right.values is not None:
        finite, other = (left, right) if left.values is not None else (right, left)
        return any(
            other.low <= v <= other.high and (not other.is_whole or v == math.floor(v))
            for v in finite.values or ()
        )
    return left.low <= right.high and right.low <= left.high


def _can_differ(left: Interval, right: Interval) -> bool:
    if left.kind != right.kind or left.kind not in ("number", "text"):
        return True
    are_single = left.values is not None and right.values is not None
    return not (are_single and left.values == right.values and len(left.values or ()) == 1)


_ORDERS: Final = frozenset({"lt", "le", "gt", "ge"})
OPERATORS: Final = frozenset({"add", "sub", "mul", "div", "neg", "eq", "ne", *_ORDERS})
"""Ops that `apply_operator` takes."""


# --- logic --------------------------------------------------------------------------------------------------


def can_be_true(one: Interval) -> bool:
    """Whether a condition may be met."""
    if one.values is not None:
        return one.kind == "number" and any(v != 0 for v in one.values)
    return one.kind == "any" or (one.kind == "number" and not (one.low == one.high == 0))


def can_be_false(one: Interval) -> bool:
    """Whether a condition may be known not to be met."""
    if one.values is not None:
        return one.kind == "number" and 0 in one.values
    return one.kind == "any" or (one.kind == "number" and one.low <= 0 <= one.high)


def may_refuse(one: Interval) -> bool:
    """Whether the condition may be a value that is neither true nor false."""
    return not one.is_empty and one.kind != "number"


def negate(one: Interval, node: str) -> Interval:
    """`not`."""
    failing = one.failing | {node} if may_refuse(one) else one.failing
    return with_gaps(make_truth(can_be_false(one), can_be_true(one)), one.missing, failing)


def decide(op: str, args: list[Interval], node: str) -> Interval:
    """`and`, `or`: one argument that decides is enough, whatever the others are; else a gap is a gap."""
    can_decide = can_be_false if op == "and" else can_be_true
    can_pass = can_be_true if op == "and" else can_be_false
    missing: Nodes = frozenset().union(*(arg.missing for arg in args))
    failing: Nodes = frozenset().union(*(arg.failing for arg in args))
    if any(may_refuse(arg) for arg in args):
        failing |= {node}
    is_decided = any(
        not can_pass(arg) and can_decide(arg) and not arg.missing and not arg.failing and not may_refuse(arg)
        for arg in args
    )
    if is_decided:
        return ZERO if op == "and" else ONE
    decided, passed = any(map(can_decide, args)), all(map(can_pass, args))
    truth = make_truth(passed, decided) if op == "and" else make_truth(decided, passed)
    return with_gaps(truth, missing, failing)
