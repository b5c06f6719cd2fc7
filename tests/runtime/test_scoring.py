from __future__ import annotations

import math
import re
from types import SimpleNamespace

import pytest

pytest.importorskip("torch")
pytest.importorskip("trl")

from exgrpo_artifact.evaluate import Rollout, Scores, evaluate_reward
from exgrpo_artifact.graph import OnFailure
from exgrpo_artifact.record import replace
from exgrpo_artifact.values import Failed
from exgrpo_runtime import scoring
from exgrpo_runtime.generate import SampledTurn
from exgrpo_runtime.grpo_metrics import describe_step
from exgrpo_runtime.rollout_plans import PlannedRollout, Question, VoidRollout
from exgrpo_runtime.rollouts import SampledRollout
from exgrpo_runtime.scoring import ScoredGroup, build_batch, find_changes, score_groups, weigh_groups
from tests.runtime.factory import make_artifact, make_context, make_grpo, make_reward, make_rows

pytestmark = pytest.mark.train

EOS = 1
ROW = make_rows(1)[0]
QUESTION = Question(ROW, (), 0, 0)


def make_member(scenario: str, is_trained: bool = True, num_tokens: int = 2) -> SampledRollout:
    planned = PlannedRollout(scenario, is_trained, 7, SimpleNamespace(turns=()), None)
    turn = SampledTurn([9] * num_tokens, False)
    return SampledRollout(planned, [4, 5], [9] * num_tokens, [1] * num_tokens, (turn,), ("",))


def make_scored(members, totals, terms=None, dropped=None) -> ScoredGroup:
    """A group with given totals, one for each member that is not void."""
    scores = Scores(tuple(totals), terms or {"total": tuple(totals)}, tuple(dropped or [None] * len(totals)))
    return ScoredGroup(QUESTION, tuple(members), (), {}, scores)


def make_lengths(lengths) -> ScoredGroup:
    """A group that the factory's reward scores: (scenario, tokens) of each rollout."""
    members = [make_member(scenario, num_tokens=tokens) for scenario, tokens in lengths]
    records = tuple(
        Rollout(scenario=scenario, turns={"explain": (), "final": "0"}, tokens=tokens, num_turns=1, seed=i)
        for i, (scenario, tokens) in enumerate(lengths)
    )
    scores = evaluate_reward(make_reward(), {"gold": 5}, records)
    return ScoredGroup(QUESTION._replace(row=make_rows(1)[0]), tuple(members), records, {}, scores)


def test_void_and_dropped_rollouts_have_no_advantage_and_train_no_token():
    members = [
        make_member("full"),
        VoidRollout("partial", True, "x"),
        make_member("full"),
        make_member("full"),
    ]
    group = make_scored(members, [1.0, None, 0.0])
    [advantages] = weigh_groups(make_grpo(scale="none"), [group], [group.scores])
    assert advantages == [0.5, 0.0, 0.0, -0.5]
    batch = build_batch(make_grpo(), [group], [advantages], EOS)
    assert batch.masks == [[1, 1], [0], [0, 0], [1, 1]]
    assert batch.completion_ids[1] == [EOS]
    assert batch.advantages == advantages


def test_compared_rollouts_are_in_no_mean_and_not_trained():
    members = [make_member("full"), make_member("full"), make_member("plain", is_trained=False)]
    group = make_scored(members, [1.0, 0.0, 100.0])
    [advantages] = weigh_groups(make_grpo(scale="none"), [group], [group.scores])
    assert advantages == [0.5, -0.5]
    assert len(build_batch(make_grpo(), [group], [advantages], EOS).prompt_ids) == 2


def test_a_term_changes_an_advantage_only_where_it_moves_one():
    reward, stage = make_reward(), make_grpo(scale="group", baseline="group")
    # The bonus goes to the longer full rollouts: it fires, and it moves them away from the partial ones.
    mixed = make_lengths([("full", 40), ("full", 20), ("partial", 10), ("partial", 20)])
    # One scenario: the bonus fires nowhere, since there is no other mean to beat.
    alone = make_lengths([("full", 40), ("full", 20), ("full", 10), ("full", 20)])
    for group in (mixed, alone):
        group.question.row.fields["gold"] = 5
    groups = [mixed, alone]
    changes = find_changes(reward, stage, groups)
    assert changes["bonus"] == [True, False]
    assert changes["length"] == [True, True]
    assert changes["unpaid"] == [False, False]
    assert "total" not in changes


def test_a_bonus_that_all_get_alike_fires_and_changes_nothing():
    stage = make_grpo(scale="group", baseline="scenario")
    group = make_lengths([("full", 40), ("full", 20), ("partial", 10), ("partial", 20)])
    group.question.row.fields["gold"] = 5
    changes = find_changes(make_reward(), stage, [group])
    assert any(group.scores.terms["bonus"])
    assert changes["bonus"] == [False]


def test_figures_of_a_step_leave_out_what_is_missing():
    members = [
        make_member("full"),
        make_member("full"),
        make_member("plain"),
        VoidRollout("partial", True, "x"),
    ]
    terms = {"clarity": (0.5, None, 0.0), "total": (1.0, None, 0.0)}
    group = make_scored(members, [1.0, None, 0.0], terms, [None, "a judge failed", None])
    line = describe_step([group], [[0.5, 0.0, -0.5, 0.0]], {"clarity": [True]}, "total")
    assert line["scenarios"] == {
        "full": {"n": 1, "total": 1.0, "clarity": 0.5},
        "plain": {"n": 1, "total": 0.0, "clarity": 0.0},
    }
    assert line["terms"] == {
        "clarity": {"mean": 0.25, "fired": 1.0, "changed": 1.0, "groups_fired": 1, "groups_changed": 1}
    }
    assert (line["right"], line["right_punished"]) == (None, None)
    assert line["voids"] == {"partial": 1}
    assert line["dropped"] == {"a judge failed": 1}
    assert (line["rollouts"], line["groups_without_signal"]) == (3, 0)


