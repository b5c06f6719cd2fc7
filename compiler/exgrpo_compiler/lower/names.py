"""Which declarations a task needs, and what each is called in its artifact."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from exgrpo_artifact.manifest import AnswerSpec
from exgrpo_artifact.record import Record
from exgrpo_compiler.ir import (
    CheckedDialogue,
    CheckedProbes,
    CheckedProgram,
    CheckedReward,
    CheckedStage,
    CheckedTask,
    Typed,
)
from exgrpo_compiler.program import Key


class Scene(Record):
    """A task with its declarations: what everything that is lowered for it refers to."""

    program: CheckedProgram
    task: CheckedTask
    names: Mapping[Key, str]
    """Artifact names of all that the task needs."""

    def get(self, key: Key) -> Any:
        """A checked declaration."""
        return self.program.known[key]

    def find_dialogue(self, probes: Key) -> Key | None:
        """The dialogue that the task holds over these probes: a grpo stage's, else an sft or evaluate stage's."""
        order = {"grpo": 0, "sft": 1, "evaluate": 2, "probe": 3}
        for stage in sorted(self.task.stages, key=lambda item: order[item.kind]):
            for key in get_dialogues(stage):
                if self.get(key).probes == probes:
                    return key
        return None

    def find_answer(self, probes: Key) -> AnswerSpec | None:
        """The answer type of that dialogue's last turn."""
        key = self.find_dialogue(probes)
        dialogue = self.get(key) if key is not None else None
        return dialogue.closing[-1].answer if isinstance(dialogue, CheckedDialogue) else None

    def find_probe_answer(self, probes: Key) -> AnswerSpec | None:
        """The answer type of the turn after a probe's question in that dialogue, else of its last turn."""
        key = self.find_dialogue(probes)
        dialogue = self.get(key) if key is not None else None
        if not isinstance(dialogue, CheckedDialogue):
            return None
        looped = [exchange.answer for exchange in dialogue.exchanges if exchange.in_loop and exchange.answer]
        return looped[0] if looped else self.find_answer(probes)


def build_scene(program: CheckedProgram, task: CheckedTask) -> Scene:
    """The scene of a task: reachable declarations get the entry file's name for them, else their own.

    Where two would share a name, the later one is told apart by a number.
    """
    names: dict[Key, str] = {}
    kinds: dict[tuple[type, str], Key] = {}
    for key in _walk_task(program, task):
        if key in names:
            continue
        kind = type(program.known[key])
        wanted = program.scope_names.get(key, key.name)
        name, number = wanted, 2
        while (kind, name) in kinds:
            name, number = f"{wanted}_{number}", number + 1
        kinds[kind, name] = key
        names[key] = name
    return Scene(program, task, names)


def get_dialogues(stage: CheckedStage) -> list[Key]:
    """Dialogues that a stage holds."""
    if stage.kind == "sft":
        return list(stage.settings["mix"])
    return [stage.settings["dialogue"]] if stage.kind in ("grpo", "evaluate") else []


def _walk_task(program: CheckedProgram, task: CheckedTask) -> Iterator[Key]:
    yield task.data
    yield task.student
    for stage in task.stages:
        if stage.kind == "probe":
            yield from _walk_probes(program, stage.settings["probes"])
        for key in get_dialogues(stage):
            yield from _walk_dialogue(program, key)
        if stage.kind == "evaluate":
            yield stage.settings["dataset"]
        if stage.kind in ("grpo", "evaluate"):
            reward: CheckedReward = program.known[stage.settings["reward"]]
            yield stage.settings["reward"]
            yield from _walk_dialogue(program, reward.dialogue)
            for tree in reward.terms.values():
                yield from _walk_tree(tree)


def _walk_probes(program: CheckedProgram, key: Key) -> Iterator[Key]:
    probes: CheckedProbes = program.known[key]
    yield key
    yield probes.dataset
    yield probes.teacher
    yield from probes.rules
    for keep in probes.keeps:
        yield from _walk_tree(keep.condition)


def _walk_dialogue(program: CheckedProgram, key: Key) -> Iterator[Key]:
    dialogue: CheckedDialogue = program.known[key]
    yield key
    yield dialogue.dataset
    if dialogue.probes is not None:
        yield from _walk_probes(program, dialogue.probes)


def _walk_tree(tree: Typed) -> Iterator[Key]:
    for value in tree.params.values():
        if isinstance(value, Key):
            yield value
    for arg in tree.args:
        yield from _walk_tree(arg)
