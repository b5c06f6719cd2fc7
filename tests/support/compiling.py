"""Compiling specs in tests: the two complete examples, and short ways from a text to what comes out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from exgrpo_artifact.graph import RewardFile, RewardGraph
from exgrpo_artifact.manifest import Manifest
from exgrpo_artifact.validation import validate_json
from exgrpo_compiler.diagnostics import Diagnostic, Outcome
from exgrpo_compiler.emit import ArtifactFiles
from exgrpo_compiler.pipeline import check_spec, compile_spec
from exgrpo_compiler.render.human import render_human
from exgrpo_compiler.source import Source

ROOT = Path(__file__).parents[2]
GSM8K = (ROOT / "specs/exgrpo_specs/tasks/gsm8k.exg").read_text("utf-8")
LESSONS = (ROOT / "tests/compiler/lessons.exg").read_text("utf-8")
BASE = (ROOT / "tests/golden/check/base.exg").read_text("utf-8")
STD_RULES = (ROOT / "specs/exgrpo_specs/std/rules.exg").read_text("utf-8")

LIBRARY = {"std.rules": STD_RULES, "./base.exg": BASE}


def load(target: str, importer: Source) -> Source | None:
    """The texts of LIBRARY under their targets."""
    text = LIBRARY.get(target)
    return Source(target, text, target) if text is not None else None


def check(text: str, *overrides: str, files: Mapping[str, str] | None = None) -> tuple[Diagnostic, ...]:
    """What is wrong with a spec."""

    def find(target: str, importer: Source) -> Source | None:
        if files and target in files:
            return Source(target, files[target], target)
        return load(target, importer)

    return check_spec(Source("spec.exg", text, "spec.exg"), find, overrides=overrides).diagnostics


def find_ids(text: str, *overrides: str) -> list[str]:
    """Ids of what is wrong with a spec, in order."""
    return [diagnostic.id for diagnostic in check(text, *overrides)]


def compile_text(text: str, *overrides: str, task: str | None = None) -> Outcome[dict[str, ArtifactFiles]]:
    """A spec's artifacts."""
    return compile_spec(Source("spec.exg", text, "spec.exg"), load, task=task, overrides=overrides)


def compile_files(text: str, *overrides: str) -> ArtifactFiles:
    """Files of the only task of a spec that must be right."""
    outcome = compile_text(text, *overrides)
    assert outcome.is_ok, render_human(outcome.diagnostics, color=False)
    assert outcome.value is not None
    (files,) = outcome.value.values()
    return files


def compile_manifest(text: str, *overrides: str) -> Manifest:
    """Manifest of the only task of a spec that must be right."""
    return validate_json(Manifest, compile_files(text, *overrides)["manifest.json"])


def compile_reward(text: str, name: str, *overrides: str) -> RewardGraph:
    """One reward of such a task."""
    content = validate_json(RewardFile, compile_files(text, *overrides)["reward.json"])
    return content.rewards[name]


def compile_terms(terms: str, *, range_: str = "0..10") -> RewardGraph:
    """A reward over the lesson of base.exg with these terms, in a task that trains on it."""
    return compile_reward(build_reward_spec(terms, range_=range_), "r")


def build_reward_spec(terms: str, *, range_: str = "0..10") -> str:
    """The spec of `compile_terms`."""
    return f"""exg 1
use "./base.exg".{{rows, student, tutor, faithful, ask, lesson}}

reward r(d: lesson, item: rows) -> {range_} {{
{terms}
}}

task t {{
  data = rows
  student = student
  stage probe = ask(split: train)
  stage train = grpo(lesson, reward: r, group: {{ full: 2, partial: 2 }}, steps: 1)
}}
"""


def get_path(value: Any, path: str) -> Any:
    """A part of nested JSON by dotted path."""
    for part in path.split("."):
        value = value[int(part)] if isinstance(value, list) else value[part]
    return value


def load_manifest_json(files: Mapping[str, str]) -> Any:
    """manifest.json as plain JSON."""
    return json.loads(files["manifest.json"])


def show(diagnostics: Sequence[Diagnostic]) -> str:
    """Diagnostics as text."""
    return render_human(diagnostics, color=False)
