# ruff: noqa: E402 - the imports below need what is asked for first
from __future__ import annotations

import dataclasses
import math
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

from exgrpo_artifact.errors import DataError, ModelError
from exgrpo_artifact.manifest import Lora, Optimizer
from exgrpo_artifact.record import replace
from exgrpo_runtime import scoring
from exgrpo_runtime.context import SilentProgress
from exgrpo_runtime.grpo import run_grpo_stage
from exgrpo_runtime.sft import run_sft_stage
from exgrpo_runtime.student import load_for_stage, load_student
from tests.runtime.factory import (
    make_artifact,
    make_context,
    make_evaluate,
    make_grpo,
    make_probes,
    make_rows,
    make_sft,
    read_lines,
)

pytestmark = pytest.mark.train


def run(tmp_path, stage, *, lora=None, scratch=None, **settings):
    """The stage's summary, its metrics lines, and its context."""
    context = make_context(tmp_path, make_artifact(stage, lora=lora, scratch=scratch), **settings)
    summary = run_grpo_stage(stage, context)
    return summary, read_lines(context.work / "metrics.jsonl"), context


# --- the whole stage --------------------------------------------------------------------------------------


@pytest.mark.parametrize("lora", [None, Lora(rank=4, alpha=8)])
def test_two_steps_end_to_end(tmp_path, lora):
    stage = make_grpo(
        group={"full": 2, "partial": 2, "leaving": 1}, compare={"plain": 1}, kl=0.05, aux=0.3, items=2
    )
    summary, lines, context = run(tmp_path, stage, lora=lora)
    assert [line["step"] for line in lines] == [1, 2]
    for line in lines:
        assert math.isfinite(line["loss"])
        assert line["rollouts"] == 12
        assert line["groups"] == 2
        assert line["aux_loss"] > 0
        assert line["clip_fraction"] == 0
        assert {name: scenario["n"] for name, scenario in line["scenarios"].items()} == {
            "full": 4,
            "partial": 4,
            "leaving": 2,
            "plain": 2,
        }
        assert set(line["terms"]) == {"outcome", "length", "bonus", "unpaid"}
        assert line["terms"]["length"]["fired"] == 1.0
        assert line["terms"]["unpaid"] == {
            "mean": 0.0,
            "fired": 0.0,
            "changed": 0.0,
            "groups_fired": 0,
            "groups_changed": 0,
        }
    assert lines[0]["kl"] == pytest.approx(0.0, abs=1e-9)
    assert lines[1]["kl"] > 1e-9
    assert summary["steps"] == 2
    assert summary["rows"] == 6
    assert sorted(path.name for path in context.work.iterdir()) == [
        "metrics.jsonl",
        "rollouts.jsonl",
        "student",
    ]
    start = load_for_stage(context).model.state_dict()
    end = load_student(context.work / "student", context.manifest.models["tiny"]).model.state_dict()
    assert start.keys() == end.keys()
    assert any(not torch.equal(start[name], end[name]) for name in start)


@pytest.mark.parametrize("lora", [None, Lora(rank=4, alpha=8)])
def test_kl_is_to_the_warmed_up_student(tmp_path, lora):
    warmup = make_sft(epochs=5, mix={"drills": 1.0}, optimizer=Optimizer(lr=5e-2))
    stage = make_grpo(kl=0.1, steps=1)
    first = make_context(tmp_path / "a", make_artifact(warmup, stage, lora=lora))
    run_sft_stage(warmup, first)
    second = make_context(
        tmp_path / "b", make_artifact(warmup, stage, lora=lora), student_dir=first.work / "student"
    )
    run_grpo_stage(stage, second)
    [line] = read_lines(second.work / "metrics.jsonl")
    assert line["kl"] == pytest.approx(0.0, abs=1e-9)


def test_the_same_seed_gives_the_same_run(tmp_path):
    stage = make_grpo(aux=0.1, kl=0.01)
    results = [run(tmp_path / name, stage) for name in "ab"]
    timed = {"seconds", "seconds_sampling", "seconds_scoring", "tokens_per_s"}
    one, two = (
        [{k: v for k, v in line.items() if k not in timed} for line in lines] for _, lines, _ in results
    )
    assert one == two


@pytest.mark.parametrize("baseline", ["group", "scenario"])
@pytest.mark.parametrize("scale", ["group", "batch", "none"])
def test_every_baseline_and_scale_trains(tmp_path, baseline, scale):
    # Long enough that some turn ends early: rollouts that all run into `max_new` are equally long.
    stage = make_grpo(baseline=baseline, scale=scale, steps=1, max_new=40)
    summary, lines, context = run(tmp_path, stage)
    assert summary["groups"] == 2
    groups: dict[str, list[float]] = {}
    for line in read_lines(context.work / "rollouts.jsonl"):
        groups.setdefault(line["scenario"] if baseline == "scenario" else "", []).append(line["advantage"])
    for advantages in groups.values():
        assert sum(advantages) == pytest.approx(0.0, abs=1e-4)
    assert any(advantage for advantages in groups.values() for advantage in advantages)
    assert math.isfinite(lines[0]["loss"])


