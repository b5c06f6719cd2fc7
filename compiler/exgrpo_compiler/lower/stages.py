"""Stages in the artifact's form, every setting written out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from exgrpo_artifact.manifest import (
    EvaluateStage,
    GrpoStage,
    Optimizer,
    ProbeStage,
    SftStage,
    Signal,
    Stage,
)
from exgrpo_artifact.record import get_fields
from exgrpo_compiler.builtins import STAGES
from exgrpo_compiler.ir import CheckedStage
from exgrpo_compiler.lower.graphs import lower_reward
from exgrpo_compiler.lower.names import Scene
from exgrpo_compiler.prove.case import RewardCase, TrainCase, find_score_term
from exgrpo_compiler.prove.no_signal import find_signal


def lower_stages(scene: Scene) -> tuple[Stage, ...]:
    """The task's stages in order."""
    return tuple(_LOWER[stage.kind](scene, stage) for stage in scene.task.stages)


def _lower_probe(scene: Scene, stage: CheckedStage) -> Stage:
    return ProbeStage(
        name=stage.name, probes=scene.names[stage.settings["probes"]], split=stage.settings["split"]
    )


def _lower_sft(scene: Scene, stage: CheckedStage) -> Stage:
    settings = stage.settings
    return SftStage(
        name=stage.name,
        mix={scene.names[key]: share for key, share in settings["mix"].items()},
        optimizer=_build_optimizer(settings),
        **_pick(settings, "split", "epochs", "turns", "batch"),
    )


def _lower_grpo(scene: Scene, stage: CheckedStage) -> Stage:
    settings = stage.settings
    own = ("name", "dialogue", "reward", "optimizer")
    plain = [name for name in get_fields(GrpoStage) if name in settings and name not in own]
    return GrpoStage(
        name=stage.name,
        dialogue=scene.names[settings["dialogue"]],
        reward=scene.names[settings["reward"]],
        optimizer=_build_optimizer(settings),
        signal=_find_signal(scene, stage),
        **_pick(settings, *plain),
    )


def _find_signal(scene: Scene, stage: CheckedStage) -> Signal | None:
    """Between which success rates the stage carries signal, for the run to compare with what it measures."""
    key = stage.settings["reward"]
    reward = scene.program.known[key]
    case = RewardCase(
        key=key,
        program=scene.program,
        reward=reward,
        dialogue=scene.program.known[reward.dialogue],
        graph=lower_reward(scene, key),
        spans={},
        term_spans={},
        name_span=stage.span,
        range_span=stage.span,
        on_failure_span=None,
    )
    return find_signal(TrainCase(case, key, scene.task, stage, find_score_term(scene.task, key)))


def _lower_evaluate(scene: Scene, stage: CheckedStage) -> Stage:
    settings = stage.settings
    return EvaluateStage(
        name=stage.name,
        dialogue=scene.names[settings["dialogue"]],
        scenario=settings["scenario"],
        dataset=scene.names[settings["dataset"]],
        split=settings["split"],
        reward=scene.names[settings["reward"]],
        term=settings["term"],
        max_new=settings["max_new"] or _find_max_new(scene.task.stages),
    )


def _find_max_new(stages: Sequence[CheckedStage]) -> int:
    """What the student was trained to stay within; else grpo's default."""
    trained = [stage.settings["max_new"] for stage in stages if stage.kind == "grpo"]
    return int(trained[-1] if trained else STAGES["grpo"]["max_new"].default)


def _build_optimizer(settings: Mapping[str, Any]) -> Optimizer:
    keys = [name for name in get_fields(Optimizer) if name != "name"]
    return Optimizer(name=settings["optimizer"], **_pick(settings, *keys))


def _pick(settings: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: settings[name] for name in names}


_LOWER: Mapping[str, Callable[[Scene, CheckedStage], Stage]] = {
    "probe": _lower_probe,
    "sft": _lower_sft,
    "grpo": _lower_grpo,
    "evaluate": _lower_evaluate,
}
