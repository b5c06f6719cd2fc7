"""Draws: functions whose value depends on a seed or a generator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exgrpo_artifact.values import Failed, Value, clean_value, describe_value, find_gap

if TYPE_CHECKING:
    import random


def draw_bernoulli(p: Value, seed: str) -> Value:
    """1 with probability `p`, else 0; the same for the same seed on every machine."""
    p = clean_value(p)
    gap = find_gap([p])
    if gap is not None:
        return gap
    if not isinstance(p, int | float) or not 0 <= p <= 1:
        return Failed(f"`bernoulli` needs a probability from 0 to 1, and this is {describe_value(p)}")
    import random

    return int(random.Random(seed).random() < p)


def draw_uniform(low: Value, high: Value, rng: random.Random) -> Value:
    """A whole number from `low` to `high`, ends included, each as likely; `low` where `high` is below it.

    So `uniform(1, k - 1)` asks for one probe where one is at hand.
    """
    gap = find_gap([clean_value(low), clean_value(high)])
    if gap is not None:
        return gap
    ends = [end for end in (low, high) if isinstance(end, int | float) and float(end).is_integer()]
    if len(ends) < 2:
        return Failed("`uniform` needs whole numbers")
    first, last = map(int, ends)
    return rng.randint(first, max(first, last))
