"""A whole task lowered: every model of its manifest but hashes and provenance, its templates, its rewards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from exgrpo_artifact.graph import RewardGraph
from exgrpo_artifact.manifest import Dataset, Declassified, Dialogue, Model, Probes, Rubric, Rule, Stage
from exgrpo_artifact.record import Record
from exgrpo_compiler.ir import (
    CheckedDataset,
    CheckedDialogue,
    CheckedModel,
    CheckedProbes,
    CheckedProgram,
    CheckedReward,
    CheckedRubric,
    CheckedRule,
    CheckedTask,
)
from exgrpo_compiler.lower.declarations import (
    lower_dataset,
    lower_dialogue,
    lower_model,
    lower_probes,
    lower_rubric,
    lower_rule,
)
from exgrpo_compiler.lower.declassified import lower_declassified
from exgrpo_compiler.lower.graphs import lower_reward
from exgrpo_compiler.lower.names import Scene, build_scene
from exgrpo_compiler.lower.prompts import lower_dialogue_prompts, lower_rubric_prompt, lower_teacher_prompt
from exgrpo_compiler.lower.stages import lower_stages
from exgrpo_compiler.program import Key

T = TypeVar("T")


class Lowered(Record):
    """A task, ready to be written."""

    name: str
    doc: str
    edition: int
    seed: int
    data: str
    student: str
    datasets: Mapping[str, Dataset]
    models: Mapping[str, Model]
    rules: Mapping[str, Rule]
    probes: Mapping[str, Probes]
    dialogues: Mapping[str, Dialogue]
    rubrics: Mapping[str, Rubric]
    rewards: Mapping[str, RewardGraph]
    stages: tuple[Stage, ...]
    prompts: Mapping[str, str]
    sources: Mapping[str, str]
    """Module -> text."""
    declassified: tuple[Declassified, ...] = ()


def lower_task(program: CheckedProgram, name: str) -> Lowered:
    """The task of that name."""
    task: CheckedTask = program.known[program.tasks[name]]
    scene = build_scene(program, task)
    return Lowered(
        name=name,
        doc=task.doc,
        edition=program.edition,
        seed=task.seed,
        data=scene.names[task.data],
        student=scene.names[task.student],
        datasets=_lower_all(scene, CheckedDataset, lower_dataset),
        models=_lower_all(scene, CheckedModel, lower_model),
        rules=_lower_all(scene, CheckedRule, lower_rule),
        probes=_lower_all(scene, CheckedProbes, lower_probes),
        dialogues=_lower_all(scene, CheckedDialogue, lower_dialogue),
        rubrics=_lower_all(scene, CheckedRubric, lower_rubric),
        rewards=_lower_all(scene, CheckedReward, lower_reward),
        stages=lower_stages(scene),
        prompts=_lower_prompts(scene),
        sources=program.sources,
        declassified=lower_declassified(scene),
    )


def _lower_all(scene: Scene, kind: type, lower: Callable[[Scene, Key], T]) -> dict[str, T]:
    return {name: lower(scene, key) for key, name in scene.names.items() if isinstance(scene.get(key), kind)}


def _lower_prompts(scene: Scene) -> dict[str, str]:
    files: dict[str, str] = {}
    for key, name in scene.names.items():
        checked = scene.get(key)
        if isinstance(checked, CheckedProbes):
            files |= lower_teacher_prompt(name, checked)
        elif isinstance(checked, CheckedRubric):
            files |= lower_rubric_prompt(name, checked)
        elif isinstance(checked, CheckedDialogue):
            files |= lower_dialogue_prompts(name, checked)
    return dict(sorted(files.items()))
