"""Judges are asked for what can matter, once, and for nothing else."""

from __future__ import annotations

from exgrpo_artifact.evaluate import collect_judgements, evaluate_reward, find_external_nodes
from exgrpo_artifact.graph import OnFailure
from exgrpo_artifact.values import Failed
from tests.artifact.graphs import Builder, build_exgrpo, make_group, make_rollout

ITEM = {"gold": 4, "question": "2 + 2?"}


def test_a_reward_without_a_judge_asks_nothing() -> None:
    assert collect_judgements(build_exgrpo(), ITEM, make_group("11", "10")) == ()
    assert find_external_nodes(build_exgrpo()) == ()


def test_every_turn_of_every_rollout_is_asked_in_order() -> None:
    b = Builder()
    score = b.judge("explain", "turn", id="score")
    b.mean(score, id="total")
    reward = b.reward()
    group = [
        make_rollout("full", explain=("a", "b")),
        make_rollout("plain"),
        make_rollout("full", explain=("c",)),
    ]
    asked = collect_judgements(reward, ITEM, group)
    assert [(one.rollout, one.turn, one.arguments) for one in asked] == [
        (0, 0, ("a",)),
        (0, 1, ("b",)),
        (2, 0, ("c",)),
    ]
    assert {one.fn for one in asked} == {"judge.score"}
    assert asked[0].params["rubric"] == "faithful"
    assert len({one.key for one in asked}) == 3
    scores = evaluate_reward(reward, ITEM, group, {one.key: 2.0 + (one.turn or 0) for one in asked})
    assert scores.totals == (2.5, None, 2)
    assert [node.id for node in find_external_nodes(reward)] == ["score"]


def test_a_branch_that_is_ruled_out_is_not_paid_for() -> None:
    b = Builder()
    b.matches()
    b.add("if", b.add("eq", "outcome", b.const(1)), b.judge(), b.const(0), id="total")
    reward = b.reward("outcome")
    asked = collect_judgements(reward, ITEM, make_group("101", ""))
    assert [one.rollout for one in asked] == [0, 2]
    scores = evaluate_reward(reward, ITEM, make_group("101", ""), {one.key: 3.0 for one in asked})
    assert scores.totals == (3, 0, 3)


def test_a_known_argument_that_decides_saves_the_other() -> None:
    b = Builder()
    b.matches()
    good = b.add("gt", b.judge(), b.const(2))
    b.add("if", b.add("and", good, b.add("eq", "outcome", b.const(1))), b.const(1), b.const(0), id="total")
    reward = b.reward("outcome")
    asked = collect_judgements(reward, ITEM, make_group("10", ""))
    assert [one.rollout for one in asked] == [0]
    assert evaluate_reward(reward, ITEM, make_group("10", ""), {asked[0].key: 3.0}).totals == (1, 0)


def test_both_branches_of_an_open_condition_are_asked() -> None:
    b = Builder()
    first = b.judge("final")
    b.add("if", b.add("gt", first, b.const(2)), b.judge("final"), b.judge("final"), id="total")
    assert len(collect_judgements(b.reward(), ITEM, make_group("1", ""))) == 3


def test_a_group_condition_is_open_because_dropped_rollouts_may_change_it() -> None:
    b = Builder()
    b.matches()
    b.judge(id="clarity")
    p = b.mean("outcome")
    b.add("if", b.add("gt", p, b.const(0.9)), b.judge("final", id="extra"), b.const(0), id="total")
    reward = b.reward("outcome", "clarity")
    group = make_group("10", "")
    asked = collect_judgements(reward, ITEM, group)
    judgements = {
        one.key: Failed("no") if (one.node, one.rollout) == ("clarity", 1) else 2.0 for one in asked
    }
    # Without the wrong rollout the mean is 1, so `extra` is needed although it was 0.5 before.
    assert evaluate_reward(reward, ITEM, group, judgements).totals == (2, None)


def test_a_declared_value_for_failures_does_not_hide_what_must_be_asked() -> None:
    b = Builder()
    b.judge(id="clarity")
    b.add("if", b.add("gt", "clarity", b.const(0)), b.judge("final"), b.const(0), id="total")
    reward = b.reward("clarity", on_failure=OnFailure(action="value", value=0))
    assert len(collect_judgements(reward, ITEM, make_group("1", ""))) == 2


def test_a_question_that_is_the_same_for_all_rollouts_is_asked_once() -> None:
    b = Builder()
    b.call("judge.score", b.add("item", field="question"), id="hard", rubric="faithful", model="judge")
    b.add("add", "hard", b.add("tokens"), id="total")
    reward = b.reward("hard")
    asked = collect_judgements(reward, ITEM, make_group("111", ""))
    assert len(asked) == 1
    assert evaluate_reward(reward, ITEM, make_group("111", ""), {asked[0].key: 1.0}).totals == (11, 11, 11)


def test_a_turn_left_out_is_not_judged() -> None:
    b = Builder()
    b.judge(id="total")
    group = [make_rollout("full", None), make_rollout("full", "x")]
    asked = collect_judgements(b.reward(), ITEM, group)
    assert [one.rollout for one in asked] == [1]
    assert evaluate_reward(b.reward(), ITEM, group, {asked[0].key: 1.0}).totals == (None, 1)
