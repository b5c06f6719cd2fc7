"""Settings, hashes and templates of the task, as they were run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from exgrpo_artifact.canonical import to_plain
from exgrpo_artifact.manifest import Dialogue, Manifest
from exgrpo_artifact.storage import Artifact
from exgrpo_runtime.report.collect import RunRecord, as_mapping
from exgrpo_runtime.report.formats import format_value


class Card(NamedTuple):
    """Settings of one declaration or stage."""

    title: str
    kind: str
    entries: tuple[tuple[str, str], ...]


class Prompt(NamedTuple):
    """One compiled template."""

    path: str
    use: str
    text: str


class SettingsView(NamedTuple):
    """Everything that the run was configured with."""

    stages: tuple[Card, ...]
    others: tuple[Card, ...]
    hashes: tuple[tuple[str, str], ...]
    provenance: tuple[tuple[str, str], ...]
    prompts: tuple[Prompt, ...]
    rules: tuple[tuple[str, str], ...]


def describe_settings(record: RunRecord) -> SettingsView:
    """Settings from the artifact, hashes and circumstances from run.json."""
    artifact = record.artifact
    hashes = [("artifact", str(record.run.get("artifact") or ""))]
    hashes += [(name, str(value)) for name, value in as_mapping(record.run.get("hashes")).items()]
    return SettingsView(
        stages=_list_stages(artifact.manifest) if artifact else (),
        others=_list_others(artifact.manifest) if artifact else (),
        hashes=tuple((name, value) for name, value in hashes if value),
        provenance=_list_provenance(record),
        prompts=_list_prompts(artifact) if artifact else (),
        rules=tuple((rule.name, rule.instruction) for rule in artifact.manifest.rules.values())
        if artifact
        else (),
    )


def flatten_settings(value: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """`optimizer.lr` and so on, in declaration order; a reference to the environment as `env(NAME)`."""
    entries: list[tuple[str, str]] = []
    for key, item in value.items():
        name = f"{prefix}{key}"
        if isinstance(item, dict) and set(item) == {"env"}:
            entries.append((name, f"env({item['env']})"))
        elif isinstance(item, dict) and item:
            entries += flatten_settings(item, f"{name}.")
        else:
            entries.append((name, format_value(item if item != {} else None)))
    return entries


def _list_stages(manifest: Manifest) -> tuple[Card, ...]:
    return tuple(_make_card(stage.name, stage.kind, to_plain(stage)) for stage in manifest.stages)


def _list_others(manifest: Manifest) -> tuple[Card, ...]:
    cards = [
        _make_card(name, f"{model.kind} model", to_plain(model)) for name, model in manifest.models.items()
    ]
    for name, dataset in manifest.datasets.items():
        plain = {"source": to_plain(dataset.source), "split": to_plain(dataset.splits)}
        plain["fields"] = [f"{'secret ' if field.secret else ''}{field.name}" for field in dataset.fields]
        cards.append(_make_card(name, "dataset", plain))
    for name, probes in manifest.probes.items():
        plain = {"dataset": probes.dataset, "teacher": probes.teacher, "rules": list(probes.rules)}
        plain["keep"] = [f"{keep.subject} {keep.name}" for keep in probes.keeps]
        cards.append(_make_card(name, "probes", plain))
    return tuple(cards)


def _make_card(title: str, kind: str, plain: Mapping[str, Any]) -> Card:
    shown = {key: value for key, value in plain.items() if key not in ("name", "kind")}
    return Card(title, kind, tuple(flatten_settings(shown)))


def _list_provenance(record: RunRecord) -> tuple[tuple[str, str], ...]:
    run = record.run
    entries = [
        ("spec", format_value(run.get("spec"))),
        ("seed", format_value(run.get("seed"))),
        ("rows of each split", format_value(run["limit"]) if run.get("limit") else "all"),
        ("overrides", format_value(run.get("overrides") or None)),
        ("turned off", format_value(run.get("turned_off") or None)),
        ("device", format_value(run.get("device"))),
        ("compiled by", f"exgrpo {run['compiler']}" if run.get("compiler") else "unknown"),
    ]
    entries += [(name, str(version)) for name, version in as_mapping(run.get("versions")).items()]
    return tuple(entries)


def _list_prompts(artifact: Artifact) -> tuple[Prompt, ...]:
    uses = _find_uses(artifact.manifest)
    return tuple(Prompt(path, uses.get(path, ""), text) for path, text in artifact.prompts.items())


def _find_uses(manifest: Manifest) -> dict[str, str]:
    """Template path -> what it is for."""
    uses = {probes.prompt: f"prompt of {probes.name}, to the teacher" for probes in manifest.probes.values()}
    uses |= {rubric.text: f"rubric {rubric.name}, to the judge" for rubric in manifest.rubrics.values()}
    for dialogue in manifest.dialogues.values():
        uses |= _find_dialogue_uses(dialogue)
    return uses


def _find_dialogue_uses(dialogue: Dialogue) -> dict[str, str]:
    uses = {}
    if dialogue.system:
        uses[dialogue.system] = f"system message of {dialogue.name}"
    for exchange in (*(dialogue.loop.exchanges if dialogue.loop else ()), *dialogue.closing):
        uses[exchange.user] = f"user message before {exchange.name}"
        if exchange.target:
            uses[exchange.target] = f"teacher\u2019s wording of {exchange.name}, for SFT"
    return uses
