"""Rewards over groups: numbers worked out by hand, gaps, failures, draws."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exgrpo_artifact.errors import ArtifactError
from exgrpo_artifact.evaluate import Rollout, collect_judgements, evaluate_reward, list_turn_values
from exgrpo_artifact.graph import Node, OnFailure, RewardGraph
from exgrpo_artifact.record import replace
from exgrpo_artifact.values import Failed, Value
from tests.artifact.graphs import DROP_GROUP, NUMBER, Builder, build_exgrpo, make_group, make_rollout

ITEM = {"gold": 4}


# --- Eq. 5 and 6 ------------------------------------------------------------------------------------------


def test_only_a_right_answer_after_useful_probes_earns_the_bonus() -> None:
    scores = evaluate_reward(build_exgrpo(), ITEM, make_group("11", "10"))
    assert scores.terms["outcome"] == (1, 1, 1, 0)
    assert scores.terms["p_full"] == (1, 1, 1, 1)
    assert scores.terms["p_part"] == (0.5,) * 4
    assert scores.terms["bonus"] == (0.5,) * 4
    assert scores.totals == scores.terms["total"] == (1.5, 1.5, 1, 0)
    assert scores.dropped == (None,) * 4
    assert list(scores.terms) == ["outcome", "p_full", "p_part", "bonus", "total"]


@pytest.mark.parametrize(
    ("full", "partial", "nu", "totals"),
    [
        ("10", "00", 1.0, (1.5, 0, 0, 0)),  # 1/2 > 0
        ("10", "10", 1.0, (1, 0, 1, 0)),  # 1/2 > 1/2 is false: strictly greater
        ("11", "11", 1.0, (1, 1, 1, 1)),
        ("110", "100", 1.2, (1.5, 1.5, 0, 1, 0, 0)),  # 2/3 > 0.4
        ("110", "110", 1.2, (1, 1, 0, 1, 1, 0)),  # 2/3 > 0.8 is false
        ("1111", "1110", 1.4, (1, 1, 1, 1, 1, 1, 1, 0)),  # 1 > 1.05 is false
        ("00", "11", 1.0, (0, 0, 1, 1)),
    ],
)
def test_equations_5_and_6_by_hand(full: str, partial: str, nu: float, totals: tuple[float, ...]) -> None:
    assert evaluate_reward(build_exgrpo(nu), ITEM, make_group(full, partial)).totals == totals


@given(
    st.text("01", min_size=1, max_size=6),
    st.text("01", min_size=1, max_size=6),
    st.sampled_from([1.0, 1.25, 2.0]),
)
def test_equations_5_and_6_against_the_paper_s_formula(full: str, partial: str, nu: float) -> None:
    full_outcomes, partial_outcomes = ([int(digit) for digit in digits] for digits in (full, partial))
    fires = statistics.fmean(full_outcomes) > nu * statistics.fmean(partial_outcomes)
    bonus = 0.5 if fires else 0.0
    expected = [r + bonus * r for r in full_outcomes] + [float(r) for r in partial_outcomes]
    assert list(evaluate_reward(build_exgrpo(nu), ITEM, make_group(full, partial)).totals) == expected


def test_no_partial_rollout_means_no_bonus() -> None:
    scores = evaluate_reward(build_exgrpo(), ITEM, make_group("10", ""))
    assert scores.terms["p_part"] == (None, None)
    assert scores.terms["bonus"] == (0, 0)
    assert scores.totals == (1, 0)


def test_neutralising_the_bonus_leaves_the_outcome() -> None:
    group = make_group("11", "10")
    scores = evaluate_reward(build_exgrpo(), ITEM, group, {}, frozenset({"bonus"}))
    assert scores.totals == (1, 1, 1, 0)
    assert scores.terms["bonus"] == (0, 0, 0, 0)
    both = evaluate_reward(build_exgrpo(), ITEM, group, {}, frozenset({"bonus", "outcome"}))
    assert both.totals == (0, 0, 0, 0)


def test_neutralising_p_part_lets_the_bonus_fire() -> None:
    group = make_group("10", "11")
    assert evaluate_reward(build_exgrpo(), ITEM, group).totals == (1, 0, 1, 1)
    assert evaluate_reward(build_exgrpo(), ITEM, group, {}, frozenset({"p_part"})).totals == (1.5, 0, 1, 1)


# --- gaps -------------------------------------------------------------------------------------------------


def test_a_turn_left_out_makes_its_terms_not_applicable_and_drops_the_rollout_by_its_total() -> None:
    b = Builder()
    b.matches()
    b.mean("outcome", id="p")
    b.add("add", "outcome", b.const(0), id="total")
    scores = evaluate_reward(
        b.reward("outcome", "p"), ITEM, [make_rollout("full", "4"), make_rollout("full", None)]
    )
    assert scores.terms["outcome"] == (1, None)
    assert scores.terms["p"] == (1, 1)
    assert scores.totals == (1, None)
    assert scores.dropped[0] is None
    assert "not applicable" in str(scores.dropped[1])


def test_otherwise_fills_an_empty_mean_and_nothing_else() -> None:
    b = Builder()
    mean = b.mean(
        b.call(
            "matches", b.turn("explain", "turn"), b.add("item", field="gold"), answer={"kind": "number.last"}
        )
    )
    b.add("default", mean, b.const(0.25), id="clarity")
    b.add("add", "clarity", b.const(0), id="total")
    group = [
        make_rollout("full", explain=("4", "5", "4", "4")),
        make_rollout("plain"),
        make_rollout("plain", explain=()),
    ]
    assert evaluate_reward(b.reward("clarity"), ITEM, group).totals == (0.75, 0.25, 0.25)


def test_turn_terms_are_reported_as_means_over_turns() -> None:
    b = Builder()
    b.call("words", b.turn("explain", "turn"), id="length")
    b.add("aggregate", "length", b.add("gt", "length", b.const(1)), id="total", fn="max")
    group = [make_rollout("full", explain=("a", "a b", "a b c")), make_rollout("full", explain=("a", "b"))]
    scores = evaluate_reward(b.reward("length"), ITEM, group)
    assert scores.terms["length"] == (2, 1)
    assert scores.totals == (3, None)


def test_two_turns_of_one_loop_are_compared_probe_by_probe() -> None:
    b = Builder()
    same = b.add("eq", b.turn("ask", "turn"), b.turn("tell", "turn"))
    b.mean(same, id="total")
    assert evaluate_reward(
        b.reward(), ITEM, [make_rollout("full", ask=("a", "b"), tell=("a", "c"))]
    ).totals == (0.5,)


def test_a_rollout_s_value_is_repeated_for_its_turns_and_a_group_s_for_its_rollouts() -> None:
    b = Builder()
    longest = b.add("aggregate", b.add("tokens"), fn="max")
    share = b.add("div", b.add("tokens"), longest)
    b.mean(b.add("mul", b.call("words", b.turn("explain", "turn")), share), id="total")
    group = [
        make_rollout("full", tokens=10, explain=("a", "a b c")),
        make_rollout("full", tokens=5, explain=("a",)),
    ]
    assert evaluate_reward(b.reward(), ITEM, group).totals == (2, 0.5)


def test_an_unused_term_and_a_literal_term_are_reported() -> None:
    b = Builder()
    b.const(3, id="unused")
    b.matches(id="total")
    scores = evaluate_reward(b.reward("unused"), ITEM, make_group("10", ""))
    assert scores.terms["unused"] == (3, 3)


def test_a_term_turned_off_is_a_literal_that_aggregates_as_before() -> None:
    graph = build_exgrpo()
    off = Node(id="outcome", op="const", params={"value": 0}, level="rollout")
    nodes = tuple(off if node.id == "outcome" else node for node in graph.nodes)
    scores = evaluate_reward(replace(graph, nodes=nodes), ITEM, make_group("1", "1"))
    assert scores.terms["p_full"] == scores.totals == (0, 0)


def test_a_term_turned_off_is_still_one_value_per_rollout() -> None:
    b = Builder()
    b.add("const", id="outcome", level="rollout", value=0)
    b.mean("outcome", id="p")
    b.add("add", "outcome", "p", id="total")
    scores = evaluate_reward(b.reward("outcome", "p"), ITEM, make_group("11", ""))
    assert scores.terms["p"] == scores.totals == (0, 0)


def test_an_empty_group_has_no_scores() -> None:
    scores = evaluate_reward(build_exgrpo(), ITEM, [])
    assert (scores.totals, scores.dropped, scores.terms["bonus"]) == ((), (), ())


# --- failures ---------------------------------------------------------------------------------------------


def build_judged(on_failure: OnFailure | None = None) -> RewardGraph:
    """`total = outcome + clarity / 4`, with the mean of clarity over the group beside it."""
    b = Builder()
    b.matches()
    b.judge(id="clarity")
    b.mean("clarity", id="usual")
    b.add("add", "outcome", b.add("div", "clarity", b.const(4)), id="total")
    return b.reward("outcome", "clarity", "usual", on_failure=on_failure)


def answer_judge(reward: RewardGraph, group: list[Rollout], *values: Value) -> dict[str, Value]:
    asked = collect_judgements(reward, ITEM, group)
    assert len(asked) == len(values)
    return {judgement.key: value for judgement, value in zip(asked, values, strict=True)}


def test_a_failed_judge_drops_its_rollout_before_group_means() -> None:
    reward, group = build_judged(), make_group("110", "")
    judgements = answer_judge(reward, group, 4.0, Failed("the judge timed out"), 2.0)
    scores = evaluate_reward(reward, ITEM, group, judgements)
    assert scores.totals == (2, None, 0.5)
    assert scores.terms["usual"] == (3, None, 3)
    assert scores.terms["outcome"] == (1, None, 0)
    assert scores.dropped[0] is scores.dropped[2] is None
    assert "clarity" in str(scores.dropped[1])
    assert "the judge timed out" in str(scores.dropped[1])


def test_a_failed_judge_may_drop_its_group() -> None:
    reward, group = build_judged(DROP_GROUP), make_group("110", "")
    scores = evaluate_reward(
        reward, ITEM, group, answer_judge(reward, group, 4.0, Failed("out of time"), 2.0)
    )
    assert scores.totals == scores.terms["usual"] == (None, None, None)
    assert scores.dropped[1] == "term `clarity` failed: out of time"
    assert (
        scores.dropped[0]
        == scores.dropped[2]
        == "the group was dropped: in rollout 1, term `clarity` failed: out of time"
    )


def test_a_failed_term_may_take_a_declared_value() -> None:
    reward, group = build_judged(OnFailure(action="value", value=1)), make_group("110", "")
    scores = evaluate_reward(
        reward, ITEM, group, answer_judge(reward, group, 4.0, Failed("out of time"), 2.0)
    )
    assert scores.terms["clarity"] == (4, 1, 2)
    assert scores.terms["usual"] == (7 / 3,) * 3
    assert scores.totals == (2, 1.25, 0.5)
    assert scores.dropped == (None, None, None)


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), "3"])
def test_a_judgement_that_is_no_number_never_becomes_one(value: Value) -> None:
    reward, group = build_judged(), make_group("11", "")
    scores = evaluate_reward(reward, ITEM, group, answer_judge(reward, group, 4.0, value))
    assert scores.totals == (2, None)
    assert scores.dropped[1]


def test_a_judgement_that_was_never_made_is_a_failure() -> None:
    scores = evaluate_reward(build_judged(), ITEM, make_group("1", ""), {})
    assert scores.totals == (None,)
    assert scores.dropped == ("term `clarity` failed: `judge.score` was not answered",)


def test_when_all_rollouts_fail_all_are_dropped() -> None:
    reward, group = build_judged(), make_group("11", "")
    judgements = answer_judge(reward, group, Failed("one"), Failed("two"))
    scores = evaluate_reward(reward, ITEM, group, judgements)
    assert scores.dropped == ("term `clarity` failed: one", "term `clarity` failed: two")


def test_neutralising_a_term_does_not_bring_its_failures_back() -> None:
    reward, group = build_judged(), make_group("11", "")
    judgements = answer_judge(reward, group, 4.0, Failed("no"))
    scores = evaluate_reward(reward, ITEM, group, judgements, frozenset({"clarity"}))
    assert scores.totals == (1, None)


def test_what_fails_inside_a_group_s_mean_drops_only_its_rollout() -> None:
    b = Builder()
    mean = b.mean(b.judge(), b.is_scenario("full"))
    b.add("add", mean, b.add("tokens"), id="total")
    reward = b.reward()
    group = [make_rollout("full", "x"), make_rollout("full", "y"), make_rollout("partial", "z")]
    keys = [judgement.key for judgement in collect_judgements(reward, ITEM, group)]
    assert len(keys) == 2, "what `where` leaves out is not asked for"
    scores = evaluate_reward(reward, ITEM, group, {keys[0]: 3.0, keys[1]: Failed("no")})
    assert scores.totals == (13, None, 13)
    assert scores.dropped[1] == "what it adds to a value of the group failed: no"


def test_a_group_value_that_fails_only_because_of_a_failed_rollout_is_computed_again_without_it() -> None:
    b = Builder()
    b.judge(id="score")
    b.mean("score", id="usual")
    b.add("div", b.const(1), b.add("sub", "usual", b.const(2)), id="total")
    reward = b.reward("score", "usual")
    group = [make_rollout("full", text) for text in "abc"]
    # Over those that did not fail the mean is 3; the failed one must not be looked at.
    scores = evaluate_reward(reward, ITEM, group, answer_judge(reward, group, 2.0, 4.0, Failed("no")))
    assert scores.totals == (1, 1, None)


def test_a_division_by_zero_in_a_group_value_drops_the_group() -> None:
    b = Builder()
    b.matches()
    p = b.mean("outcome")
    b.add("div", b.const(1), p, id="gain")
    b.add("mul", "outcome", "gain", id="total")
    reward = b.reward("outcome", "gain")
    assert evaluate_reward(reward, ITEM, make_group("10", "")).totals == (2, 0)
    dropped = evaluate_reward(reward, ITEM, make_group("00", "")).dropped
    assert dropped == ("term `gain` failed: `/` divides by zero",) * 2


def test_a_failure_in_a_branch_not_taken_is_no_failure() -> None:
    b = Builder()
    b.matches()
    safe = b.add("if", b.add("eq", "outcome", b.const(1)), b.const(1), b.add("div", b.const(1), "outcome"))
    b.add("add", safe, b.const(0), id="total")
    scores = evaluate_reward(b.reward("outcome"), ITEM, make_group("10", ""))
    assert scores.totals == (1, None)
    assert scores.dropped == (None, "term `total` failed: `/` divides by zero")


# --- draws, levels ----------------------------------------------------------------------------------------


def test_bernoulli_depends_on_the_rollout_s_seed_and_the_term_only() -> None:
    b = Builder()
    b.call("bernoulli", b.const(0.3), id="luck")
    b.call("bernoulli", b.const(0.3), id="fate")
    b.mean("luck", id="rate")
    b.add("add", "luck", b.const(0), id="total")
    reward = b.reward("luck", "fate", "rate")
    group = [make_rollout("full", seed=seed) for seed in range(2000)]
    scores = evaluate_reward(reward, ITEM, group)
    assert scores.totals == evaluate_reward(reward, ITEM, group).totals
    assert scores.totals[:500] == evaluate_reward(reward, ITEM, group[:500]).totals
    assert scores.terms["luck"] != scores.terms["fate"]
    assert 0.27 < sum(filter(None, scores.totals)) / 2000 < 0.33
    rate = scores.terms["rate"][0]
    assert rate == pytest.approx(sum(filter(None, scores.totals)) / 2000)


def test_a_probability_outside_0_and_1_fails() -> None:
    b = Builder()
    b.call("bernoulli", b.const(1.5), id="total")
    assert evaluate_reward(b.reward(), ITEM, make_group("1", "")).totals == (None,)


def test_an_aggregate_lifts_one_level_only() -> None:
    b = Builder()
    per_rollout = b.mean(b.call("words", b.turn("explain", "turn")))
    b.add("aggregate", per_rollout, fn="max", id="best")
    b.add("sub", "best", per_rollout, id="total")
    group = [make_rollout("full", explain=("a b", "a b c d")), make_rollout("full", explain=("a",))]
    scores = evaluate_reward(b.reward("best"), ITEM, group)
    assert scores.terms["best"] == (3, 3)
    assert scores.totals == (0, 2)


def test_any_all_and_count_over_the_group() -> None:
    b = Builder()
    b.matches()
    b.add("aggregate", "outcome", fn="any", id="some")
    b.add("aggregate", "outcome", fn="all", id="every")
    b.add("aggregate", "outcome", b.add("eq", "outcome", b.const(1)), fn="count", id="right")
    b.add("add", b.add("add", "some", "every"), "right", id="total")
    reward = b.reward("outcome", "some", "every", "right")
    assert evaluate_reward(reward, ITEM, make_group("11", "")).totals == (4, 4)
    assert evaluate_reward(reward, ITEM, make_group("10", "")).totals == (2, 2)
    assert evaluate_reward(reward, ITEM, make_group("00", "")).totals == (0, 0)


def test_attributes_of_a_rollout() -> None:
    b = Builder()
    b.add("add", b.add("tokens"), b.add("mul", b.add("num_turns"), b.const(100)), id="total")
    group = [make_rollout("full", "x", tokens=7, explain=("a", "b"))]
    assert evaluate_reward(b.reward(), ITEM, group).totals == (307,)


def test_a_node_before_its_argument_is_a_damaged_artifact() -> None:
    graph = build_exgrpo()
    with pytest.raises(ArtifactError, match="stands before its argument"):
        evaluate_reward(replace(graph, nodes=graph.nodes[::-1]), ITEM, make_group("1", "1"))


# --- turn by turn -----------------------------------------------------------------------------------------


def _build_turn_reward() -> RewardGraph:
    """`step = matches(d.explain, item.gold)` of each turn, and its mean as the total."""
    b = Builder()
    gold = b.add("item", field="gold")
    b.call("matches", b.turn("explain", "turn"), gold, id="step", answer=NUMBER)
    b.mean("step", id="total")
    return b.reward("step")


def test_a_term_of_a_turn_is_listed_turn_by_turn_and_averaged_in_the_scores() -> None:
    reward = _build_turn_reward()
    rollouts = [
        make_rollout("full", "4", explain=("It is 4.", "It is 5.", "4")),
        make_rollout("partial", "4", explain=("nothing to read",)),
        make_rollout("plain", "4", explain=()),
    ]
    scores = evaluate_reward(reward, ITEM, rollouts)
    assert scores.terms["step"] == (pytest.approx(2 / 3), 0, None)
    assert list_turn_values(reward, ITEM, rollouts, scores) == {"step": ((1, 0, 1), (0,), ())}


def test_a_reward_without_terms_of_turns_lists_none() -> None:
    group = make_group("11", "10")
    assert list_turn_values(build_exgrpo(), ITEM, group, evaluate_reward(build_exgrpo(), ITEM, group)) == {}
