"""The card of a trained student: what it says, and that the hub's own reader takes it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from exgrpo_artifact.graph import Graph, Node
from exgrpo_artifact.manifest import Keep, Lora, Model
from exgrpo_artifact.record import replace
from exgrpo_artifact.storage import Artifact
from exgrpo_runtime.model_card import ModelOrigin, write_model_card
from tests.runtime.factory import make_artifact, make_evaluate, make_grpo, make_sft

ACCURACY = [
    {"after": "initial", "n": 8, "mean": 0.0, "low": 0.0, "high": 0.324, "unscored": 0, "truncated": 0},
    {"after": "warmup", "n": 8, "mean": 0.25, "low": 0.0715, "high": 0.5907, "unscored": 0, "truncated": 0},
    {"after": "train", "n": 8, "mean": 0.75, "low": 0.4093, "high": 0.9285, "unscored": 0, "truncated": 0},
]
SUMMARIES: Mapping[str, Mapping[str, Any]] = {
    "probe": {"probes_kept": 9, "items_kept": 4},
    "warmup": {"steps": 7, "loss_first": 3.0, "loss_last": 1.25},
    "train": {
        "steps": 2,
        "rollouts": 16,
        "tokens": 480,
        "first": {"total": 0.1},
        "last": {"total": 0.4},
    },
}
RUN = {"task": "sums", "spec": "sums.exg", "overrides": ["train.steps=2"], "versions": {"torch": "2.9.0"}}


def make_task(**student: Any) -> Artifact:
    """Sums with a warm-up, a grpo stage and an evaluation; `student` changes the model that is trained."""
    artifact = make_artifact(make_sft(), make_grpo(), make_evaluate())
    manifest = artifact.manifest
    judged = Graph(
        nodes=(Node(id="sure", op="call", params={"fn": "agrees", "model": "second"}),), result="sure"
    )
    ask = replace(manifest.probes["ask"], keeps=(Keep(name="sure", subject="probe", condition=judged),))
    models = {
        **manifest.models,
        "tiny": replace(manifest.models["tiny"], **student),
        "tutor": Model(
            name="tutor",
            kind="openai",
            id="big-1",
            base_url="https://teacher.internal/v1",
            license="vendor's terms",
        ),
        "second": Model(name="second", kind="plugin", id="other", license="mit"),
    }
    manifest = replace(
        manifest,
        models=models,
        probes={"ask": ask},
        datasets={"sums": replace(manifest.datasets["sums"], license="cc-by-4.0")},
        provenance=replace(manifest.provenance, sources={"sums.exg": "5a" * 32}),
        content_hash="c0" * 32,
    )
    return artifact._replace(manifest=manifest)


def write(after: str, artifact: Artifact | None = None, *, is_evaluated: bool = True) -> str:
    evaluated = {"test": {"accuracy": ACCURACY}} if is_evaluated else {}
    origin = ModelOrigin(
        RUN, {"sums": {"commit": None}}, {"sums": {"sums.jsonl": "ab" * 32}}, {**SUMMARIES, **evaluated}
    )
    return write_model_card(artifact or make_task(), after, origin)


def test_the_card_says_what_the_student_was_made_of_and_how_well_it_does() -> None:
    card = write("train")
    for words in (
        "# sums: the student after `train`",
        "| `sums.train` | `lesson.plain`, greedy, 6 tokens a turn | `sums.outcome` | 0.7500 | 0.4093 to 0.9285 | 8 |",
        "| probe | probes `ask` asked of the teacher | split `train` | 9 probes about 4 rows |",
        "| split `train` | 7 steps, loss 3.000 → 1.250 |",
        "| split `train` | 2 steps, 16 rollouts, 480 tokens, reward 0.100 → 0.400 |",
        "| rows `sums` | jsonl: `sums.jsonl` | cc-by-4.0 |",
        "| teacher `tutor` | `big-1`, behind an OpenAI-compatible URL | vendor's terms |",
        "| asked by filters `second` | `other`, plugin | mit |",
        "| student `tiny` | `tiny`, made from random weights | not declared |",
        "exgrpo run sums.exg --task sums --set train.steps=2 --stage train",
        f"| artifact | `{'c0' * 32}` |",
        f"| rows: `sums.jsonl` | `{'ab' * 32}` |",
        f"| spec `sums.exg` | `{'5a' * 32}` |",
        "with torch 2.9.0, seed 3.",
    ):
        assert words in card
    assert "teacher.internal" not in card


def test_a_stage_in_between_has_its_own_figures_and_nothing_of_what_follows() -> None:
    card = write("warmup")
    assert "| 0.2500 | 0.0715 to 0.5907 | 8 |" in card
    assert "0.7500" not in card
    assert "ExGRPO on `lesson`" not in card
    assert "--stage warmup" in card


def test_without_an_evaluation_no_figure_is_made_up() -> None:
    card = write("train", is_evaluated=False)
    assert "Not evaluated in the run that made it." in card
    assert "model-index" not in card


def test_the_hubs_reader_takes_the_header(tmp_path: Path) -> None:
    hub = pytest.importorskip("huggingface_hub")
    student = {
        "kind": "hf",
        "id": "org/small-instruct",
        "license": "apache-2.0",
        "lora": Lora(),
        "scratch": None,
    }
    path = tmp_path / "README.md"
    path.write_text(write("train", make_task(**student)), "utf-8")
    card = hub.ModelCard.load(path)
    assert (card.data.license, card.data.base_model) == ("apache-2.0", "org/small-instruct")
    assert (card.data.library_name, card.data.pipeline_tag, card.data.tags) == (
        "transformers",
        "text-generation",
        ["exgrpo"],
    )
    (result,) = card.data.eval_results
    assert (result.dataset_name, result.dataset_split) == ("sums", "train")
    assert (result.metric_type, result.metric_value) == ("accuracy", 0.75)
    assert "its adapter is merged" in card.text


@pytest.mark.parametrize("location", ["models/small.bin", "./models/small", "/models/small", "small"])
def test_a_folder_of_the_machine_is_no_model_of_the_hub(location: str) -> None:
    assert "base_model" not in write("train", make_task(kind="hf", id=location, scratch=None))
