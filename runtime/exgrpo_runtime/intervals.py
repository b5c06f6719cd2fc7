"""95 % intervals of a mean score.

Scores of 0 and 1 get Wilson's interval (Wilson, 1927, eq. of section 2; two-sided, z = 1.96), which stays
inside [0, 1] and does not shrink to a point at 0 of n. Other scores get a seeded percentile bootstrap.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random
from typing import NamedTuple

Z_95 = 1.959963984540054
RESAMPLES = 2000


class Interval(NamedTuple):
    """Ends included."""

    low: float
    high: float


def wilson_interval(successes: int, total: int) -> Interval:
    """The 95 % interval of a share of `successes` in `total` trials; (0, 1) without a trial."""
    if total == 0:
        return Interval(0.0, 1.0)
    share = successes / total
    shrink = 1 + Z_95**2 / total
    centre = (share + Z_95**2 / (2 * total)) / shrink
    half = Z_95 * math.sqrt(share * (1 - share) / total + Z_95**2 / (4 * total**2)) / shrink
    # At 0 and at 1 the ends meet the share; rounding must not leave it outside.
    return Interval(min(share, max(0.0, centre - half)), max(share, min(1.0, centre + half)))


def bootstrap_interval(values: Sequence[float], seed: int = 0) -> Interval:
    """The 95 % interval of the mean of `values` (at least one), from the same resamples for the same seed."""
    rng = Random(seed)
    size = len(values)
    means = sorted(math.fsum(rng.choices(values, k=size)) / size for _ in range(RESAMPLES))
    return Interval(means[round(0.025 * (RESAMPLES - 1))], means[round(0.975 * (RESAMPLES - 1))])


def score_interval(values: Sequence[float]) -> Interval | None:
    """The interval that fits the values; None without any."""
    if not values:
        return None
    if all(value in (0, 1) for value in values):
        return wilson_interval(sum(value == 1 for value in values), len(values))
    return bootstrap_interval(values)
