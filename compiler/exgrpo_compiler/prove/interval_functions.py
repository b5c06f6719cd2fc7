"""Calls on intervals: what each builtin function can give, from what its arguments can be.

One entry for each function of exgrpo_artifact.operations and for those that a model or a seed answers; a test verifies that none is
left out. Invariant: sound, as in `interval_operators`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from exgrpo_artifact.named import NamedTuple
from exgrpo_artifact.text_functions import MAX_ROUND, round_number
from exgrpo_compiler.prove.interval import (
    ANY_NUMBER,
    ANY_TEXT,
    ANYTHING,
    COUNT,
    EITHER,
    Interval,
    Nodes,
    make_empty,
    make_list,
    make_number,
    make_set,
    with_gaps,
)
from exgrpo_compiler.prove.interval_operators import as_number


class Call(NamedTuple):
    """A call at hand: its node, its static parameters, and the numbers that a rubric's scale allows."""

    node: str
    params: Mapping[str, Any]
    scales: Mapping[str, tuple[float, float]]


class Result(NamedTuple):
    """What a function gives where all its arguments are known, and whether it may refuse them."""

    value: Interval
    may_fail: bool = False
    may_be_missing: bool = False


def apply_call(call: Call, args: Sequence[Interval]) -> Interval:
    """The values of a call; a gap among its arguments is a gap of its own."""
    missing: Nodes = frozenset().union(*(arg.missing for arg in args))
    failing: Nodes = frozenset().union(*(arg.failing for arg in args))
    if any(arg.is_empty for arg in args):
        return make_empty(missing, failing)
    result = FUNCTIONS[call.params["fn"]](call, args)
    failing |= result.value.failing
    if result.may_fail:
        failing |= {call.node}
    if result.may_be_missing:
        missing |= {call.node}
    return with_gaps(result.value, missing | result.value.missing, failing)


# --- numbers ------------------------------------------------------------------------------------------------


def _clear(one: Interval) -> Interval:
    return with_gaps(one, frozenset(), frozenset())


def _map_ends(args: Sequence[Interval], function: Callable[..., Any]) -> Interval:
    """A function that is monotone in each argument: its values at the ends are its ends."""
    values = [arg.values for arg in args]
    if all(values) and math.prod(len(one) for one in values if one is not None) <= 1024:
        return make_set(_cross(function, [one for one in values if one is not None]))
    ends = _cross(function, [(arg.low, arg.high) for arg in args])
    is_whole = all(arg.is_whole for arg in args)
    return make_number(min(ends), max(ends), is_whole=is_whole)


def _cross(function: Callable[..., Any], columns: Sequence[Sequence[Any]]) -> list[Any]:
    tuples: list[tuple[Any, ...]] = [()]
    for column in columns:
        tuples = [(*one, value) for one in tuples for value in column]
    return [function(*one) for one in tuples]


def _refuses(args: Sequence[Interval]) -> bool:
    return any(arg.kind != "number" for arg in args)


def _may_be_truth(one: Interval) -> bool:
    """Whether it may be `true` or `false`, which some functions refuse; the domain does not tell them from 1 and 0."""
    return one.low <= 1 and one.high >= 0


def _numbers(args: Sequence[Interval]) -> list[Interval]:
    return [_clear(as_number(arg)) for arg in args]


def _clip(_: Call, args: Sequence[Interval]) -> Result:
    x, a, b = _numbers(args)
    is_crossed = a.high > b.low
    value = _map_ends([x, a, b], lambda value, low, high: min(max(value, low), high))
    return Result(value, _refuses(args) or is_crossed)


def _ramp(_: Call, args: Sequence[Interval]) -> Result:
    x, start, end = _numbers(args)
    if start.values is None or end.values is None or len(start.values) * len(end.values) != 1:
        may_be_equal = start.low <= end.high and end.low <= start.high
        return Result(make_number(0, 1), may_be_equal or _refuses(args))
    first, last = start.values[0], end.values[0]
    if first == last:
        return Result(make_empty(), True)

    def rise(value: float) -> float:
        if math.isinf(value):
            return 1.0 if (value > 0) == (last > first) else 0.0
        return float(min(max((value - first) / (last - first), 0.0), 1.0))

    if x.values is not None:
        return Result(make_set(map(rise, x.values)), _refuses(args))
    ends = rise(x.low), rise(x.high)
    return Result(make_number(min(ends), max(ends)), _refuses(args))


def _abs(_: Call, args: Sequence[Interval]) -> Result:
    (x,) = _numbers(args)
    if x.values is not None:
        return Result(make_set(map(abs, x.values)), _refuses(args))
    low = 0.0 if x.low <= 0 <= x.high else min(abs(x.low), abs(x.high))
    return Result(make_number(low, max(abs(x.low), abs(x.high)), is_whole=x.is_whole), _refuses(args))


def _min(_: Call, args: Sequence[Interval]) -> Result:
    return Result(_map_ends(_numbers(args), min), _refuses(args))


def _max(_: Call, args: Sequence[Interval]) -> Result:
    return Result(_map_ends(_numbers(args), max), _refuses(args))


