"""What proofs look at: each reward as a graph with the places it was written at, and each stage that trains by one."""

from __future__ import annotations

from collections.abc import Mapping

from exgrpo_artifact.graph import RewardGraph
from exgrpo_artifact.named import NamedTuple
from exgrpo_artifact.record import Record
from exgrpo_compiler.ast import Assign, Decl
from exgrpo_compiler.ir import CheckedDialogue, CheckedProgram, CheckedReward, CheckedStage, CheckedTask
from exgrpo_compiler.lower.graphs import lower_reward_with_spans
from exgrpo_compiler.program import Key, Program
from exgrpo_compiler.source import Span


class RewardCase(Record):
    """A reward of the entry file, without errors."""

    key: Key
    program: CheckedProgram
    reward: CheckedReward
    dialogue: CheckedDialogue
    graph: RewardGraph
    spans: Mapping[str, Span]
    """Node -> where it is written."""
    term_spans: Mapping[str, Span]
    """Term -> its name."""
    name_span: Span
    range_span: Span
    on_failure_span: Span | None


class TrainCase(Record):
    """A `grpo` stage of a task and the reward it trains by."""

    case: RewardCase
    task: Key
    checked_task: CheckedTask
    stage: CheckedStage
    score_term: str | None
    """The term that an `evaluate` stage of the task scores with; what is at its maximum is right."""

    @property
    def span(self) -> Span:
        """The stage."""
        return self.stage.span


class Cases(NamedTuple):
    """All that is proved something of."""

    rewards: tuple[RewardCase, ...]
    trainings: tuple[TrainCase, ...]


def build_cases(program: Program, checked: CheckedProgram) -> Cases:
    """Rewards that the entry file declares or trains by, and its tasks' `grpo` stages; broken ones are left out."""
    tasks = {key: checked.known[key] for key in checked.tasks.values()}
    stages = [
        (key, task, stage)
        for key, task in tasks.items()
        if isinstance(task, CheckedTask)
        for stage in task.stages
        if stage.kind == "grpo" and "reward" in stage.settings
    ]
    wanted = dict.fromkeys(key for key in program.keys_of("reward") if key.module == program.entry)
    wanted.update(dict.fromkeys(stage.settings["reward"] for _, _, stage in stages))
    names = {key: checked.scope_names.get(key, key.name) for key in checked.known}
    rewards = {
        key: case for key in wanted if (case := _build_reward(program, checked, key, names)) is not None
    }
    trainings = tuple(
        TrainCase(case, key, task, stage, find_score_term(task, stage.settings["reward"]))
        for key, task, stage in stages
        if (case := rewards.get(stage.settings["reward"])) is not None
    )
    return Cases(tuple(rewards.values()), trainings)


def _build_reward(
    program: Program, checked: CheckedProgram, key: Key, names: Mapping[Key, str]
) -> RewardCase | None:
    reward = checked.known.get(key)
    if not isinstance(reward, CheckedReward) or _needs_broken(reward, checked):
        return None
    decl = program.decls[key]
    lowered = lower_reward_with_spans(reward, key, names)
    spans = {term: assign.path[0].span for term, assign in _find_assigns(decl).items()}
    return RewardCase(
        key=key,
        program=checked,
        reward=reward,
        dialogue=checked.known[reward.dialogue],
        graph=lowered.graph,
        spans=lowered.spans,
        term_spans={term: spans.get(term, decl.name.span) for term in reward.terms},
        name_span=decl.name.span,
        range_span=decl.range.span if decl.range is not None else decl.name.span,
        on_failure_span=spans.get("on_failure"),
    )


def _needs_broken(reward: CheckedReward, checked: CheckedProgram) -> bool:
    """Whether something that a term asks is wrong: what it would give is not known, so nothing is proved."""
    if not checked.broken.isdisjoint((reward.dialogue, reward.dataset)):
        return True
    waiting = list(reward.terms.values())
    while waiting:
        tree = waiting.pop()
        waiting += tree.args
        if any(isinstance(value, Key) and checked.known.get(value) is None for value in tree.params.values()):
            return True
    return False


def _find_assigns(decl: Decl) -> Mapping[str, Assign]:
    statements = decl.block.statements if decl.block is not None else ()
    return {
        item.path[0].text: item for item in statements if isinstance(item, Assign) and len(item.path) == 1
    }


def find_score_term(task: CheckedTask, reward: Key) -> str | None:
    """The term of the reward that an `evaluate` stage of the task scores with, if one does."""
    terms = [
        str(stage.settings["term"])
        for stage in task.stages
        if stage.kind == "evaluate" and stage.settings.get("reward") == reward
    ]
    return terms[0] if terms else None
