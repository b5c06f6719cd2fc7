"""The stages by kind: what must be there before the first one runs, and which code runs each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from exgrpo_artifact.boxed import require_math
from exgrpo_artifact.manifest import GrpoStage, ProbeStage, SftStage, Stage
from exgrpo_artifact.storage import Artifact
from exgrpo_runtime.context import Context
from exgrpo_runtime.teachers.session import Session


def require_comparing(artifact: Artifact) -> None:
    """Returns where the answers of all turns can be compared.

    Raises:
        MissingDependencyError: one is compared by math-verify, which is not installed.
    """
    for dialogue in artifact.manifest.dialogues.values():
        exchanges = (*(dialogue.loop.exchanges if dialogue.loop is not None else ()), *dialogue.closing)
        if any(
            exchange.answer is not None and exchange.answer.kind == "math.boxed" for exchange in exchanges
        ):
            require_math()


def require_models(artifact: Artifact, stages: Sequence[Stage], session: Session) -> None:
    """Opens every teacher and judge that these stages name, before the first of them spends anything.

    Raises:
        TeacherError: a variable of the environment is not set, or no such plugin is installed.
    """
    manifest = artifact.manifest
    probes = [manifest.probes[stage.probes] for stage in stages if isinstance(stage, ProbeStage)]
    graphs = [keep.condition.nodes for declaration in probes for keep in declaration.keeps]
    graphs += [artifact.rewards[stage.reward].nodes for stage in stages if isinstance(stage, GrpoStage)]
    names = {declaration.teacher for declaration in probes}
    names |= {str(node.params["model"]) for nodes in graphs for node in nodes if "model" in node.params}
    for name in sorted(names - {manifest.student}):
        session.get_teacher(manifest.models[name])


def call_stage(stage: Stage, context: Context) -> dict[str, Any]:
    """Runs one stage, which writes below the context's `work`; its summary.

    Raises:
        ExgrpoError: the world failed.
    """
    # torch and TRL take seconds to import: only the stages that train pay for them.
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
