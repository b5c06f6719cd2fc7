"""What the operations of a reward's arithmetic come to, with gaps: a value that failed, and one that is not applicable."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from exgrpo_artifact.text_functions import round_number


class _Failed:
    """The type of FAILED."""

    def __repr__(self) -> str:
        return "FAILED"


FAILED: Final = _Failed()
"""A value that cannot be computed. None is not-applicable."""


def apply_with_gaps(function: Callable[..., Any], args: Sequence[Any], is_lazy: bool) -> Any:
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


LAZY: Mapping[str, Callable[..., Any]] = {
    "if": _choose,
    "default": _default,
    "and": _and,
    "or": _or,
    "eq": _equal,
    "ne": _differ,
    "not": _not,
}
"""Operations that take gaps themselves."""

STRICT: Mapping[str, Callable[..., Any]] = {
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

CALLS: Mapping[str, Callable[..., Any]] = {
    "clip": _clip,
    "ramp": _ramp,
    "abs": abs,
    "min": min,
    "max": max,
    "mod": operator.mod,
    "round": round_number,
}
