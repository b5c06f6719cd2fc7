"""Extraction over real rows: every gold answer is found in a sentence, and no wrong number passes for it."""

from __future__ import annotations

import json
import re
from fractions import Fraction
from typing import Any

import pytest

from exgrpo_artifact.answers import answer_matches, extract_answer
from exgrpo_artifact.evaluate import evaluate_graph
from exgrpo_artifact.graph import Graph, Node
from exgrpo_artifact.manifest import AnswerSpec
from exgrpo_artifact.numbers import format_number
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


LETTER = AnswerSpec(kind="choice.letter")
TEXT = AnswerSpec(kind="text.normalized")
TRUTH = AnswerSpec(kind="yesno.last")
OPTION = AnswerSpec(kind="regex", pattern=r"answer([1-5])", which="last")

NUMBER_FORMS = [
    "The answer is X.",
    "The answer is X",
    "X",
    "X.",
    "X\n",
    "#### X",
    "answer: X units",
    "Answer: $X",
    "The answer is **X**.",
    "**Answer:** X dollars.",
    "So 3 + 4 = 7, and the answer is $X$.",
    "The answer is \\$X.",
    r"\boxed{X}",
    r"Therefore, $\boxed{X\text{ apples}}$.",
    r"\[ x = X \]",
    "After 3 steps, it is \u20acX",
    "First 10 - 2 = 8. Second, 8 is not it: <<8+1=X>>X",
    "\u7b54\u6848\u662fX\u3002",
    "It is X%.",
    "(X)",
    "x=X",
    "It is X\u00b0",
]
LETTER_FORMS = [
    "The answer is (X).",
    "So the answer is (X) OPTION.",
    "(A) and (B) are not it. The answer is (X).",
    "Answer: X",
    "**Answer: X**",
    "The correct option is X.",
    "X",
    "X.",
    "(X)",
    "X) OPTION",
    r"\boxed{X}",
    r"The answer is \boxed{\text{X}}.",
    "I think it is X",
    "The answer is (X)\n",
]
TEXT_FORMS = [
    "The answer is X.",
    "X",
    "So the answer is (c) X.",
    "Answer: X",
    "**Answer:** X",
    "the correct answer is X",
    "Some words first.\nThe answer is: X\nMore words after it.",
    r"The answer is \boxed{\text{X}}",
    "The answer is THE X!",
]
TRUTH_FORMS = [
    "The answer is X.",
    "X",
    "X.",
    "X, as we know.",
    "**X**",
    "Nobody knows it, but I do: X",
    "the correct answer is X",
    "Answer: X\n",
    "Is it so? X! No one doubts it.",
]


def read_rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in find_data(name).read_text("utf-8").splitlines() if line]


# --- numbers ----------------------------------------------------------------------------------------------


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
    """Every form of stating it is read as it, and no form of stating another number is."""
    plain = written.replace(",", "")
    value = Fraction(plain)
    own = {written, plain, f"{plain}.00" if "." not in plain else f"{plain}0", f"{float(plain):,}"}
    if value.denominator == 1:
        own |= {
            f"{int(value):,}",
            f"{int(value):,}".replace(",", "\u202f"),
            f"{int(value):,}".replace(",", "{,}"),
        }
    for form in NUMBER_FORMS:
        for text in own:
            assert answer_matches(form.replace("X", text), gold, NUMBER), (form, text, gold)
    for wrong in make_wrong_numbers(value):
        for form in NUMBER_FORMS:
            assert not answer_matches(form.replace("X", wrong), gold, NUMBER), (form, wrong, gold)


def make_wrong_numbers(value: Fraction) -> set[str]:
    near = {value + 1, value - 1, value * 10, value / 10, -value, value + Fraction(1, 100), value + 1000}
    found = {format_number(number) for number in near if number != value}
    found |= {"\u2212" + text[1:] for text in found if text.startswith("-")}
    digits = format_number(value)
    swapped = digits[:-2] + digits[-1:] + digits[-2:-1]
    # Beyond that many digits it would be one number with the float that is meant.
    if digits[-2:].isdigit() and len(digits) < 12 and Fraction(swapped) != value:
        found.add(swapped)
    return found


@pytest.mark.parametrize("cut", ["A:", "\0"])
def test_teacher_solutions_are_graded_as_their_annotators_did(cut: str) -> None:
    """All 2,000 of them: the line of the answer alone, and the whole solution."""
    rows = read_rows("teacher_gsm8k_gpt3_solutions.jsonl")
    total = 0
    for row in rows:
        gold = extract_answer(row["ground_truth"].split("A:")[-1], NUMBER)
        assert gold is not None
        for reply in row.values():
            if isinstance(reply, dict) and "is_correct" in reply:
                total += 1
                is_right = answer_matches(reply["solution"].split(cut)[-1], gold, NUMBER)
                assert is_right is reply["is_correct"], reply["solution"]
    assert total >= 2000


