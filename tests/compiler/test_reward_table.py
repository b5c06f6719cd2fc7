"""Rewards worked by hand (reward_table.toml), through the compiler, the inference of intervals and the evaluation."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from exgrpo_artifact.graph import RewardGraph
from exgrpo_artifact.judgements import collect_judgements
from exgrpo_artifact.levels import place_nodes
from exgrpo_artifact.reward_table import Rollout
from exgrpo_artifact.rewards import evaluate_reward
from exgrpo_artifact.values import Failed, Value
from exgrpo_compiler.prove.facts import Facts, Turns, describe_type
from exgrpo_compiler.prove.infer import infer
from exgrpo_compiler.prove.interval import Interval, describe_interval
from exgrpo_compiler.value_types import NUMBER, TEXT, Type
from tests.support.compiling import compile_terms

ROWS: list[dict[str, Any]] = tomllib.loads((Path(__file__).parent / "reward_table.toml").read_text("utf-8"))[
    "row"
]
ITEM = {"question": "What is 2 + 2?", "level": "easy", "gold": 4, "solution": "2 + 2 = 4."}
FACTS = Facts(
    scenarios={"full": Turns(1, 3), "partial": Turns(1, 2), "plain": Turns(0, 0)},
    fields={
        "question": describe_type(TEXT),
        "level": describe_type(Type("choice", options=("easy", "hard"))),
        "gold": describe_type(NUMBER),
        "solution": describe_type(TEXT),
    },
    scales={"faithful": (0, 4)},
    num_looped=1,
    num_closing=1,
)
"""What tests/golden/check/base.exg says of the lesson, in so many words."""


def compile_row(row: Mapping[str, Any]) -> RewardGraph:
    return compile_terms(row["terms"], range_=row.get("range", "0..10"))


def make_rollout(row: Mapping[str, Any]) -> Rollout:
    explanations = tuple(row.get("e", ()))
    turns = {"final": row["f"], "explain": explanations}
    return Rollout(row["s"], turns, row.get("n", 10), len(explanations) + 1, seed=0)


def ask_judge(reward: RewardGraph, rollouts: list[Rollout], answers: Mapping[str, Any]) -> dict[str, Value]:
    """What the row's judge says to each question that the reward has."""
    given: dict[str, Value] = {}
    for question in collect_judgements(reward, ITEM, rollouts):
        answer = answers[str(question.arguments[0])]
        given[question.key] = Failed("the judge timed out") if answer == "fail" else answer
    return given


def test_the_table_is_large_enough_and_says_why() -> None:
    assert len(ROWS) >= 60
    assert len({row["name"] for row in ROWS}) == len(ROWS)
    assert all(len(row["why"]) > 20 and row["ranges"] and row["levels"] and row["values"] for row in ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_intervals_are_as_worked_by_hand(row: dict[str, Any]) -> None:
    intervals = infer(compile_row(row), FACTS)
    assert {term: describe_interval(intervals[term]) for term in row["ranges"]} == row["ranges"]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_the_artifact_has_the_same_intervals(row: dict[str, Any]) -> None:
    reward = compile_row(row)
    intervals = infer(reward, FACTS)
    for node in reward.nodes:
        assert node.interval == get_ends(intervals[node.id]), node


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_levels_are_as_worked_by_hand(row: dict[str, Any]) -> None:
    reward = compile_row(row)
    places = place_nodes(reward.nodes)
    levels = {node.id: node.level for node in reward.nodes}
    for term, level in row["levels"].items():
        assert (levels[term], places[term].level) == (level, level)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_values_are_as_worked_by_hand(row: dict[str, Any]) -> None:
    reward = compile_row(row)
    rollouts = [make_rollout(rollout) for rollout in row["rollouts"]]
    scores = evaluate_reward(reward, ITEM, rollouts, ask_judge(reward, rollouts, row.get("judge", {})))
    for term, expected in row["values"].items():
        worked = [None if value == "-" else value for value in expected]
        assert list(scores.terms[term]) == pytest.approx(worked, abs=1e-9)
    intervals = infer(reward, FACTS)
    for term, column in scores.terms.items():
        assert all(
            value is None or intervals[term].low - 1e-9 <= value <= intervals[term].high + 1e-9
            for value in column
        )


def get_ends(one: Interval) -> tuple[float | None, float | None] | None:
    """An interval as the artifact writes it."""
    if one.kind != "number" or one.is_empty:
        return None
    return tuple(None if abs(end) == float("inf") else float(end) for end in (one.low, one.high))  # type: ignore[return-value]
