"""Remembering what was proved of a reward: specs of one library often share theirs, and a proof looks at its content alone."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import lru_cache, wraps
from typing import Generic, TypeVar

T = TypeVar("T")
S = TypeVar("S")

SIZE = 512


class Keyed(Generic[T]):
    """A value under a key that says all of it; equal where the keys are. Made when it is first asked for."""

    __slots__ = ("_hash", "_make", "_value", "key")

    def __init__(self, make: Callable[[], T], key: Hashable) -> None:
        self._make: Callable[[], T] | None = make
        self._value: T
        self._hash = hash(key)
        self.key = key

    @property
    def value(self) -> T:
        """The value."""
        if self._make is not None:
            self._value = self._make()
            # What the value is made of is much more than the value.
            self._make = None
        return self._value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Keyed) and self.key == other.key

    def __hash__(self) -> int:
        return self._hash


def remember(function: Callable[[T], S]) -> Callable[[Keyed[T]], S]:
    """The function of a keyed value, computed once for each key."""

    @lru_cache(maxsize=SIZE)
    def compute(keyed: Keyed[T]) -> S:
        return function(keyed.value)

    @wraps(function)
    def look_up(keyed: Keyed[T]) -> S:
        return compute(keyed)

    return look_up
