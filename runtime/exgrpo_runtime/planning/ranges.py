"""Figures that are not known yet: at least, expected, at most."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Range(NamedTuple):
    """One figure three ways. `worst` is None where nothing bounds it; adding what is unknown gives unknown."""

    low: float
    expected: float
    worst: float | None

    def plus(self, other: Range) -> Range:
        """The sum of both."""
        worst = None if self.worst is None or other.worst is None else self.worst + other.worst
        return Range(self.low + other.low, self.expected + other.expected, worst)

    def times(self, other: Range) -> Range:
        """The product, end by end; nothing times unknown is nothing.

        >>> Range(1, 2, 0).times(Range(5, 5, None))
        Range(low=5, expected=10, worst=0)
        """
        if self.worst == 0 or other.worst == 0:
            worst: float | None = 0
        else:
            worst = None if self.worst is None or other.worst is None else self.worst * other.worst
        return Range(self.low * other.low, self.expected * other.expected, worst)

    def minus(self, amount: float) -> Range:
        """What is left of each end after so much, never below zero."""
        worst = None if self.worst is None else max(0, self.worst - amount)
        return Range(max(0, self.low - amount), max(0, self.expected - amount), worst)


NOTHING = Range(0, 0, 0)


def exactly(value: float) -> Range:
    """A figure that is known."""
    return Range(value, value, value)


def add_up(ranges: Iterable[Range]) -> Range:
    """The sum; `NOTHING` for none."""
    total = NOTHING
    for each in ranges:
        total = total.plus(each)
    return total
