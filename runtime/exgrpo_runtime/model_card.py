"""README.md of a trained student: what it was made of, by whom, under which licences, how well it does, and how to make it again.

A pure function of what the run has on record, so that a card can be written anew when figures or licences are added.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from exgrpo_artifact.graph import Node
from exgrpo_artifact.manifest import EvaluateStage, GrpoStage, Manifest, Model, ProbeStage, SftStage, Stage
from exgrpo_artifact.storage import Artifact
from exgrpo_artifact.version import VERSION
from exgrpo_runtime.cards import (
    NOT_DECLARED,
    build_command,
    write_hashes,
    write_model_source,
    write_rows_source,
    write_source_head,
)
from exgrpo_runtime.model_header import Figure, list_figures, write_header


class ModelOrigin(NamedTuple):
    """What the run has on record."""

    run: Mapping[str, Any]
    """As in run.json."""
    data: Mapping[str, Any]
    """The data stage's summary, by dataset."""
    files: Mapping[str, Mapping[str, str]]
    """Dataset -> path -> sha256 of the local files that its source reads."""
    summaries: Mapping[str, Mapping[str, Any]]
    """Finished stages by name."""


def write_model_card(artifact: Artifact, after: str, origin: ModelOrigin) -> str:
    """README.md of the folder of the student that the training stage `after` left.

    Args:
        artifact: the task.
        after: name of the training stage.
        origin: what the run has on record; figures are those of the evaluations that are finished.
    """
    manifest = artifact.manifest
    names = [stage.name for stage in manifest.stages]
    stages = manifest.stages[: names.index(after) + 1]
    figures = list(list_figures(manifest, after, origin.summaries))
    sections = (
        write_header(manifest, after, figures),
        _write_opening(manifest, after),
        _write_figures(figures),
        _write_stages(stages, origin),
        _write_sources(artifact, stages, origin),
        _write_rebuilding(manifest, after, stages, origin),
    )
    return "\n".join(line for section in sections for line in section) + "\n"


# --- the text ---------------------------------------------------------------------------------------------


def _write_opening(manifest: Manifest, after: str) -> Iterator[str]:
    student = manifest.models[manifest.student]
    yield from (f"# {manifest.task}: the student after `{after}`", "")
    yield (
        f"`{student.id or student.name}` trained by exgrpo (Explanatory Probes and ExGRPO, arXiv 2603.19266), an ordinary folder of "
        "transformers" + ("; its adapter is merged." if student.lora is not None else ".")
    )
    yield from ("", manifest.doc) if manifest.doc else ()
    yield from ("", "```python", "from transformers import AutoModelForCausalLM, AutoTokenizer", "")
    yield 'model = AutoModelForCausalLM.from_pretrained("PATH or ORG/NAME")'
    yield 'tokenizer = AutoTokenizer.from_pretrained("PATH or ORG/NAME")'
    yield from ("```", "")


def _write_figures(figures: list[Figure]) -> Iterator[str]:
    yield from ("## How well it does", "")
    if not figures:
        yield from ("Not evaluated in the run that made it.", "")
        return
    yield from ("| rows | asked as | term | mean | 95 % interval | n |", "|---|---|---|---|---|---|")
    for stage, line in figures:
        yield (
            f"| `{stage.dataset}.{stage.split}` | `{stage.dialogue}.{stage.scenario}`, greedy, {stage.max_new} tokens a turn | "
            f"`{stage.reward}.{stage.term}` | {line['mean']:.4f} | {line['low']:.4f} to {line['high']:.4f} | {line['n']} |"
        )
    yield ""


def _write_stages(stages: tuple[Stage, ...], origin: ModelOrigin) -> Iterator[str]:
    yield from ("## Training", "", "| stage | what | on | figures |", "|---|---|---|---|")
    for stage in stages:
        if not isinstance(stage, EvaluateStage):
            figures = _describe_figures(stage, origin.summaries.get(stage.name, {}))
            yield f"| {stage.name} | {_describe_stage(stage)} | split `{stage.split}` | {figures} |"
    yield ""


