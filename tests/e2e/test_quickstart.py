"""The embedded default as a user runs it: the student truly learns, and the filters catch what they must."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.cli import run_exgrpo

pytestmark = [pytest.mark.train, pytest.mark.slow]


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("quickstart")
    result = run_exgrpo("run", "--out", "out", cwd=directory, timeout=1500)
    assert result.returncode == 0, result.stdout + result.stderr
    return directory / "out"


@pytest.mark.timeout(1600)
def test_single_turn_accuracy_gains_twenty_points_with_intervals_apart(run_dir: Path) -> None:
    (accuracy,) = json.loads((run_dir / "result.json").read_text())["accuracy"].values()
    states = {entry["after"]: entry for entry in accuracy}
    assert list(states) == ["initial", "base", "warmup", "train"]
    assert states["train"]["mean"] >= states["warmup"]["mean"] + 0.20
    assert states["train"]["low"] > states["warmup"]["high"]


def test_eq_2_keeps_some_items_and_drops_some(run_dir: Path) -> None:
    summary = json.loads(next((run_dir / "stages").glob("*-probe/done.json")).read_text())["summary"]
    assert 0 < summary["items_kept"] < summary["rows"]
    assert summary["reasons"]["in_reach"] > 0
    assert summary["reasons"]["consistent"] > 0
    assert summary["reasons"]["malformed-reply"] > 0
