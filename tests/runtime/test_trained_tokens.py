# ruff: noqa: E402 - the imports below need what is asked for first
"""Tokens trained are the tokens sampled: real dialogues through the trainer, told by the gradient of every token."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

from exgrpo_artifact.evaluate import Scores
from exgrpo_runtime.rollout_plans import Question, plan_group
from exgrpo_runtime.rollouts import sample_groups
from exgrpo_runtime.scoring import ScoredGroup, build_batch
from exgrpo_runtime.training_batch import align_prompts
from tests.runtime.factory import make_artifact, make_context, make_grpo, make_probes, make_rows
from tests.runtime.test_trl_contract import make_student, make_trainer

pytestmark = pytest.mark.train

ADVANTAGES = [0.5, -1.0, 0.75, -0.25]


def sample_group(tmp_path, stage):
    """A question's two full dialogues and two branches of them, and the student who wrote them."""
    student = make_student(tmp_path, stage)
    context = make_context(tmp_path / "run", make_artifact(stage))
    row = make_rows(1)[0]
    question = Question(row, make_probes(row, 2), 0, 0)
    [members] = sample_groups(stage, student, [plan_group(stage, context, student, question)])
    totals = (1.0,) * len(members)
    scores = Scores(totals, {"total": totals}, (None,) * len(members))
    return student, ScoredGroup(question, tuple(members), (), {}, scores)


def find_trained(tmp_path, monkeypatch, stage):
    """The group, and for each rollout the tokens of the whole dialogue whose log-probability moves the loss."""
    student, group = sample_group(tmp_path, stage)
    batch = align_prompts(build_batch(stage, [group], [ADVANTAGES], student.chat.eos_id))
    trainer = make_trainer(tmp_path, stage, batch=batch, student=student)
    monkeypatch.setattr("trl.trainer.grpo_trainer.shuffle_sequence_dict", lambda rows: rows)
    trainer.model.train()
    trainer.current_gradient_accumulation_steps = 1
    inputs = trainer._prepare_inputs([{"prompt": "0"} for _ in ADVANTAGES])
    original = trainer._get_per_token_logps_and_entropies
    shifts: list[torch.Tensor] = []

    def shift(*args, **kwargs):
        logps, *rest = original(*args, **kwargs)
        shifts.append(torch.zeros_like(logps, requires_grad=True))
        return (logps + shifts[-1], *rest)

    monkeypatch.setattr(trainer, "_get_per_token_logps_and_entropies", shift)
    trainer.compute_loss(trainer.model, inputs).backward()
    places = []
    for row, completion in enumerate(batch.completion_ids):
        start = len(batch.prompt_ids[row])
        moved = shifts[-1].grad[row, : len(completion)] != 0
        places.append([start + int(i) for i in moved.nonzero().flatten()])
    return group, places


def list_sampled(rollout, *, ended_only: bool = False) -> list[int]:
    """Places in the whole dialogue of the tokens that this rollout sampled, from its turns."""
    places, at = [], len(rollout.prompt_ids)
    followups = [*rollout.planned.prompt.followups, []]
    for i, (turn, followup) in enumerate(zip(rollout.turns, followups, strict=True)):
        if i >= rollout.planned.num_shared and not (ended_only and turn.truncated):
            places += range(at, at + len(turn.token_ids))
        at += len(turn.token_ids) + turn.truncated + len(followup)
    return places


def test_every_sampled_token_moves_the_loss_and_no_token_of_the_user_or_the_template_does(
    tmp_path, monkeypatch
):
    stage = make_grpo(items=1, group={"full": 2, "leaving": 2}, steps=1)
    group, places = find_trained(tmp_path, monkeypatch, stage)
    for rollout, trained in zip(group.sampled, places, strict=True):
        assert trained == list_sampled(rollout)
        assert len(rollout.turns) > 1


def test_what_is_trained_is_what_the_student_wrote_token_for_token(tmp_path, monkeypatch):
    stage = make_grpo(items=1, group={"full": 2, "leaving": 2}, steps=1)
    group, places = find_trained(tmp_path, monkeypatch, stage)
    for rollout, trained in zip(group.sampled, places, strict=True):
        dialogue = rollout.prompt_ids + rollout.completion_ids
        own = rollout.turns[rollout.planned.num_shared :]
        assert [dialogue[place] for place in trained] == [token for turn in own for token in turn.token_ids]


def test_turns_that_were_cut_off_are_masked_where_the_stage_says_so(tmp_path, monkeypatch):
    # Hot enough that some of the turns end by chance and others do not.
    stage = make_grpo(
        items=1, group={"full": 2, "leaving": 2}, steps=1, max_new=60, truncated="mask", temperature=2.0
    )
    group, places = find_trained(tmp_path, monkeypatch, stage)
    for rollout, trained in zip(group.sampled, places, strict=True):
        assert trained == list_sampled(rollout, ended_only=True)
    own = [
        turn.truncated for rollout in group.sampled for turn in rollout.turns[rollout.planned.num_shared :]
    ]
    assert {True, False} == set(own)
