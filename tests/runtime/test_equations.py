"""Equations 5 to 7 up to the advantages, from outcomes to numbers worked out by hand.

Two questions. `EASY`: all four full rollouts are right and three of four partial ones. `HARD`: three full, one partial.
With nu = 1.2 and delta = 0.5 the bonus fires in both: 1 > 1.2 * 0.75 and 0.75 > 1.2 * 0.25.
"""

from __future__ import annotations

import math

import pytest

pytest.importorskip("torch")
pytest.importorskip("trl")

from exgrpo_artifact.evaluate import evaluate_reward
from exgrpo_runtime.advantages import EPSILON, compute_advantages
from exgrpo_runtime.records import Row
from exgrpo_runtime.rollout_plans import Question
from exgrpo_runtime.scoring import ScoredGroup, find_changes, weigh_groups
from tests.artifact.graphs import build_exgrpo, make_group
from tests.runtime.factory import make_grpo
from tests.runtime.test_scoring import make_member

pytestmark = pytest.mark.train

ITEM = {"gold": 4}
REWARD = build_exgrpo(nu=1.2, delta=0.5)
HARD, EASY = ("1110", "1000"), ("1111", "1110")
MIXED = ["full"] * 4 + ["partial"] * 4

HAND = {
    # Totals 1.5 1.5 1.5 0 | 1 0 0 0: mean 0.6875, squares 3.96875 over 7. And 1.5 1.5 1.5 1.5 | 1 1 1 0: mean 1.125,
    # squares 1.875 over 7.
    ("group", "group"): (
        [1.0790598, 1.0790598, 1.0790598, -0.9130506, 0.4150230, -0.9130506, -0.9130506, -0.9130506],
        [0.7245688, 0.7245688, 0.7245688, 0.7245688, -0.2415229, -0.2415229, -0.2415229, -2.1737065],
    ),
    # All sixteen: mean 0.90625, squares 6.609375 over 15, deviation 0.6637959.
    ("group", "batch"): (
        [1.2240208, 1.2240208, 1.2240208, -1.0357099, 0.4707772, -1.0357099, -1.0357099, -1.0357099],
        [0.5649327, 0.5649327, 0.5649327, 0.5649327, -0.1883109, -0.1883109, -0.1883109, -1.6947980],
    ),
    ("group", "none"): (
        [0.8125, 0.8125, 0.8125, -0.6875, 0.3125, -0.6875, -0.6875, -0.6875],
        [0.375, 0.375, 0.375, 0.375, -0.125, -0.125, -0.125, -1.125],
    ),
    # Scenario means 1.125 and 0.25, squares 1.6875 + 0.75 over 8 - 2. And 1.5 and 0.75, squares 0 + 0.75 over 8 - 2.
    ("scenario", "group"): (
        [0.5883484, 0.5883484, 0.5883484, -1.7650452, 1.1766968, -0.3922323, -0.3922323, -0.3922323],
        [0, 0, 0, 0, 0.7071068, 0.7071068, 0.7071068, -2.1213203],
    ),
    # Squares 2.4375 + 0.75 over 16 - 4, deviation 0.5153882.
    ("scenario", "batch"): (
        [0.7276069, 0.7276069, 0.7276069, -2.1828206, 1.4552138, -0.4850713, -0.4850713, -0.4850713],
        [0, 0, 0, 0, 0.4850713, 0.4850713, 0.4850713, -1.4552138],
    ),
    ("scenario", "none"): (
        [0.375, 0.375, 0.375, -1.125, 0.75, -0.25, -0.25, -0.25],
        [0, 0, 0, 0, 0.25, 0.25, 0.25, -0.75],
    ),
}


def make_scored(full: str, partial: str, *, is_compared: bool = False) -> ScoredGroup:
    """A group of these outcomes under Eq. 5 and 6; compared partial rollouts are not trained."""
    members = [make_member("full") for _ in full]
    members += [make_member("partial", is_trained=not is_compared) for _ in partial]
    records = tuple(make_group(full, partial))
    question = Question(Row(uid="train:0:0", split="train", fields=ITEM), (), 0, 0)
    return ScoredGroup(question, tuple(members), records, {}, evaluate_reward(REWARD, ITEM, records))


def weigh(stage, *groups: ScoredGroup, epsilon: float = 0.0) -> list[list[float]]:
    return weigh_groups(stage, groups, [group.scores for group in groups], epsilon)


# --- Eq. 5 and 6 ------------------------------------------------------------------------------------------


def test_success_rates_bonus_and_totals_by_hand():
    hard, easy = make_scored(*HARD).scores, make_scored(*EASY).scores
    assert (hard.terms["p_full"][0], hard.terms["p_part"][0], hard.terms["bonus"][0]) == (0.75, 0.25, 0.5)
    assert (easy.terms["p_full"][0], easy.terms["p_part"][0], easy.terms["bonus"][0]) == (1, 0.75, 0.5)
    assert hard.totals == (1.5, 1.5, 1.5, 0, 1, 0, 0, 0)
    assert easy.totals == (1.5, 1.5, 1.5, 1.5, 1, 1, 1, 0)


# --- advantages -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("baseline", "scale"), HAND)
def test_advantages_by_hand(baseline, scale):
    stage = make_grpo(baseline=baseline, scale=scale)
    hard, easy = weigh(stage, make_scored(*HARD), make_scored(*EASY))
    assert hard == pytest.approx(HAND[baseline, scale][0], abs=1e-6)
    assert easy == pytest.approx(HAND[baseline, scale][1], abs=1e-6)