def test_right_rollouts_with_a_negative_advantage_are_counted():
    members = [
        make_member("full"),
        make_member("full"),
        VoidRollout("partial", True, "x"),
        make_member("partial"),
    ]
    members += [make_member("partial"), make_member("plain", is_trained=False)]
    terms = {"outcome": (1, 0, 1, 1, 1), "total": (1.5, 0.0, 1.0, None, 1.0)}
    group = make_scored(members, terms["total"], terms, [None, None, None, "a judge failed", None])
    line = describe_step([group], [[0.8, -0.6, 0.0, -0.2, 0.0]], {}, "total", "outcome")
    # Of the three right rollouts that are trained one was dropped; the compared one has no advantage.
    assert (line["right"], line["right_punished"]) == (2, 1)


def test_a_silent_group_is_kept_or_skipped():
    groups = [
        make_scored([make_member("full")] * 2, [1.0, 1.0]),
        make_scored([make_member("full")] * 2, [1.0, 0.0]),
    ]
    advantages = [[0.0, 0.0], [0.5, -0.5]]
    assert build_batch(make_grpo(), groups, advantages, EOS).masks == [[1, 1]] * 4
    assert build_batch(make_grpo(silent="skip"), groups, advantages, EOS).masks == [[0, 0]] * 2 + [[1, 1]] * 2


FAILED = Failed("the judge timed out")
TIMED_OUT, NOT_FINITE = (
    "term `outcome` failed: the judge timed out",
    "term `outcome` failed: .*not a finite number",
)


@pytest.mark.parametrize(
    ("value", "reason"), [(FAILED, TIMED_OUT), (math.nan, NOT_FINITE), (math.inf, NOT_FINITE)]
)
@pytest.mark.parametrize(
    ("action", "totals", "counts"),
    [
        # Lengths of 0.02 beside the outcomes 1, what failed, and 0.
        ("drop_rollout", (1.02, None, 0.02), (1, 0)),
        ("drop_group", (None, None, None), (3, 0)),
        ("value", (1.02, 0.27, 0.02), (0, 1)),
    ],
)
def test_a_term_that_failed_follows_on_failure_and_is_counted(
    tmp_path, monkeypatch, value, reason, action, totals, counts
):
    reward = ask_judge(make_reward(), OnFailure(action=action, value=0.25 if action == "value" else None))
    stage = make_grpo()
    context = make_context(tmp_path, make_artifact(stage)._replace(rewards={"sums": reward}))
    answers = {"0": 1.0, "1": value, "2": 0.0}
    monkeypatch.setattr(
        scoring, "answer_judgements", lambda asked, _: {one.key: answers[str(one.rollout)] for one in asked}
    )
    monkeypatch.setattr(
        scoring,
        "build_record",
        lambda dialogue, member: Rollout(
            scenario=member.scenario, turns={"explain": (), "final": "x"}, tokens=2, num_turns=1, seed=0
        ),
    )
    groups = score_groups(context, stage, [QUESTION], [[make_member("full") for _ in answers]])
    assert groups[0].scores.totals == pytest.approx(totals)
    advantages = weigh_groups(stage, groups, [group.scores for group in groups])
    line = describe_step(groups, advantages, {}, "total")
    assert (sum(line["dropped"].values()), sum(line["substituted"].values())) == counts
    assert re.fullmatch(
        reason, next(text for text in [*line["dropped"], *line["substituted"]] if "group" not in text)
    )
    assert [advantage != 0 for advantage in advantages[0]] == [total is not None for total in totals]


def ask_judge(reward, on_failure=None):
    """The reward with a judge in the place of the outcome."""
    nodes = tuple(
        replace(node, op="call", args=("final",), params={"fn": "judge.score"})
        if node.id == "outcome"
        else node
        for node in reward.nodes
    )
    return replace(reward, nodes=nodes, on_failure=on_failure or reward.on_failure)


def test_judges_are_asked_once_for_all_groups_and_answers_find_their_own(tmp_path, monkeypatch):
    calls: list[list[str]] = []

    def judge(judgements, context):
        calls.append([judgement.key for judgement in judgements])
        return {judgement.key: float(judgement.rollout) for judgement in judgements}

    asked = ask_judge(make_reward())
    stage = make_grpo()
    context = make_context(tmp_path, make_artifact(stage)._replace(rewards={"sums": asked}))
    monkeypatch.setattr(scoring, "answer_judgements", judge)
    monkeypatch.setattr(
        scoring,
        "build_record",
        lambda dialogue, member: Rollout(
            scenario=member.scenario, turns={"explain": (), "final": "x"}, tokens=1, num_turns=1, seed=0
        ),
    )
    members = [make_member("full"), make_member("partial")]
    groups = score_groups(context, stage, [QUESTION, QUESTION], [members, members])
    assert len(calls) == 1
    assert len(set(calls[0])) == 4
    for group in groups:
        assert group.scores.terms["outcome"] == (0.0, 1.0)
