"""A lowered task to the files of its artifact: canonical JSON, hashes per layer, provenance without machine paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from exgrpo_artifact.canonical import dump_canonical, hash_text, hash_value, to_plain
from exgrpo_artifact.graph import RewardFile, RewardGraph
from exgrpo_artifact.manifest import FORMAT, Hashes, Manifest, Provenance
from exgrpo_artifact.record import replace
from exgrpo_artifact.storage import MANIFEST, REWARD, compute_content_hash
from exgrpo_artifact.validation import validate_plain
from exgrpo_artifact.version import VERSION
from exgrpo_compiler.lower.task import Lowered

ArtifactFiles = dict[str, str]
"""Path inside the artifact -> text."""

COMPILER = f"exgrpo {VERSION}"
"""What wrote the artifact, in its provenance."""


def emit_artifact(task: Lowered, overrides: Sequence[str], turned_off: Sequence[str]) -> ArtifactFiles:
    """The artifact's files: prompts, reward.json, manifest.json."""
    rewards = validate_plain(RewardFile, to_plain(RewardFile(rewards=dict(task.rewards))))
    files: ArtifactFiles = dict(task.prompts)
    files[REWARD] = dump_canonical(rewards, sort_keys=False)
    manifest = Manifest(
        format=FORMAT,
        edition=task.edition,
        task=task.name,
        doc=task.doc,
        seed=task.seed,
        data=task.data,
        student=task.student,
        datasets=dict(task.datasets),
        models=dict(task.models),
        rules=dict(task.rules),
        probes=dict(task.probes),
        dialogues=dict(task.dialogues),
        rubrics=dict(task.rubrics),
        stages=task.stages,
        hashes=Hashes(data="", prompts="", reward="", train=""),
        files={path: hash_text(text) for path, text in sorted(files.items())},
        provenance=Provenance(
            compiler=COMPILER,
            sources={module: hash_text(text) for module, text in sorted(task.sources.items())},
            overrides=tuple(overrides),
            turned_off=tuple(turned_off),
        ),
        declassified=task.declassified,
    )
    manifest = validate_plain(Manifest, to_plain(manifest))
    manifest = replace(manifest, hashes=hash_layers(manifest, rewards.rewards, task.prompts))
    manifest = replace(manifest, content_hash=compute_content_hash(manifest))
    files[MANIFEST] = dump_canonical(manifest, sort_keys=False)
    return files


def hash_layers(task: Manifest, rewards: Mapping[str, RewardGraph], templates: Mapping[str, str]) -> Hashes:
    """One hash for each thing that may change by itself.

    data: datasets · prompts: what teachers and judges of probes are asked, and the filters · reward: rewards and rubrics ·
    train: student, dialogues, stages, seed.
    """
    prompts = {probes.prompt for probes in task.probes.values()}
    rubrics = {rubric.text for rubric in task.rubrics.values()}
    dialogues = {path: text for path, text in templates.items() if path not in prompts | rubrics}
    calls = [
        node.params
        for probes in task.probes.values()
        for keep in probes.keeps
        for node in keep.condition.nodes
        if node.op == "call"
    ]
    asked = {str(params["model"]) for params in calls if "model" in params} - {task.student}
    asked |= {probes.teacher for probes in task.probes.values()}
    judged = {task.rubrics[params["rubric"]].text for params in calls if "rubric" in params}
    return Hashes(
        data=hash_value(dict(task.datasets)),
        prompts=hash_value(
            {
                "probes": dict(task.probes),
                "rules": dict(task.rules),
                "models": {name: _describe_model(task, name) for name in sorted(asked)},
                "templates": {path: templates[path] for path in sorted(prompts | judged)},
            }
        ),
        reward=hash_value(
            {
                "rewards": dict(rewards),
                "rubrics": dict(task.rubrics),
                "templates": {path: templates[path] for path in sorted(rubrics)},
            }
        ),
        train=hash_value(
            {
                "student": to_plain(task.models[task.student]),
                "dialogues": dict(task.dialogues),
                "templates": dialogues,
                "stages": list(task.stages),
                "seed": task.seed,
            }
        ),
    )


def _describe_model(task: Manifest, name: str) -> dict[str, Any]:
    """What determines a model's answers: not how it is reached or paid."""
    model = task.models[name]
    return {
        "kind": model.kind,
        "id": model.id,
        "sampling": to_plain(model.sampling),
        "options": to_plain(model.options),
    }