def test_muon_trains_too(tmp_path):
    _, lines, _ = run(tmp_path, make_grpo(optimizer=Optimizer(name="muon", lr=1e-2), steps=1))
    assert math.isfinite(lines[0]["loss"])


def test_longer_answers_are_learned_where_length_is_paid(tmp_path):
    stage = make_grpo(
        group={"plain": 8}, items=4, steps=25, max_new=12, optimizer=Optimizer(lr=2e-2), baseline="group"
    )
    # With a vocabulary of 300, an untrained student ends a turn by chance once in 300 tokens: teach it to stop first.
    warmup = make_sft(
        epochs=20, mix={"drills": 1.0}, optimizer=Optimizer(name="muon", lr=2e-2, embed_lr=1e-2)
    )
    first = make_context(tmp_path / "a", make_artifact(warmup, stage))
    run_sft_stage(warmup, first)
    second = make_context(tmp_path / "b", make_artifact(warmup, stage), student_dir=first.work / "student")
    summary = run_grpo_stage(stage, second)
    assert summary["last"]["length"] > summary["first"]["length"] + 0.01


# --- rows and probes --------------------------------------------------------------------------------------


def test_rows_without_a_probe_to_ask_are_left_out_and_counted(tmp_path):
    rows = make_rows(6)
    probes = {row.uid: make_probes(row, 3) for row in rows[:4]}
    probes[rows[4].uid] = make_probes(rows[4], 3, reveals=True)
    summary, _, context = run(tmp_path, make_grpo(items=4, steps=2), probes=probes)
    assert (summary["rows"], summary["rows_without_probe"]) == (4, 2)
    asked = {line["row"] for line in read_lines(context.work / "rollouts.jsonl")}
    assert asked <= {row.uid for row in rows[:4]}


def test_no_row_with_a_probe_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no row of split `train` has a probe"):
        run(tmp_path, make_grpo(), probes={})


def test_voids_are_counted_by_scenario_and_train_nothing(tmp_path):
    probes = {row.uid: make_probes(row, 1) for row in make_rows(6)}
    summary, lines, _ = run(tmp_path, make_grpo(), probes=probes)
    assert summary["voids"] == {"partial": 8}
    assert lines[0]["voids"] == {"partial": 4}
    assert "partial" not in lines[0]["scenarios"]
    assert lines[0]["rollouts"] == 4


def test_a_context_too_short_for_every_dialogue_is_an_error(tmp_path):
    with pytest.raises(ModelError, match="Lower max_new"):
        run(tmp_path, make_grpo(max_new=20), scratch={"context": 40})


def test_questions_go_round_the_rows_without_a_gap(tmp_path):
    stage = make_grpo(items=4, steps=3, group={"plain": 2})
    _, _, context = run(tmp_path, stage, num_rows=6)
    # 12 questions over 6 rows: the first of each step are the 1st, 5th and 9th; no row comes twice in one pass.
    firsts = [line["row"] for line in read_lines(context.work / "rollouts.jsonl")][::2]
    assert len(firsts) == 3
    assert firsts[0] != firsts[1]


# --- failures ---------------------------------------------------------------------------------------------


def test_rollouts_that_failed_are_dropped_and_never_scored_0(tmp_path, monkeypatch):
    original = scoring.evaluate_reward

    def fail_first(reward, item, rollouts, judgements=None, neutralise=frozenset()):
        scores = original(reward, item, rollouts, judgements, neutralise)
        return type(scores)(
            (None, *scores.totals[1:]), scores.terms, ("the judge timed out", *scores.dropped[1:])
        )

    monkeypatch.setattr(scoring, "evaluate_reward", fail_first)
    summary, lines, context = run(tmp_path, make_grpo(steps=1))
    assert summary["dropped"] == {"the judge timed out": 2}
    assert lines[0]["scenarios"]["full"]["n"] == 2
    first, *others = read_lines(context.work / "rollouts.jsonl")[:4]
    assert first["total"] is None
    assert first["advantage"] == 0
    assert first["dropped"] == "the judge timed out"
    assert all(other["dropped"] is None for other in others)


def test_punished_right_answers_are_in_the_metrics_the_summary_and_the_line_of_progress(
    tmp_path, monkeypatch
):
    original = scoring.evaluate_reward

    def make_right(reward, item, rollouts, judgements=None, neutralise=frozenset()):
        scores = original(reward, item, rollouts, judgements, neutralise)
        # Mean 1.125: two right rollouts are above it, the third is below it, the wrong one is furthest below.
        totals = (1.75, 1.75, 1.0, 0.0)
        return type(scores)(totals, {**scores.terms, "outcome": (1.0, 1.0, 1.0, 0.0)}, scores.dropped)

    monkeypatch.setattr(scoring, "evaluate_reward", make_right)
    shown: list[dict[str, object]] = []

    class Recorder(SilentProgress):
        @contextmanager
        def track(self, description, total):
            yield SimpleNamespace(advance=lambda amount=1, **figures: shown.append(figures))

    stage = make_grpo(steps=1)
    context = dataclasses.replace(
        make_context(tmp_path, make_artifact(stage, make_evaluate())), progress=Recorder()
    )
    summary = run_grpo_stage(stage, context)
    [line] = read_lines(context.work / "metrics.jsonl")
    assert (line["right"], line["right_punished"]) == (6, 2)
    assert (summary["right"], summary["right_punished"]) == (6, 2)
    assert (shown[-1]["signal"], shown[-1]["right_punished"]) == (1.0, 2)