def _mod(_: Call, args: Sequence[Interval]) -> Result:
    a, b = _numbers(args)
    may_fail = _refuses(args) or (b.low <= 0 <= b.high and (b.values is None or 0 in b.values))
    if a.values is not None and b.values is not None:
        return Result(make_set(x % y for x in a.values for y in b.values if y != 0), may_fail)
    if b.low > 0 and a.low >= 0 and a.high < b.low:
        return Result(a, may_fail)
    is_whole = a.is_whole and b.is_whole
    # Rounding can bring the rest up to the divisor itself: -1e-20 mod 1 is 1.
    short = 1 if is_whole else 0
    low, high = min(b.low + short, 0.0), max(b.high - short, 0.0)
    return Result(make_number(low, high, is_whole=is_whole), may_fail)


def _round(_: Call, args: Sequence[Interval]) -> Result:
    x = _clear(as_number(args[0]))
    digits = args[1].values if len(args) > 1 else (0,)
    may_fail = _refuses(args)
    if digits is None or len(digits) != 1 or not _is_digits(digits[0]):
        return Result(make_number(_shift(x.low, -0.5), _shift(x.high, 0.5), is_whole=x.is_whole), True)

    def settle(value: Any) -> Any:
        return value if math.isinf(value) else round_number(value, int(digits[0]))

    if x.values is not None:
        return Result(make_set(map(settle, x.values)), may_fail)
    is_whole = x.is_whole or digits[0] == 0
    return Result(make_number(settle(x.low), settle(x.high), is_whole=is_whole), may_fail)


def _is_digits(value: Any) -> bool:
    return value in range(MAX_ROUND + 1)


def _shift(end: float, by: float) -> float:
    return end if math.isinf(end) else end + by


def _number(_: Call, args: Sequence[Interval]) -> Result:
    one = args[0]
    if one.kind == "number":
        return Result(_clear(one), _may_be_truth(one))
    return Result(ANY_NUMBER, True) if one.kind in ("text", "any") else Result(make_empty(), True)


# --- texts and lists ----------------------------------------------------------------------------------------


def _give(value: Interval, *, due: str = "text", may_fail: bool = False) -> Callable[..., Result]:
    """A function whose values do not depend on its arguments, which are of the kind `due`."""

    def apply(_: Call, args: Sequence[Interval]) -> Result:
        return Result(value, may_fail or any(arg.kind != due for arg in args[:1]))

    return apply


def _contains(_: Call, args: Sequence[Interval]) -> Result:
    return Result(EITHER, any(arg.kind != "text" for arg in args))


def _matches(call: Call, args: Sequence[Interval]) -> Result:
    # Whether two formulas are equal can stay undecided.
    is_math = str(call.params["answer"]["kind"]).startswith("math.")
    return Result(EITHER, is_math or args[0].kind != "text" or args[1].kind not in ("text", "number"))


def _item(_: Call, args: Sequence[Interval]) -> Result:
    one = args[0]
    if one.kind == "list":
        return Result(one.element if one.element is not None else ANYTHING, False, True)
    return Result(ANYTHING, True, True) if one.kind == "any" else Result(make_empty(), True)


def _shuffle(_: Call, args: Sequence[Interval]) -> Result:
    one = args[0] if args[0].kind == "list" else make_list(None)
    # The seed is an int: neither 2.0 nor true, which the domain does not tell from 2 and 1.
    return Result(_clear(one), True)


# --- seeds and models ---------------------------------------------------------------------------------------


def _bernoulli(_: Call, args: Sequence[Interval]) -> Result:
    p = as_number(args[0])
    may_fail = _refuses(args) or p.low < 0 or p.high > 1
    if p.high <= 0:
        return Result(make_set([0]), may_fail)
    # A draw lies in [0, 1), so that probability 1 always gives 1.
    return Result(make_set([1]) if p.low >= 1 else EITHER, may_fail)


def _uniform(_: Call, args: Sequence[Interval]) -> Result:
    low, high = _numbers(args)
    value = make_number(low.low, max(low.high, high.high), is_whole=True)
    return Result(value, not (low.is_whole and high.is_whole))


def _score(call: Call, _: Sequence[Interval]) -> Result:
    scale = call.scales.get(str(call.params.get("rubric")))
    return Result(make_number(*scale) if scale else ANY_NUMBER, True)


def _verdict(_: Call, __: Sequence[Interval]) -> Result:
    return Result(EITHER, True)


FUNCTIONS: Final[Mapping[str, Callable[[Call, Sequence[Interval]], Result]]] = {
    "before": _give(ANY_TEXT, may_fail=True),
    "after": _give(ANY_TEXT, may_fail=True),
    "strip": _give(ANY_TEXT),
    "lower": _give(ANY_TEXT),
    "words": _give(COUNT),
    "sentences": _give(COUNT),
    "lines": _give(COUNT),
    "number": _number,
    "first": _item,
    "last": _item,
    "json": _give(ANYTHING, may_fail=True),
    "round": _round,
    "shuffle": _shuffle,
    "declassify": lambda _, args: Result(_clear(args[0])),
    "contains": _contains,
    "clip": _clip,
    "ramp": _ramp,
    "abs": _abs,
    "min": _min,
    "max": _max,
    "mod": _mod,
    "matches": _matches,
    "format": _give(EITHER),
    "bernoulli": _bernoulli,
    "uniform": _uniform,
    "agrees": _verdict,
    "majority": _verdict,
    "duplicate": _verdict,
    "similarity": lambda _, __: Result(make_number(-1, 1), True),
    "solved": lambda _, __: Result(COUNT, True),
    "judge.score": _score,
    "judge.same": _verdict,
}
"""Function -> what it gives. Arguments are known and not empty when it is asked."""
