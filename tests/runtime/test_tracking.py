"""Trackers get the figures of our own metrics, where they were asked for, and nothing otherwise."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("trl")

from exgrpo_artifact.errors import MissingDependencyError
from exgrpo_runtime import tracking
from exgrpo_runtime.grpo import run_grpo_stage
from exgrpo_runtime.sft import run_sft_stage
from exgrpo_runtime.tracking import Tracking, flatten_figures, place_tracking, require_trackers
from tests.runtime.factory import make_artifact, make_context, make_grpo, make_sft, read_lines
from tests.support.cli import call_exgrpo
from tests.support.sums import write_sums

pytestmark = pytest.mark.train


def read_scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Tag -> (step, value) of all that TensorBoard was told in `folder`."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    reader = accumulator.EventAccumulator(str(folder))
    reader.Reload()
    return {
        tag: [(event.step, event.value) for event in reader.Scalars(tag)] for tag in reader.Tags()["scalars"]
    }


def test_tensorboard_gets_each_line_of_a_grpo_stage(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    stage = make_grpo(kl=0.05, aux=0.3)
    context = make_context(tmp_path, make_artifact(stage))
    context = replace(context, tracking=Tracking(("tensorboard",), tmp_path / "tracking"))
    with place_tracking(context.tracking, stage.name):
        run_grpo_stage(stage, context)
    lines = read_lines(context.work / "metrics.jsonl")
    told = read_scalars(tmp_path / "tracking" / "tensorboard" / "train")
    for line in lines:
        for name, value in flatten_figures(line).items():
            assert dict(told[f"train/{name}"])[line["step"]] == pytest.approx(value, rel=1e-5), name
    assert {"train/loss", "train/kl", "train/terms/outcome/mean", "train/scenarios/full/total"} <= told.keys()
    assert "train/reward" not in told
    assert "TENSORBOARD_LOGGING_DIR" not in os.environ


def test_tensorboard_gets_each_line_of_an_sft_stage(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    stage = make_sft()
    context = make_context(tmp_path, make_artifact(stage))
    context = replace(context, tracking=Tracking(("tensorboard",), tmp_path / "tracking"))
    with place_tracking(context.tracking, stage.name):
        run_sft_stage(stage, context)
    lines = read_lines(context.work / "metrics.jsonl")
    told = read_scalars(tmp_path / "tracking" / "tensorboard" / "warmup")
    assert [step for step, _ in told["train/loss"]] == [line["step"] for line in lines]
    assert [value for _, value in told["train/loss"]] == pytest.approx(
        [line["loss"] for line in lines], rel=1e-5
    )


def test_nobody_is_told_by_default_even_where_a_tracker_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    stage = make_sft()
    context = make_context(tmp_path, make_artifact(stage))
    run_sft_stage(stage, context)
    assert not [path for path in tmp_path.rglob("*") if "tfevents" in path.name or path.name == "tracking"]


def test_the_users_own_place_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", "mine")
    monkeypatch.delenv("TRACKIO_DIR", raising=False)
    with place_tracking(Tracking(("trackio",), tmp_path / "tracking"), "train"):
        assert os.environ["TENSORBOARD_LOGGING_DIR"] == "mine"
        assert os.environ["TRACKIO_DIR"] == str(tmp_path / "tracking" / "trackio")
    assert "TRACKIO_DIR" not in os.environ
    assert os.environ["TENSORBOARD_LOGGING_DIR"] == "mine"


def test_a_tracker_that_is_not_installed_stops_the_run_before_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "find_spec", lambda _: None)
    with pytest.raises(MissingDependencyError, match="pip install wandb"):
        require_trackers(("wandb",))
    write_sums(tmp_path)
    called = call_exgrpo("run", "sums.exg", "--out", "out", "--report-to", "trackio", cwd=tmp_path)
    assert called.code == 3, called.err
    assert "--report-to trackio: trackio is not installed. Install it with: pip install trackio" in called.err
    assert not (tmp_path / "out").exists()


def test_what_is_no_number_is_left_out() -> None:
    line = {
        "step": 3,
        "loss": 1.5,
        "kl": None,
        "name": "x",
        "voids": {},
        "terms": {"a": {"mean": 0.25, "fired": None}},
    }
    assert flatten_figures(line) == {"loss": 1.5, "terms/a/mean": 0.25}
