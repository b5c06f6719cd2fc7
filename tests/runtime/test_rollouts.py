# ruff: noqa: E402 - the imports below need what is asked for first
from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from exgrpo_runtime.rollout_plans import (
    TOO_FEW_PROBES,
    TOO_LONG,
    PlannedRollout,
    Question,
    VoidRollout,
    plan_group,
)
from exgrpo_runtime.rollouts import (
    SampledRollout,
    build_record,
    count_cache_bytes,
    list_messages,
    sample_groups,
)
from exgrpo_runtime.student import load_for_stage
from tests.runtime.factory import make_artifact, make_context, make_grpo, make_probes, make_rows

pytestmark = pytest.mark.train


def make_group(tmp_path, stage, *, num_probes=4, count=4, place=0, epoch=0, probes=None, scratch=None):
    context = make_context(tmp_path, make_artifact(stage, count=count, scratch=scratch))
    student = load_for_stage(context)
    row = make_rows(1)[0]
    question = Question(row, make_probes(row, num_probes) if probes is None else probes, place, epoch)
    return plan_group(stage, context, student, question), student, context


def list_asked(member: PlannedRollout) -> list[str]:
    return [turn.user for turn in member.plan.turns]


# --- planning ---------------------------------------------------------------------------------------------


def test_a_group_shares_its_probes_and_cuts_each_rollout_anew(tmp_path):
    stage = make_grpo(group={"full": 2, "partial": 8}, compare={"plain": 1})
    members, _, _ = make_group(tmp_path, stage)
    assert [member.scenario for member in members] == ["full"] * 2 + ["partial"] * 8 + ["plain"]
    assert [member.is_trained for member in members] == [True] * 10 + [False]
    full = list_asked(members[0])
    assert list_asked(members[1]) == full
    assert len(full) == 5
    lengths = set()
    for member in members[2:10]:
        asked = list_asked(member)
        assert asked[:-1] == full[: len(asked) - 1]
        assert asked[-1] == full[-1]
        lengths.add(len(asked) - 1)
    assert lengths <= {1, 2, 3}
    assert len(lengths) > 1
    assert list_asked(members[10]) == full[-1:]


def test_probes_are_drawn_anew_each_epoch(tmp_path):
    stage = make_grpo()
    orders = set()
    for epoch in range(6):
        members, _, _ = make_group(tmp_path / str(epoch), stage, epoch=epoch)
        orders.add(tuple(list_asked(members[0])))
    assert len(orders) > 2


def test_seeds_differ_between_rollouts_and_places_and_are_the_same_in_a_second_run(tmp_path):
    seeds = []
    for run, place in enumerate([0, 1, 0]):
        members, _, _ = make_group(tmp_path / str(run), make_grpo(), place=place)
        seeds.append([member.seed for member in members])
    assert seeds[0] == seeds[2]
    assert len(set(seeds[0] + seeds[1])) == 8


def test_probes_that_reveal_the_answer_are_never_asked(tmp_path):
    row = make_rows(1)[0]
    probes = make_probes(row, 2) + make_probes(row, 3, reveals=True)
    members, _, _ = make_group(tmp_path, make_grpo(), probes=probes)
    assert len(list_asked(members[0])) == 3


def test_a_partial_rollout_needs_two_probes(tmp_path):
    stage = make_grpo(group={"full": 1, "partial": 2, "plain": 1, "leaving": 1})
    members, _, _ = make_group(tmp_path, stage, num_probes=1)
    kinds = [type(member) for member in members]
    assert kinds == [PlannedRollout, VoidRollout, VoidRollout, PlannedRollout, VoidRollout]
    assert {member.reason for member in members if isinstance(member, VoidRollout)} == {TOO_FEW_PROBES}


def test_a_dialogue_that_may_outgrow_the_context_is_void(tmp_path):
    stage = make_grpo(group={"full": 1, "plain": 1}, max_new=16)
    members, _, _ = make_group(tmp_path, stage, scratch={"context": 64})
    assert [getattr(member, "reason", None) for member in members] == [TOO_LONG, None]


def test_branches_leave_full_rollouts_in_turn(tmp_path):
    stage = make_grpo(group={"full": 2, "leaving": 3}, compare={"leaving": 1})
    members, _, _ = make_group(tmp_path, stage)
    assert [member.parent for member in members] == [None, None, 0, 1, 0, 1]
    for member in members[2:]:
        assert member.num_shared == len(member.plan.turns) - 1


# --- sampling ---------------------------------------------------------------------------------------------


def sample(tmp_path, stage, **settings) -> tuple[list[SampledRollout], object, object]:
    members, student, context = make_group(tmp_path, stage, **settings)
    [group] = sample_groups(stage, student, [members])
    return group, student, context


