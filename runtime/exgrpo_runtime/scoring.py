"""Scored groups: what the reward makes of the rollouts, which advantages follow, and which terms change them.

Invariant: a rollout without a total (void, dropped) has advantage 0, stays out of every mean and deviation,
and trains no token. Shape letters: `P` questions of a step, `G` trained rollouts of a group.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from exgrpo_artifact.evaluate import Rollout, Scores, collect_judgements, evaluate_reward
from exgrpo_artifact.graph import RewardGraph
from exgrpo_artifact.manifest import GrpoStage
from exgrpo_artifact.record import replace
from exgrpo_artifact.values import Value
from exgrpo_runtime.advantages import EPSILON, compute_advantages, has_signal
from exgrpo_runtime.context import Context
from exgrpo_runtime.judging import answer_judgements
from exgrpo_runtime.rollout_plans import Question, VoidRollout
from exgrpo_runtime.rollouts import Member, SampledRollout, build_record
from exgrpo_runtime.training_batch import TrainingBatch

CHANGE = 1e-6
"""Advantages that differ by less are the same."""
NEARLY_ZERO = 1e-9
"""Takes the place of TRL's 1e-4 beside the deviation where two scorings are compared.

A bonus that the deviation cancels would else seem to change advantages by up to 1e-4 / deviation. Not 0, since
totals that are equal but for rounding would then be divided by their rounding.
"""


@dataclass(frozen=True, slots=True)
class ScoredGroup:
    """A question's rollouts with what the reward made of them."""

    question: Question
    members: tuple[Member, ...]
    """Trained ones first."""
    records: tuple[Rollout, ...]
    """What the reward saw: the members that are not void, in order."""
    judgements: Mapping[str, Value]
    scores: Scores
    """Aligned with `records`."""

    @property
    def sampled(self) -> tuple[SampledRollout, ...]:
        """Aligned with `records` and `scores`."""
        return tuple(member for member in self.members if isinstance(member, SampledRollout))

    @property
    def trained(self) -> tuple[Member, ...]:
        """The members of `group`, void ones included: those with an advantage."""
        return tuple(member for member in self.members if member.is_trained)

    def spread_totals(self, scores: Scores) -> list[float | None]:
        """Totals of `trained`, None where void or dropped; `scores` may be another scoring of `records`."""
        return self.spread(scores.totals)

    def spread(self, values: Sequence[float | None]) -> list[float | None]:
        """Values, one for each of `records`, as values of `trained`: None where void."""
        rest = iter(values)
        spread = [next(rest) if isinstance(member, SampledRollout) else None for member in self.members]
        return [value for value, member in zip(spread, self.members, strict=True) if member.is_trained]


def score_groups(
    context: Context, stage: GrpoStage, questions: Sequence[Question], members_P: Sequence[Sequence[Member]]
) -> list[ScoredGroup]:
    """Runs the reward over each group; judges are first asked about all groups at once where it has any."""
    reward = context.artifact.rewards[stage.reward]
    dialogue = context.manifest.dialogues[stage.dialogue]
    records_P = [
        tuple(build_record(dialogue, member) for member in members if isinstance(member, SampledRollout))
        for members in members_P
    ]
    judgements_P = _ask_judges(context, reward, questions, records_P)
    return [
        ScoredGroup(
            question,
            tuple(members),
            records,
            judgements,
            evaluate_reward(reward, question.row.fields, records, judgements),
        )
        for question, members, records, judgements in zip(
            questions, members_P, records_P, judgements_P, strict=True
        )
    ]


def _ask_judges(
    context: Context,
    reward: RewardGraph,
    questions: Sequence[Question],
    records_P: Sequence[Sequence[Rollout]],
) -> list[dict[str, Value]]:
    """Answers by key, for each group. Keys are unique in a group only, so they carry its place on the way."""
    asked = [
        replace(judgement, key=f"{place} {judgement.key}")
        for place, (question, records) in enumerate(zip(questions, records_P, strict=True))
        for judgement in collect_judgements(reward, question.row.fields, records)
    ]
    answers_P: list[dict[str, Value]] = [{} for _ in records_P]
    for key, answer in (answer_judgements(asked, context) if asked else {}).items():
        place, own_key = key.split(" ", 1)
        answers_P[int(place)][own_key] = answer
    return answers_P


def weigh_groups(
    stage: GrpoStage,
    groups_P: Sequence[ScoredGroup],
    scores_P: Sequence[Scores],
    epsilon: float = EPSILON,
) -> list[list[float]]:
    """Advantages, shape `(P, G)`, of the trained members under these scores."""
    totals_PG = [group.spread_totals(scores) for group, scores in zip(groups_P, scores_P, strict=True)]
    scenarios_PG = [[member.scenario for member in group.trained] for group in groups_P]
    return compute_advantages(totals_PG, scenarios_PG, stage.baseline, stage.scale, epsilon)


def find_changes(
    reward: RewardGraph, stage: GrpoStage, groups_P: Sequence[ScoredGroup]
) -> dict[str, list[bool]]:
    """For each term but the total: in which groups an advantage differs when the term is taken as 0.

    Both scorings are weighed with epsilon `NEARLY_ZERO`.
    """
    changes: dict[str, list[bool]] = {}
    before_PG = weigh_groups(stage, groups_P, [group.scores for group in groups_P], NEARLY_ZERO)
    for term in reward.terms:
        if term == reward.result:
            continue
        without_P = [_score_without(reward, group, term) for group in groups_P]
        changes[term] = [
            any(abs(a - b) > CHANGE for a, b in zip(before_G, after_G, strict=True))
            for before_G, after_G in zip(
                before_PG, weigh_groups(stage, groups_P, without_P, NEARLY_ZERO), strict=True
            )
        ]
    return changes


def _score_without(reward: RewardGraph, group: ScoredGroup, term: str) -> Scores:
    if all(value == 0.0 for value in group.scores.terms[term]):
        return group.scores
    return evaluate_reward(
        reward, group.question.row.fields, group.records, group.judgements, frozenset({term})
    )


def build_batch(
    stage: GrpoStage,
    groups_P: Sequence[ScoredGroup],
    advantages_PG: Sequence[Sequence[float]],
    eos_id: int,
) -> TrainingBatch:
    """The trained rollouts of a step as tokens, group by group.

    No token is trained of a rollout without a total; of a turn cut off, where `truncated` is `mask`; of a group
    without an advantage, where `silent` is `skip`.
    """
    batch = TrainingBatch([], [], [], [])
    # A void row's prompt is as long as any, so that it does not shorten what the others have in common.
    void_prompt = next((member.prompt_ids for group in groups_P for member in group.sampled), [eos_id])
    for group, advantages_G in zip(groups_P, advantages_PG, strict=True):
        totals_G = group.spread_totals(group.scores)
        is_skipped = stage.silent == "skip" and not has_signal(advantages_G)
        for member, total, advantage in zip(group.trained, totals_G, advantages_G, strict=True):
            if isinstance(member, VoidRollout):
                row = (void_prompt, [eos_id], [0])
            else:
                mask = member.mask_truncated() if stage.truncated == "mask" else member.mask
                if total is None or is_skipped:
                    mask = [0] * len(mask)
                row = (member.prompt_ids, member.completion_ids, mask)
            for column, value in zip(batch[:3], row, strict=True):
                column.append(value)
            batch.advantages.append(advantage)
    return batch
