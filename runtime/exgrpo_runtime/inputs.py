"""What determines a stage's result, as one hash: the key by which `--resume` knows a finished stage.

Only what the stage really uses goes in, so that a changed reward weight leaves probes and warm-up as they are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from exgrpo_artifact.canonical import hash_value, to_plain
from exgrpo_artifact.errors import SourceError
from exgrpo_artifact.manifest import (
    Dataset,
    EvaluateStage,
    GrpoStage,
    Manifest,
    Model,
    ProbeStage,
    SftStage,
    Stage,
)
from exgrpo_artifact.storage import Artifact
from exgrpo_runtime.data.shards import Shard

STAGE_FORMAT = 2
"""Raised when a stage's files or meaning change, so that results of older code are not taken for new ones."""

_TRANSPORT = (
    "price",
    "limits",
    "budget_usd",
    "timeout_s",
    "tries",
    "base_url",
    "more_urls",
    "api_key",
    "json",
    "license",
)
"""Settings of a model that say how it is reached and what may be done with its answers, not what it answers."""


def hash_data_inputs(
    manifest: Manifest, limit: int | None, files: Mapping[str, Mapping[str, str]] | None = None
) -> str:
    """Inputs of the data stage: sources, mappings, the bytes of local files, the limit.

    Args:
        manifest: the task.
        limit: at most so many source rows of every split.
        files: as `hash_files` gives them, where they are known already.
    """
    known = hash_files(manifest) if files is None else files
    datasets = {
        name: {"dataset": _describe_dataset(dataset), "files": known[name]}
        for name, dataset in manifest.datasets.items()
    }
    return hash_value({"format": STAGE_FORMAT, "datasets": datasets, "limit": limit})


def hash_files(manifest: Manifest) -> dict[str, dict[str, str]]:
    """Dataset -> path -> sha256 of each local file that its source reads.

    Raises:
        SourceError: one cannot be read.
    """
    return {name: _hash_files(dataset) for name, dataset in manifest.datasets.items()}


def hash_stage_inputs(
    artifact: Artifact,
    stage: Stage,
    *,
    data: str,
    student: str | None,
    probes: Mapping[str, str],
    trained: list[str],
    shard: Shard | None = None,
) -> str:
    """Inputs of one stage.

    Args:
        artifact: the task.
        stage: the stage.
        data: inputs of the data stage.
        student: inputs of the last training stage before this one, or None.
        probes: `probes` declaration -> inputs of its finished stage.
        trained: inputs of every training stage before this one, in order.
        shard: the part of its rows that a probe stage asks about; None: all of them.
    """
    manifest = artifact.manifest
    common = {"format": STAGE_FORMAT, "stage": to_plain(stage), "seed": manifest.seed, "data": data}
    if shard is not None:
        common["shard"] = str(shard)
    return hash_value({**common, **_describe_uses(artifact, stage, student, probes, trained)})


def _describe_uses(
    artifact: Artifact, stage: Stage, student: str | None, probes: Mapping[str, str], trained: list[str]
) -> dict[str, Any]:
    manifest = artifact.manifest
    student_model = to_plain(manifest.models[manifest.student])
    if isinstance(stage, ProbeStage):
        declaration = manifest.probes[stage.probes]
        calls = [node for keep in declaration.keeps for node in keep.condition.nodes if node.op == "call"]
        models = {str(node.params["model"]) for node in calls if "model" in node.params} | {
            declaration.teacher
        }
        dialogues = {str(node.params["dialogue"]) for node in calls if "dialogue" in node.params}
        asks_student = manifest.student in models
        return {
            "probes": to_plain(declaration),
            "rules": [to_plain(manifest.rules[name]) for name in declaration.rules],
            "prompt": artifact.prompts[declaration.prompt],
            "models": {name: _describe_model(manifest.models[name]) for name in sorted(models)},
            "dialogues": {name: _describe_dialogue(artifact, name) for name in sorted(dialogues)},
            "student": student if asks_student else None,
        }
    if isinstance(stage, SftStage):
        return {
            "dialogues": {name: _describe_dialogue(artifact, name) for name in sorted(stage.mix)},
            "probes": _pick_probes(manifest, stage.mix, probes),
            "student": student,
            "model": student_model,
        }
    if isinstance(stage, GrpoStage):
        reward = artifact.rewards[stage.reward]
        judges = {
            str(node.params["model"]) for node in reward.nodes if node.op == "call" and "model" in node.params
        }
        return {
            "dialogue": _describe_dialogue(artifact, stage.dialogue),
            "probes": _pick_probes(manifest, [stage.dialogue], probes),
            "reward": to_plain(reward),
            "judges": {name: _describe_model(manifest.models[name]) for name in sorted(judges)},
            "student": student,
            "model": student_model,
        }
    assert isinstance(stage, EvaluateStage)
    return {
        "dialogue": _describe_dialogue(artifact, stage.dialogue),
        "reward": to_plain(artifact.rewards[stage.reward]),
        "trained": trained,
        "model": student_model,
    }


def _describe_model(model: Model) -> dict[str, Any]:
    return {key: value for key, value in to_plain(model).items() if key not in _TRANSPORT}


def _describe_dialogue(artifact: Artifact, name: str) -> dict[str, Any]:
    dialogue = artifact.manifest.dialogues[name]
    exchanges = (*(dialogue.loop.exchanges if dialogue.loop else ()), *dialogue.closing)
    paths = [path for exchange in exchanges for path in (exchange.user, exchange.target) if path]
    if dialogue.system:
        paths.append(dialogue.system)
    return {
        "dialogue": to_plain(dialogue),
        "templates": {path: artifact.prompts[path] for path in sorted(paths)},
    }


def _pick_probes(manifest: Manifest, dialogues: Any, probes: Mapping[str, str]) -> dict[str, str | None]:
    used = {manifest.dialogues[name].probes for name in dialogues}
    return {name: probes.get(name) for name in sorted(name for name in used if name)}


def _describe_dataset(dataset: Dataset) -> dict[str, Any]:
    return {key: value for key, value in to_plain(dataset).items() if key not in ("doc", "license")}


def _hash_files(dataset: Dataset) -> dict[str, str]:
    """The bytes of every local file that the source reads, those of a local folder of the hub's format included."""
    source = dataset.source
    if source.kind == "plugin":
        return {}
    locations = [location for location in (source.location, *source.parts.values()) if location]
    if source.kind == "hf":
        locations = [
            str(path)
            for path in sorted(Path(locations[0]).rglob("*"))
            if path.is_file() and path.name[0] != "."
        ]
    return {location: _hash_file(dataset.name, location) for location in locations}


def _hash_file(dataset: str, location: str) -> str:
    digest = hashlib.sha256()
    try:
        with Path(location).open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise SourceError(
            f"dataset `{dataset}`: {location} cannot be read: {error.strerror or error}. "
            "Paths in a spec are relative to the directory that the command runs in."
        ) from error
    return digest.hexdigest()
