"""A hostile completion costs no more than its length: every extractor and every function on texts, on every kind of junk."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from exgrpo_artifact.answers import extract_answer
from exgrpo_artifact.evaluate import evaluate_reward
from exgrpo_artifact.graph import RewardGraph
from exgrpo_artifact.manifest import AnswerKind, AnswerSpec
from exgrpo_artifact.operations import FUNCTIONS
from tests.artifact.graphs import Builder, make_rollout

MEGABYTE = 1_000_000
SIZES = (40_000, 160_000)
RATIO = 8
"""Of the time for four times the text: 4 where time is linear, 16 where it is quadratic; the rest is what else the machine does."""
FLOOR = 0.01
"""Seconds under which a ratio says nothing."""

JUNK = {
    "letters": "a",
    "digits": "1",
    "numbers": "1 ",
    "commas": "1,",
    "slashes": "1/",
    "points": ".1",
    "exponents": "1e",
    "powers": "2^",
    "apostrophes": "1'234",
    "vulgar fractions": "\u00bd",
    "fractions": r"\frac{1",
    "backslashes": "\\",
    "boxes": r"\boxed{",
    "empty boxes": r"\boxed{}",
    "braces": "{}",
    "closing braces": "}",
    "parentheses": "(",
    "options": "(A",
    "bare letters": "A ",
    "dashes": "-",
    "minus signs": "\u2212",
    "dollars": "$",
    "currencies": "US$",
    "blanks": " ",
    "line feeds": "\n",
    "alternating": "a1",
    "statements": "answer is ",
    "colons": "answer: ",
    "stars": "*",
    "noes": "no ",
    "nots": "not true ",
    "hyphens in words": "no-",
    "months": "May ",
    "days": "1 May ",
    "dates": "1/1/2024",
    "articles": "the ",
    "hearts": "\u2764",
}
REGEX = AnswerSpec(kind="regex", pattern=r"(?i)answer(?: is|:) *\(?([a-z0-9]+(?:[., ]+[a-z0-9]+)*)\)?")
KINDS: tuple[AnswerKind, ...] = (
    "number.last",
    "number.boxed",
    "math.boxed",
    "choice.letter",
    "yesno.last",
    "date.last",
    "text.exact",
    "text.normalized",
)
SPECS: dict[str, AnswerSpec] = {**{kind: AnswerSpec(kind=kind) for kind in KINDS}, "regex": REGEX}


@pytest.mark.parametrize("name", SPECS)
def test_extractors(name: str) -> None:
    check_all(lambda text: extract_answer(text, SPECS[name]))


def test_functions_on_texts() -> None:
    for name in (
        "before",
        "after",
        "strip",
        "lower",
        "words",
        "sentences",
        "lines",
        "number",
        "json",
        "contains",
    ):
        function = FUNCTIONS[name]
        needed = ("\u0000",) if name in ("before", "after", "contains") else ()
        check_all(lambda text, function=function, needed=needed: function(text, *needed))  # type: ignore[misc]


def check_all(work: Callable[[str], Any]) -> None:
    for name, unit in JUNK.items():
        short, long = measure_sizes(work, unit)
        if long > RATIO * max(short, FLOOR):
            # Once more, in case that the machine was busy with something else.
            short, long = measure_sizes(work, unit)
        assert long <= RATIO * max(short, FLOOR), (name, short, long)


def measure_sizes(work: Callable[[str], Any], unit: str) -> tuple[float, ...]:
    times = []
    for size in SIZES:
        text = unit * (size // len(unit))
        start = time.process_time()
        work(text)
        times.append(time.process_time() - start)
    return tuple(times)


@pytest.mark.parametrize(
    "name", ["numbers", "options", "statements", "vulgar fractions", "boxes", "noes", "blanks"]
)
def test_a_whole_reward_on_a_megabyte(name: str) -> None:
    """Outcome, format and a search of one's own, on a megabyte of junk with the answer behind it."""
    reward = build_reward()

    def score(junk: str) -> float:
        rollouts = [make_rollout("full", f"{junk} The answer is 18.")]
        start = time.process_time()
        scores = evaluate_reward(reward, {"gold": 18}, rollouts)
        assert scores.totals == (3,)
        return time.process_time() - start

    unit = JUNK[name]
    short, long = (score(unit * (size // len(unit))) for size in (MEGABYTE // 4, MEGABYTE))
    assert long <= RATIO * max(short, FLOOR), (short, long)


def build_reward() -> RewardGraph:
    b = Builder()
    b.matches()
    number = {"kind": "number.last"}
    b.call("format", b.turn("final"), id="form", answer=number)
    own = {"kind": "regex", "pattern": r"(?i)answer is +\(?([0-9]+(?:\.[0-9]+)?)", "type": {"kind": "number"}}
    b.call("matches", b.turn("final"), b.add("item", field="gold"), id="own", answer=own)
    b.add("add", b.add("add", "outcome", "form"), "own", id="total")
    return b.reward("outcome", "form", "own")
