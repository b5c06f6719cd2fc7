"""What a stage may learn from, told by the compiler, beside what the run measures."""

from __future__ import annotations

from typing import Any

import pytest

from exgrpo_artifact.manifest import GrpoStage, Signal
from exgrpo_artifact.record import replace
from exgrpo_dsl.cli.summaries import _warn_of_signal
from exgrpo_runtime.grpo_metrics import measure_signal
from tests.support.compiling import GSM8K, LESSONS, compile_manifest


def find_stage(text: str) -> GrpoStage:
    (stage,) = [stage for stage in compile_manifest(text).stages if isinstance(stage, GrpoStage)]
    return stage


def make_lines(*means: float) -> list[dict[str, Any]]:
    return [{"scenarios": {}, "terms": {"outcome": {"mean": mean}}} for mean in means]


def test_the_artifact_says_where_a_stage_can_learn() -> None:
    for text in (GSM8K, LESSONS):
        signal = find_stage(text).signal
        assert signal is not None
        assert signal.term == "outcome"
        assert (round(signal.low, 3), round(signal.high, 3)) == (0.083, 0.917)


@pytest.mark.parametrize(
    ("first", "is_outside"), [(0.02, True), (0.083, True), (0.0831, False), (0.5, False), (0.99, True)]
)
def test_a_run_that_starts_outside_of_the_range_says_so(first: float, is_outside: bool) -> None:
    stage = replace(find_stage(GSM8K), signal=Signal(term="outcome", low=0.08301, high=0.91699))
    measured = measure_signal(stage, make_lines(first, 0.5, 0.6))
    assert measured is not None
    assert (measured["first"], measured["last"], measured["is_outside"]) == (first, 0.6, is_outside)
    assert ("warning: " in _warn_of_signal(measured)) == is_outside


def test_nothing_is_said_where_no_range_is_known() -> None:
    stage = replace(find_stage(GSM8K), signal=None)
    assert measure_signal(stage, make_lines(0.0)) is None
    assert _warn_of_signal(None) == ""
