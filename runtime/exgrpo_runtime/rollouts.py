"""Sampled rollouts: the groups that were planned, written by the student.

Invariant: a token is trained at most once. A branch takes over the sampled prefix of another rollout, and
trains what follows it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from exgrpo_artifact.evaluate import Rollout
from exgrpo_artifact.manifest import Dialogue, GrpoStage
from exgrpo_runtime.generate import SampledTurn, sample_dialogues
from exgrpo_runtime.plans import DialoguePrompt, collect_turns
from exgrpo_runtime.rollout_plans import PlannedMember, PlannedRollout, VoidRollout
from exgrpo_runtime.student import Student

ROLLOUTS_AT_ONCE = {"cuda": 512, "cpu": 256}
"""Dialogues that the student works on at a time."""


@dataclass(frozen=True, slots=True)
class SampledRollout:
    """One rollout as tokens and as texts."""

    planned: PlannedRollout
    prompt_ids: list[int]
    completion_ids: list[int]
    mask: list[int]
    """1 where this rollout sampled the token."""
    turns: tuple[SampledTurn, ...]
    """The assistant's, those of a shared prefix among them."""
    texts: tuple[str, ...]
    """Of `turns`."""

    @property
    def scenario(self) -> str:
        """Name of the scenario."""
        return self.planned.scenario

    @property
    def is_trained(self) -> bool:
        """False for `compare` rollouts."""
        return self.planned.is_trained

    @property
    def num_tokens(self) -> int:
        """Sampled tokens of the dialogue, those of a shared prefix among them."""
        return sum(len(turn.token_ids) for turn in self.turns)

    @property
    def num_truncated(self) -> int:
        """Turns sampled here that did not end within `max_new` tokens."""
        return sum(turn.truncated for turn in self.turns[self.planned.num_shared :])


Member = SampledRollout | VoidRollout


# --- sampling ---------------------------------------------------------------------------------------------


def sample_groups(
    stage: GrpoStage, student: Student, groups: Sequence[Sequence[PlannedMember]]
) -> list[list[Member]]:
    """Every rollout of every group: first those that start afresh, then the branches that leave them."""
    done: dict[tuple[int, int], Member] = {}
    waiting: dict[tuple[int, int], PlannedRollout] = {}
    for g, members in enumerate(groups):
        for m, member in enumerate(members):
            if isinstance(member, VoidRollout):
                done[g, m] = member
            else:
                waiting[g, m] = member
    while waiting:
        ready = {key: member for key, member in waiting.items() if _has_parent(key, member, done)}
        done.update(_sample_wave(stage, student, ready, done))
        waiting = {key: member for key, member in waiting.items() if key not in ready}
    return [[done[g, m] for m in range(len(members))] for g, members in enumerate(groups)]


def _has_parent(key: tuple[int, int], member: PlannedRollout, done: Mapping[tuple[int, int], Member]) -> bool:
    return member.parent is None or (key[0], member.parent) in done


def _sample_wave(
    stage: GrpoStage,
    student: Student,
    ready: Mapping[tuple[int, int], PlannedRollout],
    done: Mapping[tuple[int, int], Member],
) -> dict[tuple[int, int], Member]:
    shared = {key: _share_prefix(student, key, member, done) for key, member in ready.items()}
    sampled = sample_dialogues(
        student,
        [prefix.prompt for prefix in shared.values()],
        max_new=stage.max_new,
        temperature=stage.temperature,
        top_p=stage.top_p,
        seeds=[member.seed for member in ready.values()],
        batch_size=ROLLOUTS_AT_ONCE[student.device.type],
    )
    wave: dict[tuple[int, int], Member] = {}
    for (key, prefix), dialogue in zip(shared.items(), sampled, strict=True):
        member = ready[key]
        turns = (*prefix.turns, *dialogue.turns)
        opening = member.prompt.opening
        taken_over = prefix.prompt.opening[len(opening) :]
        wave[key] = SampledRollout(
            member,
            opening,
            taken_over + dialogue.completion_ids,
            [0] * len(taken_over) + dialogue.mask,
            turns,
            tuple(student.chat.decode(turn.token_ids) for turn in turns),
        )
    return wave


class _Prefix(NamedTuple):
    """Where a rollout begins to sample."""

    prompt: DialoguePrompt
    turns: tuple[SampledTurn, ...]
    """Assistant turns that the opening of `prompt` holds."""


def _share_prefix(
    student: Student, key: tuple[int, int], member: PlannedRollout, done: Mapping[tuple[int, int], Member]
) -> _Prefix:
    """The rollout's own prompt, or for a branch the parent's tokens up to where it leaves."""
    if member.parent is None:
        return _Prefix(member.prompt, ())
    parent = done[key[0], member.parent]
    assert isinstance(parent, SampledRollout)
    turns = parent.turns[: member.num_shared]
    opening = list(member.prompt.opening)
    for turn, followup in zip(turns, member.prompt.followups, strict=False):
        opening += [*turn.token_ids, *([student.chat.eos_id] if turn.truncated else []), *followup]
    return _Prefix(DialoguePrompt(opening, member.prompt.followups[len(turns) :]), turns)


# --- records ----------------------------------------------------------------------------------------------


def build_record(dialogue: Dialogue, rollout: SampledRollout) -> Rollout:
    """What the reward sees of a rollout."""
    return Rollout(
        scenario=rollout.scenario,
        turns=collect_turns(dialogue, rollout.planned.plan, rollout.texts),
        tokens=rollout.num_tokens,
        num_turns=len(rollout.texts),
        seed=rollout.planned.seed,
    )


def list_messages(rollout: SampledRollout) -> list[dict[str, str]]:
    """The dialogue to read: role and content of every message."""
    plan = rollout.planned.plan
    messages = [] if plan.system is None else [{"role": "system", "content": plan.system}]
    for turn, text in zip(plan.turns, rollout.texts, strict=True):
        messages += [{"role": "user", "content": turn.user}, {"role": "assistant", "content": text}]
    return messages