def test_masks_cover_just_what_was_sampled(tmp_path):
    group, student, _ = sample(tmp_path, make_grpo())
    for rollout in group:
        assert len(rollout.mask) == len(rollout.completion_ids)
        runs: list[list[int]] = [[]]
        for token, bit in zip(rollout.completion_ids, rollout.mask, strict=True):
            if bit:
                runs[-1].append(token)
            elif runs[-1]:
                runs.append([])
        sampled = [run for run in runs if run]
        assert sampled == [turn.token_ids for turn in rollout.turns]
        assert rollout.num_tokens == sum(rollout.mask)
        assert [student.chat.decode(run) for run in sampled] == list(rollout.texts)


def test_a_branch_takes_over_its_parents_prefix_untrained(tmp_path):
    stage = make_grpo(group={"full": 2, "leaving": 4})
    group, student, _ = sample(tmp_path, stage)
    full, branches = group[:2], group[2:]
    for j, branch in enumerate(branches):
        parent = full[j % 2]
        shared = branch.planned.num_shared
        assert branch.texts[:shared] == parent.texts[:shared]
        assert branch.prompt_ids == parent.prompt_ids
        # Up to the end of the last shared turn the tokens are the parent's, and none of them is trained.
        end = _find_end_of_turn(parent, shared, student.chat.eos_id)
        assert branch.completion_ids[:end] == parent.completion_ids[:end]
        assert not any(branch.mask[:end])
        assert sum(branch.mask) == len(branch.turns[-1].token_ids)
        assert branch.num_tokens == sum(len(turn.token_ids) for turn in branch.turns)
    assert branches[0].turns[-1].token_ids != branches[2].turns[-1].token_ids


def _find_end_of_turn(rollout: SampledRollout, turn: int, eos_id: int) -> int:
    """Position after the assistant turns before `turn`, and what closed the last one."""
    end = 0
    for turn_number, followup in enumerate([*rollout.planned.prompt.followups, []]):
        if turn_number == turn:
            return end - len(rollout.planned.prompt.followups[turn - 1])
        sampled = rollout.turns[turn_number]
        end += len(sampled.token_ids) + (1 if sampled.truncated else 0) + len(followup)
    raise AssertionError(eos_id)


def test_a_branch_reads_as_the_dialogue_that_it_is(tmp_path):
    stage = make_grpo(group={"full": 1, "leaving": 1})
    group, student, context = sample(tmp_path, stage)
    branch = group[1]
    whole = branch.prompt_ids + branch.completion_ids
    expected = list(branch.planned.prompt.opening)
    for turn, followup in zip(branch.turns, [*branch.planned.prompt.followups, []], strict=True):
        expected += turn.token_ids + ([student.chat.eos_id] if turn.truncated else []) + followup
    assert whole == expected
    record = build_record(context.manifest.dialogues["lesson"], branch)
    assert record.turns == {"explain": branch.texts[:-1], "final": branch.texts[-1]}
    assert record.num_turns == len(branch.texts)
    assert record.tokens == branch.num_tokens


def test_rollouts_do_not_depend_on_their_neighbours(tmp_path):
    few, _, _ = sample(tmp_path / "few", make_grpo(group={"full": 2}))
    many, _, _ = sample(tmp_path / "many", make_grpo(group={"full": 2, "partial": 5, "leaving": 2}))
    assert [rollout.completion_ids for rollout in many[:2]] == [rollout.completion_ids for rollout in few]


def test_void_rollouts_keep_their_place(tmp_path):
    stage = make_grpo(group={"full": 1, "partial": 1, "plain": 1})
    group, _, context = sample(tmp_path, stage, num_probes=1)
    assert [type(member) for member in group] == [SampledRollout, VoidRollout, SampledRollout]
    record = build_record(context.manifest.dialogues["lesson"], group[2])
    assert record.turns["explain"] == ()


def test_messages_read_as_a_dialogue(tmp_path):
    [rollout], _, _ = sample(tmp_path, make_grpo(group={"full": 1}), count=1)
    roles = [message["role"] for message in list_messages(rollout)]
    assert roles == ["system", "user", "assistant", "user", "assistant"]
    assert list_messages(rollout)[3]["content"] == "What is 0 + 0?"


def test_a_cache_holds_two_vectors_a_layer_and_token(tmp_path):
    _, student, _ = make_group(tmp_path, make_grpo(), scratch={"layers": 3, "width": 64})
    # Keys and values, 3 layers, 64 numbers of 4 bytes, 100 tokens, half as much again.
    assert count_cache_bytes(student, 100) == 2 * 3 * 64 * 4 * 150
