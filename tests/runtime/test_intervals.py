from __future__ import annotations

import math

import pytest

from exgrpo_runtime.intervals import bootstrap_interval, score_interval, wilson_interval


def test_wilson_matches_the_worked_example():
    # 15 of 20, z = 1.96: (0.75 + 1.9207/20 ± 1.96 sqrt(0.1875/20 + 3.8415/1600)) / (1 + 3.8415/20).
    assert wilson_interval(15, 20) == pytest.approx((0.5313, 0.8881), abs=5e-5)


@pytest.mark.parametrize(("successes", "total"), [(0, 10), (10, 10), (0, 1), (7, 10), (299, 300)])
def test_wilson_holds_the_share_and_stays_in_range(successes, total):
    low, high = wilson_interval(successes, total)
    assert 0 <= low <= successes / total <= high <= 1
    assert low < high


def test_wilson_of_nothing_says_nothing():
    assert wilson_interval(0, 0) == (0, 1)


def test_graded_scores_get_the_bootstrap():
    values = [0.1 * (i % 11) for i in range(220)]
    mean, spread = 0.5, math.sqrt(0.1 / 220)
    interval = score_interval(values)
    assert interval == bootstrap_interval(values)
    assert interval.low == pytest.approx(mean - 1.96 * spread, abs=0.01)
    assert interval.high == pytest.approx(mean + 1.96 * spread, abs=0.01)


def test_right_and_wrong_get_wilson():
    assert score_interval([1.0, 0.0, 1.0]) == wilson_interval(2, 3)
    assert score_interval([]) is None
