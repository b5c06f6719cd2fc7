"""The header of a student's card: YAML that tells the hub what the model is made of, and its figures.

Written without a YAML library, as that of a dataset's card.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any, NamedTuple

from exgrpo_artifact.manifest import EvaluateStage, Manifest
from exgrpo_runtime.cards import quote, write_license


class Figure(NamedTuple):
    """One accuracy of the student."""

    stage: EvaluateStage
    line: Mapping[str, Any]
    """Of accuracy.json; its mean is known."""


def list_figures(
    manifest: Manifest, after: str, summaries: Mapping[str, Mapping[str, Any]]
) -> Iterator[Figure]:
    """What the evaluations that are finished say of the student after a stage; `summaries` are those of stages by name."""
    for stage in manifest.stages:
        if isinstance(stage, EvaluateStage):
            for line in summaries.get(stage.name, {}).get("accuracy", ()):
                if line["after"] == after and line["mean"] is not None:
                    yield Figure(stage, line)


def write_header(manifest: Manifest, after: str, figures: list[Figure]) -> Iterator[str]:
    """The lines of the header, with the marks around it."""
    student = manifest.models[manifest.student]
    yield from ("---", "library_name: transformers", "pipeline_tag: text-generation")
    yield from write_license(student.license)
    if (base := _find_hub_id(student.kind, student.id)) is not None:
        yield f"base_model: {quote(base)}"
    hub = [_find_hub_id(each.source.kind, each.source.location) for each in manifest.datasets.values()]
    if any(hub):
        yield from ("datasets:", *(f"- {quote(name)}" for name in hub if name))
    yield from ("tags:", "- exgrpo")
    if figures:
        yield from ("model-index:", f"- name: {quote(f'{manifest.task}: {after}')}", "  results:")
    for stage, line in figures:
        yield from ("  - task:", "      type: text-generation", "    dataset:")
        yield f"      name: {quote(stage.dataset)}"
        yield f"      type: {quote(stage.dataset)}"
        yield f"      split: {quote(stage.split)}"
        yield from ("    metrics:", "    - type: accuracy", f"      value: {line['mean']:.6g}")
        yield f"      name: {quote(f'{stage.reward}.{stage.term} of {stage.dialogue}.{stage.scenario}')}"
    yield "---"


def _find_hub_id(kind: str, name: str | None) -> str | None:
    """The name if it can be one of the hub's, and is no folder of the machine that trained."""
    if kind != "hf" or name is None or name.count("/") != 1 or PurePath(name).is_absolute():
        return None
    return None if name.startswith(".") or PurePath(name).suffix else name
