"""Advantages of rollouts from their totals: which mean is subtracted, which deviation divides.

Pure functions over numbers, no tensor. Shape letters: `P` questions of a step, `G` rollouts of a group.
Sources: GRPO (Shao et al. 2024, arXiv 2402.03300, section 4.1.2) for `baseline` and `scale` "group"; the
constant 1e-4 is TRL's. `baseline` "scenario" is this project's; the reason stands at `compute_advantages`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

EPSILON = 1e-4
"""Added to a deviation before dividing, as TRL does; in units of the reward."""

Baseline = Literal["group", "scenario"]
Scale = Literal["group", "batch", "none"]


class _Centred(NamedTuple):
    """One group with its baseline taken off."""

    values_G: list[float | None]
    num_kept: int
    num_means: int
    """Means that were subtracted: degrees of freedom that are gone."""


def compute_advantages(
    totals_PG: Sequence[Sequence[float | None]],
    scenarios_PG: Sequence[Sequence[str]],
    baseline: Baseline,
    scale: Scale,
    epsilon: float = EPSILON,
) -> list[list[float]]:
    """Advantages, shape `(P, G)`.

    None in `totals_PG` is a dropped rollout: its advantage is 0 and it counts nowhere.
    With n kept rollouts of which n_s are of scenario s, centred values c, and r the totals:

    `baseline` "group": c = r - mean(r). "scenario": c = r - mean(r over the rollout's own scenario). The
    student does not choose its scenario, so a right answer in a scenario whose every rollout was right is
    neither praised nor blamed for what the other scenario earned.

    `scale` "group": c / (d + epsilon), d over the group. For baseline "group" d is the sample deviation
    sqrt(sum c^2 / (n - 1)); for "scenario" the pooled deviation sqrt(sum c^2 / (n - S)), S the number of
    scenarios with a kept rollout, so one scenario's bonus is measured against the spread of all. "batch": the
    same two over all groups of the step: sample deviation of all totals (TRL's), or sqrt(sum c^2 / (sum n -
    sum S)). "none": c.

    Equal totals in a group, or in a scenario under baseline "scenario", give exactly 0, also where epsilon is 0.

    With d the divisor's deviation and a the advantage for epsilon = 0, the advantage is a * d / (d + epsilon): it
    differs from a by |a| * epsilon / (d + epsilon).

    >>> compute_advantages([[1.0, 0.0, None]], [["full", "full", "full"]], "group", "none")
    [[0.5, -0.5, 0.0]]
    """
    centred_P = [_centre(*group, baseline) for group in zip(totals_PG, scenarios_PG, strict=True)]
    if scale == "none":
        divisors_P = [1.0] * len(centred_P)
    elif scale == "group":
        divisors_P = [_pool_deviation([group]) + epsilon for group in centred_P]
    else:
        divisors_P = [_measure_batch(totals_PG, centred_P, baseline) + epsilon] * len(centred_P)
    return [
        # A value of 0 stays 0: the deviation, and with epsilon 0 the divisor, may be 0 with it.
        [value / divisor if value else 0.0 for value in group.values_G]
        for group, divisor in zip(centred_P, divisors_P, strict=True)
    ]


def has_signal(advantages_G: Sequence[float]) -> bool:
    """Whether a group moves the policy at all."""
    return any(advantage != 0.0 for advantage in advantages_G)


def _centre(totals_G: Sequence[float | None], scenarios_G: Sequence[str], baseline: Baseline) -> _Centred:
    keys_G = list(scenarios_G) if baseline == "scenario" else [""] * len(scenarios_G)
    means: dict[str, float] = {}
    for key in dict.fromkeys(keys_G):
        kept = [
            total for total, other in zip(totals_G, keys_G, strict=True) if other == key and total is not None
        ]
        if not all(math.isfinite(total) for total in kept):
            raise ValueError(f"A total is not finite: {kept}")
        if kept:
            # The mean of n equal floats need not be that float; then noise would be divided by epsilon.
            means[key] = kept[0] if min(kept) == max(kept) else math.fsum(kept) / len(kept)
    values_G = [None if r is None else r - means[key] for r, key in zip(totals_G, keys_G, strict=True)]
    return _Centred(values_G, sum(value is not None for value in values_G), len(means))


def _pool_deviation(groups: Sequence[_Centred]) -> float:
    """sqrt(sum c^2 / (sum n - number of means)); 0 where no degree of freedom is left."""
    freedom = sum(group.num_kept - group.num_means for group in groups)
    squares = math.fsum(value**2 for group in groups for value in group.values_G if value is not None)
    return math.sqrt(squares / freedom) if freedom > 0 else 0.0


def _measure_batch(
    totals_PG: Sequence[Sequence[float | None]], centred_P: Sequence[_Centred], baseline: Baseline
) -> float:
    if baseline == "scenario":
        return _pool_deviation(centred_P)
    flat = [total for totals_G in totals_PG for total in totals_G]
    return _pool_deviation([_centre(flat, [""] * len(flat), "group")])