def test_teacher_replies_on_addsub() -> None:
    """Every number that a reply states is what its row says that it states."""
    rows = read_rows("teacher_llmadapters_addsub.jsonl")
    assert len(rows) >= 300
    num_right = 0
    for row in rows:
        stated = re.findall(r"answer is \$?(-?\d[\d,]*(?:\.\d+)?)", row["output"])
        assert extract_answer(row["output"], NUMBER) == format_number(
            Fraction(stated[-1].replace(",", ""))
        ), row["output"]
        num_right += answer_matches(row["output"], row["answer"], NUMBER)
    # The other 25 replies end in a wrong sum; each was looked at.
    assert num_right == len(rows) - 25


# --- letters, texts, truths -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cqa_cose_train.jsonl", "cqa_cose_test.jsonl"])
def test_cqa(name: str) -> None:
    rows = read_rows(name)
    assert len(rows) >= 100
    for row in rows:
        options = dict(zip("ABCDE", row["choices"], strict=True))
        gold = next(letter for letter, option in options.items() if option == row["answer"])
        for form in LETTER_FORMS:
            for letter, option in options.items():
                text = form.replace("X", letter).replace("OPTION", option)
                assert answer_matches(text, gold, LETTER) is (letter == gold), text
        check_text(row["answer"], [option for option in row["choices"] if option != row["answer"]])


@pytest.mark.parametrize("name", ["arc_challenge_train.jsonl", "arc_challenge_test.jsonl"])
def test_arc(name: str) -> None:
    rows = read_rows(name)
    assert len(rows) >= 100
    for row in rows:
        others = [f"answer{number}" for number in range(1, 6) if f"answer{number}" != row["answer"]]
        assert answer_matches(row["output"], row["answer"], TEXT)
        check_text(row["answer"], others)
        for form in TEXT_FORMS:
            stated = form.replace("X", row["answer"])
            assert answer_matches(f"Not {others[0]}. {stated}", row["answer"], OPTION), stated
            assert not answer_matches(
                f"Not {row['answer']}. " + form.replace("X", others[0]), row["answer"], OPTION
            )


def check_text(gold: str, others: list[str]) -> None:
    for form in TEXT_FORMS:
        assert answer_matches(form.replace("X", gold), gold, TEXT), (form, gold)
        for other in others:
            assert not answer_matches(form.replace("X", other), gold, TEXT), (form, other, gold)


def test_boolq() -> None:
    rows = read_rows("boolq_train.jsonl")
    assert len(rows) >= 100
    names = {"true": ("true", "yes", "Yes", "TRUE"), "false": ("false", "no", "No", "FALSE")}
    for row in rows:
        gold = row["answer"]
        other = {"true": "false", "false": "true"}[gold]
        assert answer_matches(row["output"], gold, TRUTH)
        for form in TRUTH_FORMS:
            for name in names[gold]:
                assert answer_matches(form.replace("X", name), gold, TRUTH), (form, name)
            for name in names[other]:
                assert not answer_matches(form.replace("X", name), gold, TRUTH), (form, name)
        assert not answer_matches(f"It is not {gold}.", gold, TRUTH)
        assert not answer_matches("Nobody knows.", gold, TRUTH)


def test_letters_of_palm_replies() -> None:
    rows = read_rows("teacher_palm540b_cqa_train.jsonl")
    replies = [row["completion"].split("\n\nQ:")[0] for row in rows]
    stated = [reply for reply in replies if "answer is (" in reply]
    assert len(stated) >= 100
    for reply in stated:
        letter = reply.rsplit("answer is (", 1)[1][0]
        assert extract_answer(reply, LETTER) == letter.upper(), reply


def test_texts_of_palm_replies() -> None:
    """The option that is stated with its letter is read as the option, so letter and text give one verdict."""
    agree = total = 0
    for row in read_rows("teacher_palm540b_cqa_train.jsonl"):
        reply = row["completion"].split("\n\nQ:")[0]
        options = dict(zip("ABCDE", row["row"]["choices"], strict=True))
        letter = extract_answer(reply, LETTER)
        if letter is None or "answer is (" not in reply or len(set(options.values())) < 5:
            continue
        total += 1
        by_letter = options.get(letter) == row["row"]["answer"]
        agree += answer_matches(reply, row["row"]["answer"], TEXT) is by_letter
    # The rest name an option by the letter of another, or spell it in another way than the row does.
    assert total >= 300
    assert agree >= 0.97 * total, (agree, total)