def test_a_group_without_signal_is_sampled_anew_at_most_as_often_as_the_stage_says(tmp_path, monkeypatch):
    seen: list[list[int]] = []
    original = scoring.evaluate_reward

    def make_silent(reward, item, rollouts, judgements=None, neutralise=frozenset()):
        scores = original(reward, item, rollouts, judgements, neutralise)
        if not neutralise:
            seen.append([rollout.seed for rollout in rollouts])
        # The first two groups and the first sampled anew have equal totals; what is sampled after them has not.
        is_silent = len(seen) <= 3
        totals = (1.0,) * len(rollouts) if is_silent else tuple(map(float, range(len(rollouts))))
        return type(scores)(totals, scores.terms, scores.dropped)

    monkeypatch.setattr(scoring, "evaluate_reward", make_silent)
    summary, [line], _ = run(tmp_path, make_grpo(steps=1, resample=2))
    assert (line["groups_resampled"], line["groups_without_signal"], line["groups"]) == (3, 0, 2)
    assert len({tuple(seeds) for seeds in seen}) == len(seen) == 5
    assert summary["groups_resampled"] == 3
    assert line["rollouts"] == 8
    assert line["tokens"] > 8


def test_without_resampling_a_group_without_signal_stays(tmp_path):
    # Turns of one token, all cut off: every rollout of a scenario is as long as the next.
    _, [line], _ = run(tmp_path, make_grpo(steps=1, max_new=1, group={"full": 2}, silent="skip", kl=0.1))
    assert (line["groups_resampled"], line["groups_without_signal"]) == (0, 2)
    assert line["loss"] == 0


# --- what is written --------------------------------------------------------------------------------------


def test_rollouts_to_read_hold_dialogue_terms_and_advantage(tmp_path):
    stage = make_grpo(compare={"plain": 1})
    _, _, context = run(tmp_path, stage)
    lines = read_lines(context.work / "rollouts.jsonl")
    assert len(lines) == 10
    for line in lines:
        assert line["dialogue"][0] == {"role": "system", "content": "Add."}
        assert (line["dialogue"][-1]["role"], line["dialogue"][-1]["turn"]) == ("assistant", "final")
        asked = [message["probe"] for message in line["dialogue"] if "probe" in message]
        assert asked == list(range({"full": 2, "partial": 1, "plain": 0}[line["scenario"]]))
        assert line["turn_terms"] == {}
        assert 0 <= line["truncated_turns"] <= len(asked) + 1
        paid = line["terms"]["bonus"] if line["scenario"] == "full" else 0
        total = line["terms"]["outcome"] + line["terms"]["length"] + paid
        assert line["total"] == pytest.approx(total, abs=1e-5)
        assert (line["advantage"] is None) == (line["scenario"] == "plain")


def test_rollouts_to_read_are_spread_over_long_stages(tmp_path, monkeypatch):
    monkeypatch.setattr("exgrpo_runtime.grpo_metrics.MAX_GROUPS_KEPT", 2)
    _, _, context = run(tmp_path, make_grpo(steps=4, items=1, group={"full": 2}))
    assert {line["step"] for line in read_lines(context.work / "rollouts.jsonl")} == {1, 3}


def test_groups_in_which_a_rollout_failed_are_kept_too_up_to_a_bound(tmp_path, monkeypatch):
    original = scoring.evaluate_reward

    def fail_first(reward, item, rollouts, judgements=None, neutralise=frozenset()):
        scores = original(reward, item, rollouts, judgements, neutralise)
        return replace(
            scores,
            totals=(None, *scores.totals[1:]),
            dropped=("term `outcome` failed: nobody answered", *scores.dropped[1:]),
        )

    monkeypatch.setattr(scoring, "evaluate_reward", fail_first)
    monkeypatch.setattr("exgrpo_runtime.grpo_metrics.MAX_GROUPS_KEPT", 1)
    monkeypatch.setattr("exgrpo_runtime.grpo_metrics.MAX_FAILED_GROUPS_KEPT", 2)
    _, _, context = run(tmp_path, make_grpo(steps=2, items=2, group={"full": 2}))
    lines = read_lines(context.work / "rollouts.jsonl")
    # Of step 1 the first group, as always, and the other for its failure; of step 2 one more, then the bound is met.
    assert [line["step"] for line in lines] == [1, 1, 1, 1, 2, 2]
    assert [line["dropped"] is None for line in lines] == [False, True] * 3
