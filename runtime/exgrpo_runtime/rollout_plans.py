"""What the rollouts of a group will be asked, before any is sampled.

A group is the `group` rollouts, which are trained, then the `compare` rollouts, which only the reward sees.
Probes are drawn once per group, a scenario's cut once per rollout. Source: section 3 of the paper (arXiv
2603.19266); branches are this project's.

Invariant: a rollout that its question does not allow keeps its place as a void one; groups are all of one
size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from exgrpo_artifact.manifest import Dialogue, GrpoStage
from exgrpo_runtime.context import Context
from exgrpo_runtime.plans import (
    DialoguePrompt,
    Plan,
    cut_probes,
    draw_probes,
    encode_prompt,
    make_rng,
    make_seed,
    plan_dialogue,
)
from exgrpo_runtime.records import Probe, Row
from exgrpo_runtime.student import Student

TOO_FEW_PROBES = "too-few-probes"
TOO_LONG = "too-long"


class Question(NamedTuple):
    """A row to be asked, with the probes that may come before it."""

    row: Row
    probes: Sequence[Probe]
    place: int
    """Position in the stage's sequence of questions, from 0."""
    epoch: int
    """Passes over the rows before this one."""
    attempt: int = 0
    """Times that its rollouts were sampled before, and none had an advantage."""


@dataclass(frozen=True, slots=True)
class PlannedRollout:
    """One rollout before it is sampled."""

    scenario: str
    is_trained: bool
    """False for `compare` rollouts."""
    seed: int
    plan: Plan
    prompt: DialoguePrompt
    parent: int | None = None
    """Place in the group of the rollout that a branch leaves; None for one that starts afresh."""
    num_shared: int = 0
    """Assistant turns that a branch takes over from its parent."""


@dataclass(frozen=True, slots=True)
class VoidRollout:
    """A rollout that its question does not allow; it holds its place in the group, with nothing to train."""

    scenario: str
    is_trained: bool
    reason: str


PlannedMember = PlannedRollout | VoidRollout


def plan_group(
    stage: GrpoStage, context: Context, student: Student, question: Question
) -> list[PlannedMember]:
    """The rollouts of one group, trained ones first, each with its own cut, seed, and words."""
    dialogue = context.manifest.dialogues[stage.dialogue]
    seed = context.manifest.seed
    drawn = draw_probes(
        dialogue.loop,
        question.probes,
        for_rollout=True,
        rng=make_rng(seed, stage.name, "probes", question.row.uid, question.epoch),
    )
    members: list[PlannedMember] = []
    places: dict[str, list[int]] = {}
    for is_trained, counts in ((True, stage.group), (False, stage.compare)):
        for scenario, count in counts.items():
            for _ in range(count):
                places.setdefault(scenario, []).append(len(members))
                again = (question.attempt,) if question.attempt else ()
                rollout_seed = make_seed(
                    seed, stage.name, question.place, question.row.uid, len(members), *again
                )
                members.append(
                    _plan_member(stage, context, student, question, drawn, scenario, is_trained, rollout_seed)
                )
    return _link_branches(dialogue, members, places)


def _plan_member(
    stage: GrpoStage,
    context: Context,
    student: Student,
    question: Question,
    drawn: Sequence[Probe],
    scenario: str,
    is_trained: bool,
    seed: int,
) -> PlannedMember:
    dialogue = context.manifest.dialogues[stage.dialogue]
    kept = cut_probes(dialogue.scenarios[scenario], len(drawn), make_rng(seed, "cut"))
    if kept is None:
        return VoidRollout(scenario, is_trained, TOO_FEW_PROBES)
    plan = plan_dialogue(dialogue, question.row, drawn[:kept], context.templates, scenario)
    prompt = encode_prompt(plan, student.chat)
    if count_positions(prompt, stage.max_new) > student.context:
        return VoidRollout(scenario, is_trained, TOO_LONG)
    return PlannedRollout(scenario, is_trained, seed, plan, prompt)


def count_positions(prompt: DialoguePrompt, max_new: int) -> int:
    """Tokens of the dialogue if every turn used all of `max_new` and had to be closed."""
    asked = len(prompt.opening) + sum(len(followup) for followup in prompt.followups)
    return asked + (len(prompt.followups) + 1) * (max_new + 1)


def _link_branches(
    dialogue: Dialogue, members: list[PlannedMember], places: Mapping[str, list[int]]
) -> list[PlannedMember]:
    """Gives branch j of a scenario its parent: rollout j mod F of the scenario that it leaves."""
    linked = list(members)
    for scenario, own_places in places.items():
        cut = dialogue.scenarios[scenario]
        if cut.kind != "branch" or cut.of is None:
            continue
        parents = places[cut.of]
        for j, place in enumerate(own_places):
            member, parent = linked[place], parents[j % len(parents)]
            if isinstance(member, VoidRollout):
                continue
            leaves = linked[parent]
            if isinstance(leaves, VoidRollout) or leaves.plan.num_probes < member.plan.num_probes:
                linked[place] = VoidRollout(scenario, member.is_trained, TOO_FEW_PROBES)
                continue
            shared = sum(turn.in_loop for turn in member.plan.turns)
            linked[place] = replace(member, parent=parent if shared else None, num_shared=shared)
    return linked
