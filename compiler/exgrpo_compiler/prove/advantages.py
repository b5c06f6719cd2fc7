"""Advantages in closed form, over kinds of rollouts: what a proof needs of the training formula, without the training code.

The formula is that of `exgrpo_runtime.advantages` with epsilon 0, and a test compares the two.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def compute_advantages(
    totals: Sequence[float], counts: Sequence[int], scenarios: Sequence[str], baseline: str, scale: str
) -> list[float]:
    """The advantage of a rollout of each kind, in a group with so many of each.

    c = total - mean, over the group or over the scenario (`baseline`); divided by sqrt(sum n c^2 / (sum n - means)) for `scale`
    "group" (GRPO, Shao et al. 2024, arXiv 2402.03300). 0 throughout where all totals are equal.

    >>> compute_advantages([1.0, 0.0], [1, 1], ["full", "full"], "group", "none")
    [0.5, -0.5]
    """
    centred = centre_totals(totals, counts, scenarios, baseline)
    if scale == "none":
        return centred
    num_means = (
        len({key for key, count in zip(scenarios, counts, strict=True) if count})
        if baseline == "scenario"
        else 1
    )
    freedom = sum(counts) - num_means
    squares = sum(count * value**2 for value, count in zip(centred, counts, strict=True))
    deviation = math.sqrt(squares / freedom) if freedom > 0 else 0.0
    return [value / deviation if deviation > 0 else 0.0 for value in centred]


def centre_totals(
    totals: Sequence[float], counts: Sequence[int], scenarios: Sequence[str], baseline: str
) -> list[float]:
    """Totals with their baseline taken off; exactly 0 where all totals under one baseline are equal."""
    if baseline != "scenario":
        return centre_block(totals, counts)
    found = [0.0] * len(totals)
    for key in dict.fromkeys(scenarios):
        own = [at for at, scenario in enumerate(scenarios) if scenario == key]
        centred = centre_block([totals[at] for at in own], [counts[at] for at in own])
        for at, value in zip(own, centred, strict=True):
            found[at] = value
    return found


def centre_block(totals: Sequence[float], counts: Sequence[int]) -> list[float]:
    """Totals under one baseline with it taken off; 0 where there are no rollouts."""
    first: float | None = None
    is_equal = True
    number, weighted = 0, 0.0
    for total, count in zip(totals, counts, strict=True):
        if not count:
            continue
        if first is None:
            first = total
        is_equal = is_equal and total == first
        number += count
        weighted += total * count
    if first is None:
        return [0.0] * len(totals)
    mean = first if is_equal else weighted / number
    return [total - mean for total in totals]
