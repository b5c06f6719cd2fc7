"""Whether an expectation holds, rollout by rollout.

A value is a number, or None: the term is not applicable there, or the rollout was dropped. `==` of two Nones is true, any other
comparison with None is false, and arithmetic with None gives None.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence

from exgrpo_artifact.record import Record
from exgrpo_compiler.checked_tests import CheckedExpect, Operand
from exgrpo_compiler.program import Key
from exgrpo_compiler.source import Span

Number = float | None
Columns = Mapping[tuple[Key, str], Sequence[Number]]
"""(reward, term) -> its values, one for each rollout."""

TOLERANCE = 1e-9
"""How far apart two equal numbers may be, absolutely for those below 1 and relatively for others."""

_ARITHMETIC: Mapping[str, Callable[[float, float], float]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
}


class Mismatch(Record):
    """A comparison that is false at a rollout, with what stands on its sides."""

    rollout: int
    op: str
    left: Number
    right: Number
    left_span: Span
    right_span: Span


class Judged(Record):
    """An expectation that was looked at."""

    expect: CheckedExpect
    failing: tuple[int, ...]
    """Rollouts at which it is false."""
    mismatches: tuple[Mismatch, ...]
    """Comparisons to blame, by rollout. Empty where none can be singled out."""
    values: tuple[tuple[Span, tuple[Number, ...]], ...]
    """Every part that is no literal, with its values: one for each rollout, or the one of an aggregate."""

    @property
    def is_met(self) -> bool:
        """Whether it is true at every rollout."""
        return not self.failing


def judge_expectation(expect: CheckedExpect, columns: Columns, num_rollouts: int) -> Judged:
    """The expectation at every rollout."""
    condition = expect.condition
    at = _Evaluator(columns, num_rollouts)
    failing = tuple(place for place in range(num_rollouts) if not at.is_true(condition, place))
    if not failing:
        return Judged(expect, (), (), ())
    mismatches = tuple(found for place in failing for found in at.find_mismatches(condition, place))
    parts = {part.span: part for part in _list_parts(condition)}
    values = tuple(
        (
            span,
            tuple(at.evaluate(part, place) for place in range(1 if part.op == "aggregate" else num_rollouts)),
        )
        for span, part in parts.items()
    )
    return Judged(expect, failing, mismatches, values)


class _Evaluator:
    def __init__(self, columns: Columns, num_rollouts: int) -> None:
        self.columns = columns
        self.num_rollouts = num_rollouts

    def is_true(self, part: Operand, place: int) -> bool:
        """Whether a condition holds at a rollout; a number is true where it is there and not 0."""
        value = self.evaluate(part, place)
        return value is not None and value != 0

    def evaluate(self, part: Operand, place: int) -> Number:
        """The part's value at a rollout; a condition's is 0 or 1."""
        if part.op == "term":
            return self.columns[part.params["reward"], part.params["term"]][place]
        if part.op == "number":
            value: Number = part.params["value"]
            return value
        if part.op == "values":
            found: Number = part.params["values"][place]
            return found
        if part.op in ("and", "or"):
            truths = [self.is_true(arg, place) for arg in part.args]
            return float(all(truths) if part.op == "and" else any(truths))
        if part.op == "not":
            return float(not self.is_true(part.args[0], place))
        if part.op == "aggregate":
            return self._aggregate(part)
        numbers = [self.evaluate(arg, place) for arg in part.args]
        if part.op in COMPARISONS:
            return float(compare(part.op, *numbers))
        return _calculate(part, numbers)

    def _aggregate(self, part: Operand) -> Number:
        fn, arg = part.params["fn"], part.args[0]
        places = range(self.num_rollouts)
        if fn in ("any", "all", "count"):
            truths = [self.is_true(arg, place) for place in places]
            return float(sum(truths)) if fn == "count" else float(any(truths) if fn == "any" else all(truths))
        known = [value for place in places if (value := self.evaluate(arg, place)) is not None]
        if not known:
            return None
        return sum(known) / len(known) if fn == "mean" else max(known) if fn == "max" else min(known)

    def find_mismatches(self, part: Operand, place: int) -> list[Mismatch]:
        """The comparisons that make a condition false: all the false ones of an `and` or an `or`."""
        if self.is_true(part, place):
            return []
        if part.op in ("and", "or"):
            return [found for arg in part.args for found in self.find_mismatches(arg, place)]
        if part.op in COMPARISONS:
            left, right = part.args
            values = self.evaluate(left, place), self.evaluate(right, place)
            return [Mismatch(place, part.op, *values, left.span, right.span)]
        return []


def _calculate(part: Operand, numbers: Sequence[Number]) -> Number:
    known = [value for value in numbers if value is not None]
    if len(known) < len(numbers):
        return None
    if part.op == "neg":
        return -known[0]
    if part.op == "call":
        fn = part.params["fn"]
        return abs(known[0]) if fn == "abs" else max(known) if fn == "max" else min(known)
    if part.op == "div" and known[1] == 0:
        return None
    return _ARITHMETIC[part.op](known[0], known[1])


def is_close(left: float, right: float) -> bool:
    """Whether two numbers are equal to within TOLERANCE."""
    return abs(left - right) <= TOLERANCE * max(1.0, abs(left), abs(right))


def compare(op: str, left: Number, right: Number) -> bool:
    """Whether `left op right`."""
    if left is None or right is None:
        is_same = left is right
        return is_same if op == "eq" else not is_same if op == "ne" else False
    return COMPARISONS[op](left, right)


COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "eq": is_close,
    "ne": lambda left, right: not is_close(left, right),
    "lt": lambda left, right: left < right and not is_close(left, right),
    "le": lambda left, right: left < right or is_close(left, right),
    "gt": lambda left, right: left > right and not is_close(left, right),
    "ge": lambda left, right: left > right or is_close(left, right),
}
"""Comparisons that agree with each other: what is equal is neither less nor more."""


def _list_parts(part: Operand) -> list[Operand]:
    """Parts worth showing: terms, and what is computed from them."""
    own = [part] if part.op not in ("number", "values", "and", "or", "not", *COMPARISONS) else []
    return [*own, *(found for arg in part.args for found in _list_parts(arg))]
