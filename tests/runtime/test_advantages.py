from __future__ import annotations

import math
import random

import pytest

from exgrpo_runtime.advantages import compute_advantages, has_signal

FULL4_PARTIAL4 = ["full"] * 4 + ["partial"] * 4
BONUS_GROUP = [1.5, 1.5, 1.5, 1.5, 1.0, 1.0, 1.0, 0.0]
"""Four right full rollouts with a bonus of 0.5, three right partial ones and a wrong one: mean 1.125."""


def test_group_baseline_divides_by_the_sample_deviation():
    # mean 0.5; squares 4 * 0.25 = 1; sample variance 1 / 3.
    [advantages] = compute_advantages([[1.0, 1.0, 0.0, 0.0]], [["full"] * 4], "group", "group")
    expected = 0.5 / (math.sqrt(1 / 3) + 1e-4)
    assert advantages == pytest.approx([expected, expected, -expected, -expected], abs=1e-12)


def test_group_baseline_punishes_a_right_partial_rollout():
    # mean 9 / 8 = 1.125; squares 4 * .375^2 + 3 * .125^2 + 1.125^2 = 1.875; variance 1.875 / 7.
    [advantages] = compute_advantages([BONUS_GROUP], [FULL4_PARTIAL4], "group", "group")
    deviation = math.sqrt(1.875 / 7) + 1e-4
    assert advantages[4] == pytest.approx(-0.125 / deviation, abs=1e-12)
    assert advantages[4] == pytest.approx(-0.24, abs=0.005)
    assert advantages[0] == pytest.approx(0.375 / deviation, abs=1e-12)


def test_scenario_baseline_does_not_punish_a_right_partial_rollout():
    # full: mean 1.5, all centred to 0. partial: mean .75, centred .25 and -.75.
    # pooled: (3 * .0625 + .5625) / (8 - 2) = .125.
    [advantages] = compute_advantages([BONUS_GROUP], [FULL4_PARTIAL4], "scenario", "group")
    deviation = math.sqrt(0.125) + 1e-4
    assert advantages[:4] == [0.0] * 4
    assert advantages[4:] == pytest.approx([0.25 / deviation] * 3 + [-0.75 / deviation], abs=1e-12)


def test_scenario_baseline_keeps_the_bonus_alive():
    # full half right, partial a quarter right. Without bonus: squares 1 + .75 over 6; with: 2.25 + .75 over
    # 6.
    plain = [1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]
    paid = [1.5, 1.5, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]
    [without], [with_bonus] = (
        compute_advantages([totals], [FULL4_PARTIAL4], "scenario", "group") for totals in (plain, paid)
    )
    assert without[0] == pytest.approx(0.5 / (math.sqrt(1.75 / 6) + 1e-4), abs=1e-12)
    assert with_bonus[0] == pytest.approx(0.75 / (math.sqrt(3 / 6) + 1e-4), abs=1e-12)
    assert with_bonus[0] > without[0] + 0.1
    assert with_bonus[4] < without[4]


def test_bonus_is_dead_in_a_group_of_one_scenario():
    [without] = compute_advantages([[1.0, 1.0, 0.0, 0.0]], [["full"] * 4], "group", "group")
    [with_bonus] = compute_advantages([[1.5, 1.5, 0.0, 0.0]], [["full"] * 4], "group", "group")
    assert with_bonus == pytest.approx(without, abs=1e-3)


def test_dropped_rollouts_stay_out_of_mean_and_deviation():
    totals = [1.0, None, 0.0, None, 0.0]
    [advantages] = compute_advantages([totals], [["full"] * 5], "group", "group")
    [kept] = compute_advantages([[1.0, 0.0, 0.0]], [["full"] * 3], "group", "group")
    assert advantages == [kept[0], 0.0, kept[1], 0.0, kept[2]]
    assert kept[0] == pytest.approx((2 / 3) / (math.sqrt(1 / 3) + 1e-4), abs=1e-12)


@pytest.mark.parametrize("baseline", ["group", "scenario"])
@pytest.mark.parametrize("scale", ["group", "batch", "none"])
@pytest.mark.parametrize("total", [0.0, 0.1, 1.3])
def test_equal_totals_give_exactly_zero(baseline, scale, total):
    [advantages] = compute_advantages([[total] * 7], [["full"] * 3 + ["partial"] * 4], baseline, scale)
    assert advantages == [0.0] * 7
    assert not has_signal(advantages)


@pytest.mark.parametrize("baseline", ["group", "scenario"])
@pytest.mark.parametrize("scale", ["group", "batch", "none"])
def test_one_kept_or_none_gives_zero(baseline, scale):
    totals = [[None, 2.0, None], [None, None, None]]
    assert compute_advantages(totals, [["a", "b", "b"]] * 2, baseline, scale) == [[0.0] * 3] * 2


def test_batch_scale_shares_one_deviation_of_all_totals():
    # totals 1 0 0 0: mean .25, squares .75, variance .25, deviation .5. Second group is centred to zero.
    advantages = compute_advantages([[1.0, 0.0], [0.0, 0.0]], [["full"] * 2] * 2, "group", "batch")
    assert advantages == [[pytest.approx(0.5 / 0.5001), pytest.approx(-0.5 / 0.5001)], [0.0, 0.0]]


def test_batch_scale_with_scenario_baseline_pools_what_is_left():
    # centred: [.5 -.5] and [0 0]; freedom (2 - 1) + (2 - 1); deviation sqrt(.5 / 2) = .5.
    totals, scenarios = [[1.0, 0.0], [1.0, 1.0]], [["full"] * 2, ["plain"] * 2]
    advantages = compute_advantages(totals, scenarios, "scenario", "batch")
    assert advantages[0] == pytest.approx([0.5 / 0.5001, -0.5 / 0.5001])
    assert advantages[1] == [0.0, 0.0]


def test_no_scale_leaves_the_centred_totals():
    totals = [[2.0, 0.0, 1.0, 0.0]]
    scenarios = [["full", "full", "plain", "plain"]]
    assert compute_advantages(totals, scenarios, "scenario", "none") == [[1.0, -1.0, 0.5, -0.5]]
    assert compute_advantages(totals, scenarios, "group", "none") == [[1.25, -0.75, 0.25, -0.75]]


def test_group_baseline_agrees_with_trl():
    torch = pytest.importorskip("torch")
    rng = random.Random(3)
    totals = [[round(rng.random(), 3) for _ in range(6)] for _ in range(5)]
    rewards = torch.tensor(totals, dtype=torch.float64)
    centred = rewards - rewards.mean(1, keepdim=True)
    by_group = centred / (rewards.std(1, keepdim=True) + 1e-4)
    by_batch = centred / (rewards.std() + 1e-4)
    scenarios = [["full"] * 6] * 5
    assert compute_advantages(totals, scenarios, "group", "group") == [
        pytest.approx(r) for r in by_group.tolist()
    ]
    assert compute_advantages(totals, scenarios, "group", "batch") == [
        pytest.approx(r) for r in by_batch.tolist()
    ]


def test_a_total_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="not finite"):
        compute_advantages([[1.0, math.nan]], [["full"] * 2], "group", "group")
