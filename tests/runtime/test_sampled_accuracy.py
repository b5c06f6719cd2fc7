"""mean@n, pass@k and majority@n, worked out by hand."""

from __future__ import annotations

import itertools

import pytest

pytest.importorskip("torch")

from exgrpo_artifact.manifest import AnswerSpec
from exgrpo_runtime.evaluation import Completion
from exgrpo_runtime.intervals import bootstrap_interval, wilson_interval
from exgrpo_runtime.sampled_accuracy import estimate_pass, list_estimates, vote

pytestmark = pytest.mark.train

NUMBER = AnswerSpec(kind="number.last")


def ask(row: str, *answers: tuple[str, float | None]) -> list[Completion]:
    """The answers to one question, as (text, score)."""
    return [Completion(row, "?", text, score, False, place) for place, (text, score) in enumerate(answers)]


@pytest.mark.parametrize(
    ("total", "right", "k", "chance"),
    [
        (1, 1, 1, 1),
        (1, 0, 1, 0),
        (4, 1, 1, 1 / 4),
        (4, 1, 2, 1 / 2),  # 1 - C(3,2)/C(4,2) = 1 - 3/6
        (5, 2, 3, 9 / 10),  # 1 - C(3,3)/C(5,3) = 1 - 1/10
        (4, 2, 3, 1),  # of three answers one is right, since two are wrong
        (8, 0, 8, 0),
    ],
)
def test_pass_at_k_is_that_of_chen_et_al(total: int, right: int, k: int, chance: float) -> None:
    assert estimate_pass(total, right, k) == pytest.approx(chance, abs=1e-12)


@pytest.mark.parametrize(("total", "right", "k"), [(6, 2, 1), (6, 2, 3), (6, 5, 2), (5, 1, 4)])
def test_pass_at_k_is_the_share_of_all_choices_of_k(total: int, right: int, k: int) -> None:
    choices = list(itertools.combinations([True] * right + [False] * (total - right), k))
    assert estimate_pass(total, right, k) == pytest.approx(sum(map(any, choices)) / len(choices), abs=1e-12)


@pytest.mark.parametrize("k", [0, 5])
def test_pass_at_more_than_there_are_is_no_number(k: int) -> None:
    with pytest.raises(ValueError, match=f"pass@{k} of 4"):
        estimate_pass(4, 2, k)


@pytest.mark.parametrize(
    ("texts", "scores", "chance"),
    [
        (["It is 4.", "4", "So 5."], [1, 1, 0], 1),
        (["5", "It is 5.0", "4"], [0, 0, 1], 0),  # two ways to write one answer are one answer
        (["4", "5"], [1, 0], 1 / 2),  # a tie is broken by lot
        (["4", "5", "6"], [1, 0, 0], 1 / 3),
        (["no number", "none", "4"], [0, 0, 1], 1),  # who gives no answer does not vote
        (["none"], [0], 0),
    ],
)
def test_the_majority_is_the_answer_given_most_often(
    texts: list[str], scores: list[float], chance: float
) -> None:
    assert vote(texts, scores, NUMBER) == pytest.approx(chance)


def test_every_figure_of_three_questions_with_four_answers_each() -> None:
    completions = [
        *ask("a", ("4", 1), ("4", 1), ("4", 1), ("5", 0)),
        *ask("b", ("7", 0), ("7", 0), ("6", 1), ("7", 0)),
        *ask("c", ("1", 0), ("2", 0), ("1", 0), ("3", 0)),
    ]
    found = {each.name: each for each in list_estimates(completions, NUMBER)}
    assert list(found) == ["mean@4", "pass@1", "pass@2", "pass@4", "majority@4"]
    # Question by question: mean 3/4, 1/4, 0; pass@2 1 - 0, 1 - 3/6, 0; pass@4 1, 1, 0; the majority is right in `a` only.
    expected = {"mean@4": 1 / 3, "pass@1": 1 / 3, "pass@2": 1 / 2, "pass@4": 2 / 3, "majority@4": 1 / 3}
    assert {name: each.mean for name, each in found.items()} == pytest.approx(expected)
    assert found["mean@4"][2:4] == bootstrap_interval([0.75, 0.25, 0.0])
    assert found["pass@4"][2:4] == wilson_interval(2, 3)
    assert {each.n for each in found.values()} == {3}


def test_one_answer_each_is_greedy_accuracy() -> None:
    completions = [*ask("a", ("4", 1)), *ask("b", ("5", 0)), *ask("c", ("", None))]
    (found,) = list_estimates(completions, NUMBER)
    assert found == ("greedy", 0.5, *wilson_interval(1, 2), 2)


def test_answers_without_a_score_count_nowhere() -> None:
    completions = [
        *ask("a", ("4", 1), ("4", None)),
        *ask("b", ("5", 0), ("5", 0)),
        *ask("c", ("", None), ("", None)),
    ]
    found = {each.name: (each.mean, each.n) for each in list_estimates(completions, None)}
    # `a` has one scored answer, so nothing is said of two; `c` has none at all.
    assert found == {"mean@2": (0.5, 2), "pass@1": (0.5, 2), "pass@2": (0, 1)}
    assert list_estimates(ask("c", ("", None)), NUMBER) == []