def _describe_stage(stage: SftStage | GrpoStage | ProbeStage) -> str:
    if isinstance(stage, ProbeStage):
        return f"probes `{stage.probes}` asked of the teacher"
    if isinstance(stage, SftStage):
        mix = ", ".join(f"{name} {share:.0%}" for name, share in stage.mix.items())
        return f"supervised on the teacher's dialogues ({mix}), {stage.epochs:g} epochs, batch {stage.batch}"
    group = ", ".join(f"{count} {name}" for name, count in stage.group.items())
    return (
        f"ExGRPO on `{stage.dialogue}` by reward `{stage.reward}`, groups of {group}, {stage.items} questions a step, "
        f"lr {stage.optimizer.lr:g}, kl {stage.kl:g}, aux {stage.aux:g}"
    )


def _describe_figures(stage: Stage, summary: Mapping[str, Any]) -> str:
    if isinstance(stage, ProbeStage):
        return f"{summary['probes_kept']} probes about {summary['items_kept']} rows"
    if isinstance(stage, SftStage):
        return f"{summary['steps']} steps, loss {summary['loss_first']:.3f} → {summary['loss_last']:.3f}"
    first, last = summary["first"].get("total"), summary["last"].get("total")
    reward = "" if first is None or last is None else f", reward {first:.3f} → {last:.3f}"
    return f"{summary['steps']} steps, {summary['rollouts']} rollouts, {summary['tokens']} tokens{reward}"


def _write_sources(artifact: Artifact, stages: tuple[Stage, ...], origin: ModelOrigin) -> Iterator[str]:
    manifest = artifact.manifest
    yield from write_source_head()
    yield write_model_source("student", manifest.models[manifest.student])
    for name in _list_datasets(manifest, stages):
        yield write_rows_source(manifest.datasets[name], origin.data.get(name, {}))
    for role, model in _list_teachers(artifact, stages):
        yield write_model_source(role, model)
    yield from (
        "",
        f"A licence that is {NOT_DECLARED} is not known to be free: look it up before this is passed on. "
        "What a teacher wrote was trained on, so its terms count as well.",
        "",
    )


def _list_datasets(manifest: Manifest, stages: tuple[Stage, ...]) -> list[str]:
    names: list[str] = []
    for stage in stages:
        if isinstance(stage, ProbeStage):
            names.append(manifest.probes[stage.probes].dataset)
        elif isinstance(stage, SftStage):
            names += [manifest.dialogues[name].dataset for name in stage.mix]
        elif isinstance(stage, GrpoStage):
            names.append(manifest.dialogues[stage.dialogue].dataset)
    return list(dict.fromkeys(names))


def _list_teachers(artifact: Artifact, stages: tuple[Stage, ...]) -> list[tuple[str, Model]]:
    """Whoever wrote probes, filtered them or judged rollouts, each once; the student's own part is no source."""
    manifest, found = artifact.manifest, dict[str, str]()
    for stage in stages:
        nodes: list[Node] = []
        role = "asked by filters"
        if isinstance(stage, ProbeStage):
            declaration = manifest.probes[stage.probes]
            found.setdefault(declaration.teacher, "teacher")
            nodes = [node for keep in declaration.keeps for node in keep.condition.nodes]
        elif isinstance(stage, GrpoStage):
            nodes, role = list(artifact.rewards[stage.reward].nodes), "judge"
        for node in nodes:
            if "model" in node.params:
                found.setdefault(str(node.params["model"]), role)
    return [(role, manifest.models[name]) for name, role in found.items() if name != manifest.student]


def _write_rebuilding(
    manifest: Manifest, after: str, stages: tuple[Stage, ...], origin: ModelOrigin
) -> Iterator[str]:
    files = {
        path: digest
        for name in _list_datasets(manifest, stages)
        for path, digest in origin.files.get(name, {}).items()
    }
    yield from ("## Making it again", "", "```sh", build_command(after, origin.run), "```", "")
    yield from write_hashes(manifest, files)
    sources = manifest.provenance.sources
    yield from (f"| spec `{name}` | `{digest}` |" for name, digest in sources.items())
    versions = origin.run.get("versions") or {}
    used = ", ".join(
        f"{name} {versions[name]}" for name in ("torch", "transformers", "trl", "peft") if versions.get(name)
    )
    yield from ("", f"exgrpo {VERSION}" + (f" with {used}" if used else "") + f", seed {manifest.seed}.")