DEVIATIONS = {
    ("group", "group"): (math.sqrt(3.96875 / 7), math.sqrt(1.875 / 7)),
    ("group", "batch"): (math.sqrt(6.609375 / 15),) * 2,
    ("scenario", "group"): (math.sqrt(2.4375 / 6), math.sqrt(0.75 / 6)),
    ("scenario", "batch"): (math.sqrt(3.1875 / 12),) * 2,
}


@pytest.mark.parametrize(("baseline", "scale"), DEVIATIONS)
def test_trl_s_epsilon_shrinks_an_advantage_by_its_share_of_the_divisor(baseline, scale):
    stage = make_grpo(baseline=baseline, scale=scale)
    exact = weigh(stage, make_scored(*HARD), make_scored(*EASY))
    trained = weigh(stage, make_scored(*HARD), make_scored(*EASY), epsilon=EPSILON)
    for deviation, a_G, b_G in zip(DEVIATIONS[baseline, scale], exact, trained, strict=True):
        for a, b in zip(a_G, b_G, strict=True):
            assert b == pytest.approx(a * deviation / (deviation + 1e-4), abs=1e-12)
            assert abs(a - b) <= abs(a) * 1e-4 / (deviation + 1e-4) + 1e-12


def test_epsilon_of_0_leaves_groups_without_a_deviation_at_0():
    for baseline in ("group", "scenario"):
        for scale in ("group", "batch", "none"):
            assert compute_advantages([[1.5] * 4], [MIXED[2:6]], baseline, scale, 0.0) == [[0.0] * 4]


def test_compared_rollouts_decide_the_bonus_and_are_in_no_advantage():
    # Full totals 1.5 1.5 1.5 0: mean 1.125, squares 1.6875 over 3, deviation 0.75.
    group = make_scored(*HARD, is_compared=True)
    assert group.scores.totals[:4] == (1.5, 1.5, 1.5, 0)
    [by_group] = weigh(make_grpo(scale="group"), group)
    assert by_group == pytest.approx([0.5, 0.5, 0.5, -1.5], abs=1e-12)
    [unscaled] = weigh(make_grpo(scale="none"), group)
    assert unscaled == pytest.approx([0.375, 0.375, 0.375, -1.125], abs=1e-12)
    # With EASY 1.5 1.5 1.5 1.5 beside: eight totals, mean 1.3125, squares 1.96875 over 7, deviation 0.5303301.
    hard, easy = weigh(make_grpo(scale="batch"), group, make_scored(*EASY, is_compared=True))
    assert hard == pytest.approx([0.7071068] * 3 + [-2.1213203], abs=1e-6)
    assert easy == [0.0] * 4


# --- the traps --------------------------------------------------------------------------------------------


def measure_bonus(stage, group: ScoredGroup, epsilon: float) -> float:
    """The most that the bonus changes an advantage of the group."""
    without = evaluate_reward(REWARD, ITEM, group.records, {}, frozenset({"bonus"}))
    before, after = (weigh_groups(stage, [group], [s], epsilon)[0] for s in (group.scores, without))
    return max(abs(a - b) for a, b in zip(before, after, strict=True))


def test_a_bonus_is_dead_where_only_full_rollouts_are_trained_and_scaled():
    group = make_scored(*HARD, is_compared=True)
    stage = make_grpo(scale="group")
    assert any(group.scores.terms["bonus"])
    assert measure_bonus(stage, group, 0.0) < 1e-15
    # 0.5 * 0.75 / 0.7501 and 0.5 * 0.5 / 0.5001 differ, and three times as much for the wrong rollout: an artefact of
    # TRL's epsilon that is no change.
    assert measure_bonus(stage, group, EPSILON) == pytest.approx(
        1.5 * (0.75 / 0.7501 - 0.5 / 0.5001), abs=1e-9
    )
    assert find_changes(REWARD, stage, [group])["bonus"] == [False]


def test_a_bonus_is_dead_in_a_mixed_group_in_which_no_partial_rollout_is_right():
    stage = make_grpo(scale="group")
    dead, alive = make_scored("1100", "0000"), make_scored("1100", "1000")
    assert find_changes(REWARD, stage, [dead, alive])["bonus"] == [False, True]
    assert find_changes(REWARD, make_grpo(scale="none"), [dead])["bonus"] == [True]


def test_the_scenario_baseline_and_the_pooled_deviation_keep_the_bonus_alive():
    assert find_changes(REWARD, make_grpo(baseline="scenario"), [make_scored(*HARD)])["bonus"] == [True]
    # Four right full rollouts with a bonus each differ from one another by nothing.
    assert find_changes(REWARD, make_grpo(baseline="scenario"), [make_scored(*EASY)])["bonus"] == [False]


def test_a_mixed_group_punishes_right_answers_and_the_scenario_baseline_does_not():
    easy = make_scored(*EASY)
    without = evaluate_reward(REWARD, ITEM, easy.records, {}, frozenset({"bonus"}))
    # Right partial rollouts: 7 of 8 are right, mean 0.875, squares 0.875 over 7; 0.125 / 0.3535534 without the bonus.
    [[*_, plain, _]] = weigh_groups(make_grpo(), [easy], [without], 0.0)
    assert plain == pytest.approx(0.3535534, abs=1e-6)
    [[*_, paid, _]] = weigh(make_grpo(), easy)
    assert paid == pytest.approx(-0.2415229, abs=1e-6)
    [[*_, own, _]] = weigh(make_grpo(baseline="scenario"), easy)
    assert own == pytest.approx(0.7071068, abs=1e-6)
