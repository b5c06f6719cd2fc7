"""Extraction over real rows: every gold answer is found in a sentence, and no wrong number passes for it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from exgrpo_artifact.answers import answer_matches, extract_answer
from exgrpo_artifact.evaluate import evaluate_graph
from exgrpo_artifact.graph import Graph, Node
from exgrpo_artifact.manifest import AnswerSpec
from tests.support.data import find_data

NUMBER = AnswerSpec(kind="number.last")
GOLD = Graph(
    nodes=(
        Node(id="answer", op="column", params={"name": "answer"}),
        Node(id="mark", op="const", params={"value": "####"}),
        Node(id="tail", op="call", args=("answer", "mark"), params={"fn": "after"}),
        Node(id="gold", op="call", args=("tail",), params={"fn": "number"}),
    ),
    result="gold",
)
"""`row.answer | after("####") | number`."""


def read_rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in find_data(name).read_text("utf-8").splitlines() if line]


@pytest.mark.parametrize("name", ["gsm8k_train.jsonl", "gsm8k_test.jsonl", "gsm8k_socratic_test.jsonl"])
def test_gsm8k(name: str) -> None:
    rows = read_rows(name)
    assert len(rows) >= 100
    for row in rows:
        gold = evaluate_graph(GOLD, row=row)
        written = row["answer"].split("####")[1].strip()
        assert isinstance(gold, int | float), written
        assert float(gold) == float(written.replace(",", ""))
        check_number(gold, written)
        assert answer_matches(row["answer"], gold, NUMBER)


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("svamp_test.jsonl", lambda row: row["lSolutions"]),
        ("addsub_test.jsonl", lambda row: row["lSolutions"][0]),
    ],
)
def test_arithmetic(name: str, read: Any) -> None:
    rows = read_rows(name)
    assert len(rows) >= 100
    for row in rows:
        gold = read(row)
        check_number(gold, str(gold))


def check_number(gold: float | str, written: str) -> None:
    assert answer_matches(f"The answer is {written}.", gold, NUMBER)
    assert answer_matches(f"After 3 steps, it is ${written}", gold, NUMBER)
    value = float(str(written).replace(",", ""))
    for wrong in (value + 1, value * 10, value / 10 + 0.01, -value - 1):
        assert not answer_matches(f"The answer is {wrong}.", gold, NUMBER), (wrong, gold)
    if value:
        assert not answer_matches(f"The answer is {-value}.", gold, NUMBER)


def test_teacher_solutions_are_graded_as_their_annotators_did() -> None:
    rows = read_rows("teacher_gsm8k_gpt3_solutions.jsonl")
    agree = total = 0
    for row in rows:
        gold = extract_answer(row["ground_truth"].split("A:")[-1], NUMBER)
        assert gold is not None
        for reply in row.values():
            if isinstance(reply, dict) and "is_correct" in reply:
                total += 1
                agree += (
                    answer_matches(reply["solution"].split("A:")[-1], gold, NUMBER) is reply["is_correct"]
                )
    assert total >= 500
    assert agree / total > 0.99, f"{agree} of {total}"


def test_letters_of_palm_replies() -> None:
    rows = read_rows("teacher_palm540b_cqa_train.jsonl")
    spec = AnswerSpec(kind="choice.letter")
    replies = [row["completion"].split("\n\nQ:")[0] for row in rows]
    stated = [reply for reply in replies if "answer is (" in reply]
    assert len(stated) >= 100
    for reply in stated:
        letter = reply.rsplit("answer is (", 1)[1][0]
        assert extract_answer(reply, spec) == letter.upper(), reply


def test_truth_values_of_boolq() -> None:
    spec = AnswerSpec(kind="yesno.last")
    for row in read_rows("boolq_train.jsonl"):
        assert answer_matches(row["output"], row["answer"], spec)
        other = {"true": "no", "false": "yes"}[row["answer"]]
        assert not answer_matches(row["output"], other, spec)
