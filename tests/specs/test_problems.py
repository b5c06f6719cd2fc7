"""Word problems: splits that share no problem, right workings, and wordings that can be read back."""

from __future__ import annotations

import re
from typing import Any

import pytest

from exgrpo_specs.quickstart.problems import (
    LARGEST,
    calculate,
    generate_splits,
    list_parts,
    parse_problem,
    write_equations,
)

SIZES = {"train": 300, "test": 300, "practice": 1500}


@pytest.fixture(scope="module", params=[0, 1, 2])
def splits(request: pytest.FixtureRequest) -> dict[str, list[dict[str, Any]]]:
    return generate_splits(**SIZES, seed=request.param)


def read_problems(rows: list[dict[str, Any]]) -> list[Any]:
    return [parse_problem(row["question"]) for row in rows]


def test_sizes_and_fields(splits: dict[str, list[dict[str, Any]]]) -> None:
    assert {name: len(rows) for name, rows in splits.items()} == SIZES
    for row in splits["train"]:
        assert {"question", "solution", "answer", "persona", "facts"} <= set(row)
        assert {"part", "part_solution", "part_answer"} <= set(row)


def test_no_problem_occurs_twice_by_signature_or_wording(splits: dict[str, list[dict[str, Any]]]) -> None:
    rows = [row for part in splits.values() for row in part]
    assert len({row["question"] for row in rows}) == len(rows)
    assert len({problem.signature for problem in read_problems(rows)}) == len(rows)


def test_no_other_row_is_a_counterfactual_of_a_test_row(splits: dict[str, list[dict[str, Any]]]) -> None:
    held_out = {problem.family for problem in read_problems(splits["test"])}
    for name in ("train", "practice"):
        assert held_out.isdisjoint(problem.family for problem in read_problems(splits[name]))


def test_no_beginning_of_a_story_is_a_test_row_or_its_counterfactual(
    splits: dict[str, list[dict[str, Any]]],
) -> None:
    held_out = {problem.family for problem in read_problems(splits["test"])}
    for name in ("train", "practice"):
        for problem in read_problems(splits[name]):
            assert held_out.isdisjoint(part.family for part in list_parts(problem))


def test_part_of_a_row_is_a_beginning_of_its_story(splits: dict[str, list[dict[str, Any]]]) -> None:
    for row in splits["practice"]:
        problem, part = parse_problem(row["question"]), parse_problem(row["part"])
        assert problem is not None
        assert part is not None
        assert part in list_parts(problem)[:-1]
        assert part.answer == row["part_answer"]


def test_same_arguments_give_the_same_rows_and_seeds_differ() -> None:
    assert generate_splits(**SIZES, seed=5) == generate_splits(**SIZES, seed=5)
    assert generate_splits(**SIZES, seed=5) != generate_splits(**SIZES, seed=6)


def test_test_rows_do_not_depend_on_the_other_sizes() -> None:
    assert (
        generate_splits(train=10, test=50, practice=0)["test"] == generate_splits(train=90, test=50)["test"]
    )


def test_every_wording_reads_back_as_its_own_problem(splits: dict[str, list[dict[str, Any]]]) -> None:
    for part in splits.values():
        for row in part:
            problem = parse_problem(row["question"])
            assert problem is not None
            assert problem.tell_question() == row["question"]
            assert problem.answer == row["answer"]
            assert 2 <= len(problem.steps) <= 3
            assert min(problem.counts) >= 2
            assert max(problem.counts) <= LARGEST


def test_careful_solutions_write_the_chain_and_sketchy_ones_no_result(
    splits: dict[str, list[dict[str, Any]]],
) -> None:
    for row in splits["train"]:
        problem = parse_problem(row["question"])
        assert problem is not None
        if row["persona"] == "careful":
            assert row["solution"] == " ".join(write_equations(problem)) + "."
        else:
            assert "=" not in row["solution"]
            assert all(f"{step.operator}{step.number}" in row["solution"] for step in problem.steps)


def test_persona_shares_follow_sketchy(splits: dict[str, list[dict[str, Any]]]) -> None:
    rows = splits["practice"]
    assert 0.5 < sum(row["persona"] == "sketchy" for row in rows) / len(rows) < 0.6
    assert {row["persona"] for row in generate_splits(20, 20, 0, sketchy=0)["train"]} == {"careful"}


def test_equations_and_facts_are_true(splits: dict[str, list[dict[str, Any]]]) -> None:
    for row in splits["train"]:
        equations = re.findall(r"(\d+)([+*-])(\d+)=(\d+)", f"{row['solution']} {row['facts']}")
        assert equations
        for left, operator, right, result in equations:
            assert calculate(int(left), operator, int(right)) == int(result)


def test_text_that_is_no_problem_is_none() -> None:
    assert parse_problem("") is None
    assert parse_problem("Ann has 5 pens.") is None
    assert parse_problem("Ann has 5 pens. Ann sings 3 songs. How many pens now?") is None
    assert parse_problem("Ann has 5 pens. Ann loses 2. How many books now?") is None


@pytest.mark.parametrize("bad", [{"train": -1}, {"sketchy": 1.5}])
def test_bad_arguments_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="word-problems"):
        generate_splits(**bad)


def test_asking_for_too_many_rows_ends_with_a_reason() -> None:
    with pytest.raises(ValueError, match="ask for fewer rows"):
        generate_splits(train=50_000, test=0, practice=0)
