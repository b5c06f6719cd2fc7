"""What a node of a reward can come to, known before anything is run: the domain of interval inference.

An `Interval` describes a set of values: numbers between two ends, or a finite set of numbers or texts while it is small, and
whether the value may be missing (not applicable) or failed, and because of which nodes. Invariant: every operation of this
package gives an interval that holds each value the evaluator can give (soundness); it may hold more.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Final, Literal

from exgrpo_artifact.record import Record, replace

Kind = Literal["number", "text", "list", "any"]
Nodes = frozenset[str]

MAX_VALUES: Final = 32
"""Values up to which a finite set is kept; beyond, its hull is."""
_EXACT: Final = 2**52
"""Below it, no number lies between a float and the next one that a comparison could tell apart from both."""

NONE: Final[Nodes] = frozenset()


class Interval(Record, guarded=False):
    """A set of values. Empty where `values` is (): then there is never a value, only gaps if any."""

    kind: Kind = "number"
    low: float = -math.inf
    """Least number; `-inf` means that there is no least one, never an infinite value."""
    high: float = math.inf
    values: tuple[Any, ...] | None = None
    """All values, ascending, where they are few."""
    is_whole: bool = False
    """Whether numbers are all whole."""
    missing: Nodes = NONE
    """Nodes because of which the value may be not applicable; none where it never is."""
    failing: Nodes = NONE
    """Nodes because of which the value may be failed."""
    element: Interval | None = None
    """What a list holds, where that is known."""

    # What a record does field by field, in one expression: intervals are compared more often than anything else.
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Interval) and (
            self.low == other.low
            and self.high == other.high
            and self.values == other.values
            and self.kind == other.kind
            and self.is_whole == other.is_whole
            and self.missing == other.missing
            and self.failing == other.failing
            and self.element == other.element
        )

    def __hash__(self) -> int:
        return hash((self.kind, self.low, self.high, self.values, self.missing, self.failing))

    @property
    def is_empty(self) -> bool:
        """Whether there is never a value."""
        return self.values == ()

    @property
    def may_be_missing(self) -> bool:
        """Whether the value may be not applicable."""
        return bool(self.missing)

    @property
    def may_fail(self) -> bool:
        """Whether the value may be failed."""
        return bool(self.failing)

    @property
    def is_bounded(self) -> bool:
        """Whether both ends are finite; true of an empty interval."""
        return self.is_empty or (
            self.kind == "number" and math.isfinite(self.low) and math.isfinite(self.high)
        )

    @property
    def width(self) -> float:
        """Distance of the ends, 0 of an empty interval."""
        return 0.0 if self.is_empty else self.high - self.low

    def holds(self, value: Any) -> bool:
        """Whether a plain value is in the set, up to rounding of sums in another order."""
        if self.kind == "any" or self.is_empty:
            return self.kind == "any" and not self.is_empty
        if isinstance(value, str):
            return self.kind == "text" and (self.values is None or value in self.values)
        if not isinstance(value, int | float):
            return self.kind == "list"
        if self.kind != "number":
            return False
        if self.values is not None and not any(_is_near(value, one) for one in self.values):
            return False
        if self.is_whole and not _is_near(value, round(value)):
            return False
        return self.low <= value <= self.high or _is_near(value, self.low) or _is_near(value, self.high)


EMPTY: Final = Interval(low=math.inf, high=-math.inf, values=())
ANYTHING: Final = Interval(kind="any")
ANY_NUMBER: Final = Interval()
ANY_TEXT: Final = Interval(kind="text")
ZERO: Final = Interval(low=0, high=0, values=(0,), is_whole=True)
ONE: Final = Interval(low=1, high=1, values=(1,), is_whole=True)
EITHER: Final = Interval(low=0, high=1, values=(0, 1), is_whole=True)
"""0 or 1: what conditions and outcomes give."""
COUNT: Final = Interval(low=0, is_whole=True)


def make_number(
    low: float, high: float, *, is_whole: bool = False, missing: Nodes = NONE, failing: Nodes = NONE
) -> Interval:
    """The numbers from `low` to `high`, as a set where they are whole and few."""
    if is_whole:
        low, high = _round_up(low), _round_down(high)
    if low > high:
        return make_empty(missing, failing)
    values: tuple[Any, ...] | None = None
    if low == high:
        values = (low,)
    elif is_whole and high - low < MAX_VALUES:
        values = tuple(range(int(low), int(high) + 1))
    return Interval("number", low, high, values, is_whole, missing, failing)


def make_set(values: Iterable[Any], *, missing: Nodes = NONE, failing: Nodes = NONE) -> Interval:
    """These numbers; their hull where they are many."""
    found = sorted(set(values))
    if not found:
        return make_empty(missing, failing)
    is_whole = True
    for value in found:
        if not isinstance(value, int) and not value.is_integer():
            is_whole = False
            break
    kept = tuple(found) if len(found) <= MAX_VALUES else None
    return Interval("number", found[0], found[-1], kept, is_whole, missing, failing)


def make_texts(values: Iterable[str] | None) -> Interval:
    """These texts; any text for None."""
    if values is None:
        return ANY_TEXT
    found = tuple(sorted(set(values)))
    return Interval(kind="text", values=found if len(found) <= MAX_VALUES else None)


def make_list(element: Interval | None) -> Interval:
    """A list of such elements."""
    return Interval(kind="list", element=element)


def make_empty(missing: Nodes = NONE, failing: Nodes = NONE) -> Interval:
    """No value, only gaps."""
    if not missing and not failing:
        return EMPTY
    return replace(EMPTY, missing=missing, failing=failing)


def make_literal(value: Any) -> Interval:
    """One literal."""
    if isinstance(value, bool):
        return ONE if value else ZERO
    if isinstance(value, int | float):
        is_whole = isinstance(value, int) or value.is_integer()
        return Interval("number", value, value, (value,), is_whole)
    if isinstance(value, str):
        return Interval("text", values=(value,))
    if isinstance(value, list | tuple):
        return make_list(join_all(make_literal(item) for item in value))
    return ANYTHING


# --- set operations -----------------------------------------------------------------------------------------


def with_gaps(one: Interval, missing: Nodes, failing: Nodes) -> Interval:
    """The interval with just these reasons to be missing or failed."""
    if one.missing == missing and one.failing == failing:
        return one
    return Interval(one.kind, one.low, one.high, one.values, one.is_whole, missing, failing, one.element)


def join(left: Interval, right: Interval) -> Interval:
    """What is one or the other."""
    if left is right:
        return left
    missing, failing = left.missing | right.missing, left.failing | right.failing
    if left.is_empty:
        return with_gaps(right, missing, failing)
    if right.is_empty:
        return with_gaps(left, missing, failing)
    if left.kind != right.kind:
        return with_gaps(ANYTHING, missing, failing)
    if left.kind == "number":
        if left.values is not None and right.values is not None:
            return make_set(left.values + right.values, missing=missing, failing=failing)
        low, high = min(left.low, right.low), max(left.high, right.high)
        is_whole = left.is_whole and right.is_whole
        return Interval("number", low, high, None, is_whole, missing, failing)
    if left.kind == "text":
        is_finite = left.values is not None and right.values is not None
        texts = make_texts((*(left.values or ()), *(right.values or ())) if is_finite else None)
        return with_gaps(texts, missing, failing)
    return with_gaps(left if left == right else Interval(kind=left.kind), missing, failing)


def join_all(parts: Iterable[Interval]) -> Interval:
    """What is one of them; empty where there is none."""
    result = EMPTY
    for part in parts:
        result = join(result, part)
    return result


def meet(left: Interval, right: Interval) -> Interval:
    """What is both: two descriptions of one value."""
    if left is right:
        return left
    missing, failing = left.missing & right.missing, left.failing & right.failing
    if left.kind == "any" or right.kind == "any":
        return with_gaps(right if left.kind == "any" else left, missing, failing)
    if left.is_empty or right.is_empty or left.kind != right.kind:
        return make_empty(missing, failing)
    if left.kind == "text":
        if left.values is None or right.values is None:
            return with_gaps(right if left.values is None else left, missing, failing)
        return _meet_sets(left, tuple(v for v in left.values if v in right.values), missing, failing)
    if left.kind != "number":
        return with_gaps(left, missing, failing)
    return _meet_numbers(left, right, missing, failing)


def _meet_numbers(left: Interval, right: Interval, missing: Nodes, failing: Nodes) -> Interval:
    low, high = max(left.low, right.low), min(left.high, right.high)
    finite = left.values if left.values is not None else right.values
    if finite is not None:
        other = right.values if left.values is not None else None
        kept = [v for v in finite if low <= v <= high and (other is None or v in other)]
        return make_set(kept, missing=missing, failing=failing)
    return make_number(low, high, is_whole=left.is_whole or right.is_whole, missing=missing, failing=failing)


def _meet_sets(one: Interval, values: tuple[Any, ...], missing: Nodes, failing: Nodes) -> Interval:
    if not values:
        return make_empty(missing, failing)
    return Interval(one.kind, one.low, one.high, values, one.is_whole, missing, failing)


def exclude(one: Interval, value: Any) -> Interval:
    """Without one value: from a set, or from an end."""
    if one.values is not None:
        kept = tuple(v for v in one.values if v != value)
        if one.kind == "number":
            return make_set(kept, missing=one.missing, failing=one.failing)
        return _meet_sets(one, kept, one.missing, one.failing)
    if one.kind != "number" or not isinstance(value, int | float):
        return one
    low = step_up(value, one.is_whole) if value == one.low else one.low
    high = step_down(value, one.is_whole) if value == one.high else one.high
    return make_number(low, high, is_whole=one.is_whole, missing=one.missing, failing=one.failing)


def step_up(bound: float, is_whole: bool) -> float:
    """The least number above a bound, or the bound where floats are too coarse to tell."""
    if not -_EXACT < bound < _EXACT:
        return bound
    return math.floor(bound) + 1 if is_whole else math.nextafter(bound, math.inf)


def step_down(bound: float, is_whole: bool) -> float:
    """The greatest number below a bound, or the bound where floats are too coarse to tell."""
    return -step_up(-bound, is_whole)


def _round_up(bound: float) -> float:
    return math.ceil(bound) if -_EXACT < bound < _EXACT else bound


def _round_down(bound: float) -> float:
    return math.floor(bound) if -_EXACT < bound < _EXACT else bound


def _is_near(left: float, right: float) -> bool:
    return left == right or (math.isfinite(right) and math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-9))


# --- words --------------------------------------------------------------------------------------------------

_SHOWN: Final = 6


def describe_interval(one: Interval) -> str:
    """The interval in short.

    >>> describe_interval(EITHER), describe_interval(COUNT), describe_interval(make_number(0.5, 1))
    ('{0, 1}', '0..∞', '0.5..1')
    """
    words = [_describe_values(one)] if not one.is_empty else []
    if one.may_be_missing:
        words.append("missing")
    if one.may_fail:
        words.append("failed")
    return " or ".join(words) or "nothing"


def _describe_values(one: Interval) -> str:
    if one.values is not None and len(one.values) <= _SHOWN:
        shown = [f'"{v}"' if isinstance(v, str) else describe_number(v) for v in one.values]
        # Values that rounding alone tells apart are one to a reader.
        shown = list(dict.fromkeys(shown))
        return shown[0] if len(shown) == 1 else "{" + ", ".join(shown) + "}"
    if one.kind == "number":
        return f"{describe_number(one.low)}..{describe_number(one.high)}"
    return {"text": "a text", "list": "a list", "any": "anything"}[one.kind]


def describe_number(number: float) -> str:
    """The number as a reader would write it.

    >>> describe_number(-0.0), describe_number(0.1 + 0.2), describe_number(float("-inf"))
    ('0', '0.3', '-∞')
    """
    if math.isinf(number):
        return "∞" if number > 0 else "-∞"
    if abs(number) < 1e-300:
        return "0"
    return f"{number:.6g}"
