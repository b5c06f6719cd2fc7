"""Sampled rollouts: the groups that were planned, written by the student.

Invariant: a token is trained at most once. A branch takes over the sampled prefix of another rollout, and
trains what follows it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch

from exgrpo_artifact.evaluate import Rollout
from exgrpo_artifact.manifest import Dialogue, GrpoStage
from exgrpo_runtime.generate import SampledTurn, sample_dialogues
from exgrpo_runtime.plans import DialoguePrompt, collect_turns
from exgrpo_runtime.rollout_plans import PlannedMember, PlannedRollout, VoidRollout, count_positions
from exgrpo_runtime.student import Student

MAX_AT_ONCE = 256
"""Dialogues that the student works on at a time, where memory allows; more are hardly faster."""
CACHE_SHARE = 0.4
"""Share of a GPU's free memory that keys and values may take."""


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

    def mask_truncated(self) -> list[int]:
        """The mask without the tokens of turns that did not end within `max_new` tokens."""
        own = self.turns[self.planned.num_shared :]
        ended = iter([int(not turn.truncated) for turn in own for _ in turn.token_ids])
        return [next(ended) if bit else 0 for bit in self.mask]


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
        batch_size=_count_at_once(
            student, max(count_positions(p.prompt, stage.max_new) for p in shared.values())
        ),
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


def _count_at_once(student: Student, longest: int) -> int:
    """Dialogues of `longest` tokens whose keys and values fit the memory; at least 1."""
    if student.device.type != "cuda":
        return MAX_AT_ONCE
    free, _ = torch.cuda.mem_get_info(student.device)
    return max(1, min(MAX_AT_ONCE, int(CACHE_SHARE * free / count_cache_bytes(student, longest))))


def count_cache_bytes(student: Student, tokens: int) -> int:
    """Bytes of keys and values of one dialogue, with the half that a cache keeps to spare."""
    config = student.model.config.get_text_config(decoder=True)
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    numbers = 2 * config.num_hidden_layers * heads * width
    return int(1.5 * tokens * numbers * student.dtype.itemsize)


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


def list_messages(rollout: SampledRollout) -> list[dict[str, str | int]]:
    """The dialogue to read: role and content of every message.

    An assistant's has the name of its `turn`, and inside `for` the place of its `probe`, from 0.
    """
    plan = rollout.planned.plan
    messages: list[dict[str, str | int]] = []
    if plan.system is not None:
        messages.append({"role": "system", "content": plan.system})
    seen: Counter[str] = Counter()
    for turn, text in zip(plan.turns, rollout.texts, strict=True):
        where = {"probe": seen[turn.name]} if turn.in_loop else {}
        seen[turn.name] += 1
        messages += [
            {"role": "user", "content": turn.user},
            {"role": "assistant", "turn": turn.name, **where, "content": text},
        ]
    return messages
