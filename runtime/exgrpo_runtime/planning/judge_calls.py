"""What judges are asked about the student's rollouts, in training and in evaluation.

Rollouts are not there yet, so each call stands for one that a rollout can cause; equal questions are asked once, and a judge that
stands in a branch may not be asked at all.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from exgrpo_artifact.graph import Node, RewardGraph
from exgrpo_artifact.judgements import restrict_reward
from exgrpo_artifact.manifest import Dialogue, EvaluateStage, GrpoStage, Manifest, SftStage
from exgrpo_artifact.operations import is_external
from exgrpo_artifact.storage import Artifact
from exgrpo_runtime.planning.calls import Calls, count_calls, expect_reply
from exgrpo_runtime.planning.ranges import Range, add_up
from exgrpo_runtime.planning.tokens import Counters
from exgrpo_runtime.teachers.teacher import Message
from exgrpo_runtime.templates import TemplateSet

IN_BRANCH = 0.5
"""Expected share of rollouts whose judge is asked, where it stands in a branch."""
_BRANCHES = ("if", "default", "and", "or")


@dataclass(frozen=True, slots=True)
class JudgePlanner:
    """Plans the judges of one task."""

    artifact: Artifact
    templates: TemplateSet
    counters: Counters

    @property
    def _manifest(self) -> Manifest:
        return self.artifact.manifest

    def plan_training(self, stage: GrpoStage) -> Iterator[Calls]:
        """Judges of every rollout of every step."""
        reward = self.artifact.rewards[stage.reward]
        groups = stage.items * stage.steps
        rollouts = groups * (sum(stage.group.values()) + sum(stage.compare.values()))
        for node in _find_judges(reward):
            yield self._plan_node(
                stage.name, reward, node, groups, rollouts, stage.max_new, 1 + stage.resample
            )

    def plan_evaluation(self, stage: EvaluateStage, num_rows: int) -> Iterator[Calls]:
        """Judges of every row's answer, by the student before training and after each training stage."""
        reward = restrict_reward(self.artifact.rewards[stage.reward], stage.term)
        earlier = self._manifest.stages[: self._manifest.stages.index(stage)]
        students = 1 + sum(isinstance(each, SftStage | GrpoStage) for each in earlier)
        for node in _find_judges(reward):
            answers = num_rows * students
            yield self._plan_node(stage.name, reward, node, answers, answers, stage.max_new)

    def _plan_node(
        self,
        stage: str,
        reward: RewardGraph,
        node: Node,
        groups: int,
        rollouts: int,
        max_new: int,
        most_times: int = 1,
    ) -> Calls:
        model = self._manifest.models[node.params["model"]]
        places: float = groups if node.level in ("const", "group") else rollouts
        if node.level == "turn":
            places *= count_turns(self._manifest, self._manifest.dialogues[reward.dialogue])
        is_sure = node.id in _find_sure(reward)
        planned = Range(0, places if is_sure else IN_BRANCH * places, most_times * places)
        return count_calls(
            stage,
            str(node.params["fn"]),
            model,
            planned,
            prompt=add_up([self._measure_frame(node), Range(0, max_new / 2, max_new)]),
            completion=expect_reply("verdict", model),
        )

    def _measure_frame(self, node: Node) -> Range:
        """Tokens of the rubric; the text to judge comes on top."""
        rubric = node.params.get("rubric")
        text = self.templates.render(self._manifest.rubrics[rubric].text) if rubric else ""
        model = self._manifest.models[node.params["model"]]
        return self.counters.get(model).count([Message(role="user", content=text)])


def count_turns(manifest: Manifest, dialogue: Dialogue) -> int:
    """Turns of one name that a dialogue has at most: one for each probe that its loop samples."""
    if dialogue.loop is None or dialogue.probes is None:
        return 1
    declared = manifest.probes[dialogue.probes]
    made = len(declared.rules) * (declared.per_rule or declared.samples)
    return made if dialogue.loop.count is None else min(made, dialogue.loop.count)


def _find_judges(reward: RewardGraph) -> list[Node]:
    return [node for node in reward.nodes if is_external(node) and "model" in node.params]


def _find_sure(reward: RewardGraph) -> Collection[str]:
    """Nodes that every rollout needs: those that a term reaches without passing a branch."""
    nodes: Mapping[str, Node] = {node.id: node for node in reward.nodes}
    sure: set[str] = set()
    waiting = list(reward.terms)
    while waiting:
        name = waiting.pop()
        if name in sure:
            continue
        sure.add(name)
        node = nodes[name]
        if node.op == "aggregate":
            waiting += node.args[-1:]  # with a `where`, its condition alone is needed for every member
        else:
            waiting += node.args[:1] if node.op in _BRANCHES else node.args
    return sure
