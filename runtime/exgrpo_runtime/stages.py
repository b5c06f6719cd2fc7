"""The stages by kind: what must be there before the first one runs, and which code runs each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from exgrpo_artifact.boxed import prepare_comparing
from exgrpo_artifact.graph import Node
from exgrpo_artifact.manifest import EvaluateStage, GrpoStage, Manifest, ProbeStage, SftStage, Stage
from exgrpo_artifact.storage import Artifact
from exgrpo_runtime.context import Context
from exgrpo_runtime.environment import require_http, require_training
from exgrpo_runtime.options import Engine
from exgrpo_runtime.similarity import require_similarity
from exgrpo_runtime.teachers.session import Session


def choose_stages(manifest: Manifest, until: str | None) -> tuple[Stage, ...]:
    """The stages that a run comes to that ends with the stage `until`; None: all."""
    names = ["data", *(stage.name for stage in manifest.stages)]
    return manifest.stages if until is None else manifest.stages[: names.index(until)]


def uses_torch(artifact: Artifact, stages: Sequence[Stage]) -> bool:
    """Whether one of these stages trains, or asks a model that runs in this process."""
    names = {name for stage in stages for name in _find_models(artifact, stage)}
    local = any(artifact.manifest.models[name].kind in ("hf", "scratch") for name in names)
    return local or not all(isinstance(stage, ProbeStage) for stage in stages)


def require_packages(artifact: Artifact, stages: Sequence[Stage]) -> None:
    """Returns where what these stages import is installed: a run that ends with its probes needs no torch.

    Raises:
        MissingDependencyError: it is not.
    """
    manifest = artifact.manifest
    if uses_torch(artifact, stages):
        require_training()
    names = {name for stage in stages for name in _find_models(artifact, stage)}
    if any(manifest.models[name].kind == "openai" for name in names):
        require_http()


def require_comparing(artifact: Artifact) -> None:
    """Returns where whatever compares texts can be had, before the first stage spends anything; what compares mathematics is started.

    Raises:
        MissingDependencyError: a turn is compared by math-verify, or two texts by their embeddings, and that is not installed.
    """
    for dialogue in artifact.manifest.dialogues.values():
        exchanges = (*(dialogue.loop.exchanges if dialogue.loop is not None else ()), *dialogue.closing)
        if any(
            exchange.answer is not None and exchange.answer.kind == "math.boxed" for exchange in exchanges
        ):
            prepare_comparing()
            break
    nodes = (node for stage in artifact.manifest.stages for node in _list_nodes(artifact, stage))
    if any(node.params.get("fn") == "similarity" for node in nodes):
        require_similarity()


def require_models(artifact: Artifact, stages: Sequence[Stage], session: Session) -> None:
    """Opens every teacher and judge that these stages name, before the first of them spends anything.

    Raises:
        TeacherError: a variable of the environment is not set, or no such plugin is installed.
    """
    manifest = artifact.manifest
    names = {name for stage in stages for name in _find_models(artifact, stage)}
    for name in sorted(names - {manifest.student}):
        session.get_teacher(manifest.models[name])


def _find_models(artifact: Artifact, stage: Stage) -> set[str]:
    """Names of the models that a stage asks."""
    if not isinstance(stage, ProbeStage | GrpoStage):
        return set()
    asked = {artifact.manifest.probes[stage.probes].teacher} if isinstance(stage, ProbeStage) else set()
    nodes = _list_nodes(artifact, stage)
    return asked | {str(node.params["model"]) for node in nodes if "model" in node.params}


def _list_nodes(artifact: Artifact, stage: Stage) -> Iterator[Node]:
    """Every node of the filters, or of the reward, that a stage evaluates."""
    if isinstance(stage, ProbeStage):
        for keep in artifact.manifest.probes[stage.probes].keeps:
            yield from keep.condition.nodes
    elif isinstance(stage, GrpoStage | EvaluateStage):
        yield from artifact.rewards[stage.reward].nodes


def call_stage(stage: Stage, context: Context, engine: Engine, stores: Path) -> dict[str, Any]:
    """Runs one stage, which writes below the context's `work`; its summary.

    Args:
        stage: the stage.
        context: where it runs.
        engine: who sends a probe stage's requests: `local`, this process; `ray`, a cluster.
        stores: directory for the stores of a cluster's nodes.

    Raises:
        ExgrpoError: the world failed.
    """
    # torch and TRL take seconds to import: only the stages that train pay for them.
    if isinstance(stage, ProbeStage) and engine == "ray":
        from exgrpo_runtime.probing.ray_engine import run_probe_stage_on_ray

        return run_probe_stage_on_ray(stage, context, stores)
    if isinstance(stage, ProbeStage):
        from exgrpo_runtime.probing.stage import run_probe_stage

        return run_probe_stage(stage, context)
    if isinstance(stage, SftStage):
        from exgrpo_runtime.sft import run_sft_stage

        return run_sft_stage(stage, context)
    if isinstance(stage, GrpoStage):
        from exgrpo_runtime.grpo import run_grpo_stage

        return run_grpo_stage(stage, context)
    from exgrpo_runtime.evaluation import run_evaluate_stage

    return run_evaluate_stage(stage, context)
