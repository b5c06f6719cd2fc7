"""What counts as an answer, kind by kind; the traps of earlier evaluation code by name."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exgrpo_artifact.answers import answer_matches, extract_answer, same_answer
from exgrpo_artifact.boxed import find_last_boxed
from exgrpo_artifact.manifest import AnswerSpec, FieldType
from exgrpo_artifact.validation import validate_plain

NUMBER = AnswerSpec(kind="number.last")
LETTER = AnswerSpec(kind="choice.letter")
YESNO = AnswerSpec(kind="yesno.last")
DATE = AnswerSpec(kind="date.last")
TEXT = AnswerSpec(kind="text.normalized")
KINDS = [
    "number.last",
    "number.boxed",
    "math.boxed",
    "choice.letter",
    "yesno.last",
    "date.last",
    "text.exact",
    "text.normalized",
]


# --- traps of method.md's sibling code, by name -----------------------------------------------------------


def test_trap_the_minus_sign_is_kept() -> None:
    assert answer_matches("The answer is -5.", -5, NUMBER)
    assert not answer_matches("The answer is 5.", -5, NUMBER)
    assert not answer_matches("The answer is -5.", 5, NUMBER)


def test_trap_a_subtraction_is_no_negative_number() -> None:
    assert answer_matches("5-2", 2, NUMBER)
    assert not answer_matches("5-2", -2, NUMBER)


def test_trap_know_holds_no_no() -> None:
    assert extract_answer("I know nothing of it.", YESNO) is None
    assert extract_answer("Yes, as you know.", YESNO) == "yes"
    assert extract_answer("True: nobody nods at no-one.", YESNO) == "yes"
    assert extract_answer("Yes, the casino has a piano.", YESNO) == "yes"
    assert extract_answer("No, that is untrue.", YESNO) == "no"


def test_trap_a_trailing_period_is_not_part_of_the_number() -> None:
    assert extract_answer("18.", NUMBER) == extract_answer("18.00.", NUMBER) == "18"


def test_trap_a_text_without_an_answer_never_matches() -> None:
    for gold in ("", "None", 0, "nothing"):
        assert not answer_matches("nothing to see", gold, NUMBER)


# --- numbers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gold", [18, 18.0, "18", "18.00", "$18", " 18 ", "so 6 * 3 = 18"])
def test_one_number_in_many_forms(gold: str | float) -> None:
    assert answer_matches("She makes $18.0 a day.", gold, NUMBER)
    assert same_answer(gold, "18", NUMBER)
    assert not answer_matches("She makes $81 a day.", gold, NUMBER)


def test_a_truth_value_is_no_number() -> None:
    assert not answer_matches("1", True, NUMBER)


BOXED = [
    (r"\boxed{18}", "18"),
    (r"\boxed{\$1,000\text{ dollars}} and 5", "1000"),
    (r"\boxed{x = \frac{1}{2}}", "0.5"),
    (r"\boxed{3} then \boxed{5", "3"),
    (r"\boxed{\boxed{7}}", "7"),
    ("18", None),
    (r"\boxed{}", None),
    (r"\boxed{none}", None),
]


@pytest.mark.parametrize(("text", "answer"), BOXED)
def test_boxed_number(text: str, answer: str | None) -> None:
    assert extract_answer(text, AnswerSpec(kind="number.boxed")) == answer


@pytest.mark.parametrize(
    ("text", "content"),
    [
        (r"\boxed{\frac{1}{\sqrt{2}}}.", r"\frac{1}{\sqrt{2}}"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"}{ \fbox{ a }", "a"),
        (r"\boxed{a", None),
    ],
)
def test_boxed_content_has_balanced_braces(text: str, content: str | None) -> None:
    assert find_last_boxed(text) == content


# --- letters ----------------------------------------------------------------------------------------------

LETTERS = [
    ("The answer is (B).", "B"),
    ("(A) is wrong. The answer is (B), not (C).", "B"),
    ("Answer: B", "B"),
    ("**Answer: (E)**", "E"),
    ("The answer is **C**.", "C"),
    (r"The answer is \boxed{C}", "C"),
    ("So the answer is (c) train station.", "C"),
    ("The answer is (A). No, the answer is (D).", "D"),
    ("(A) no (B)", "B"),
    ("The correct option is D.", "D"),
    ("I think it is B", "B"),
    ("B is what I choose", "B"),
    ("A", "A"),
    ("A is right", "A"),
    ("A dog barks", None),
    ("I choose nothing", None),
    ("I'm unsure", None),
    ("the answer is a dog", None),
    ("f(a) and egg(s)", None),
    ("ABC", None),
]


@pytest.mark.parametrize(("text", "letter"), LETTERS)
def test_choice_letter(text: str, letter: str | None) -> None:
    assert extract_answer(text, LETTER) == letter


@pytest.mark.parametrize("gold", ["B", "b", "(B)", "B.", "(b) train station"])
def test_gold_letter_in_many_forms(gold: str) -> None:
    assert answer_matches("The answer is (B).", gold, LETTER)
    assert not answer_matches("The answer is (C).", gold, LETTER)


# --- yes and no, dates, texts -----------------------------------------------------------------------------


def test_yes_and_true_are_one_answer() -> None:
    for gold in ("yes", "Yes.", True, "true", 1):
        assert answer_matches("No... wait. It is TRUE", gold, YESNO), gold
        assert not answer_matches("Yes? No!", gold, YESNO), gold
    assert not answer_matches("yes", 7, YESNO)


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("05/01/2024", "2024-05-01"),
        ("31/12/2024", "2024-12-31"),
        ("1.5.2024", "2024-05-01"),
        ("2024/5/1", "2024-05-01"),
        ("May 1, 2024", "2024-05-01"),
        ("the 1st of May 2024", "2024-05-01"),
        ("Sept. 3rd, 2001", "2001-09-03"),
        ("2024-02-28, or rather 2024-02-30", "2024-02-28"),
        ("02/30/2024", None),
        ("12345-01-01", None),
        ("Marching 3, 2024", None),
    ],
)
def test_date(text: str, date: str | None) -> None:
    assert extract_answer(text, DATE) == date


def test_dates_in_different_forms_are_the_same() -> None:
    assert answer_matches("It is May 1, 2024.", "05/01/2024", DATE)
    assert not answer_matches("It is May 1, 2024.", "01/05/2024", DATE)


def test_exact_text_is_the_whole_text() -> None:
    spec = AnswerSpec(kind="text.exact")
    assert answer_matches(" a b\n", "a b", spec)
    assert not answer_matches("A b", "a b", spec)
    assert not answer_matches("", "", spec)


@pytest.mark.parametrize(
    ("left", "right", "is_same"),
    [
        ("The Train-Station!", "train station", True),
        ("\ufb01sh", "fish", True),
        ("So the answer is: a wooded area.", "wooded area", True),
        ("The answer is no.\nThe answer is yes.", "yes", True),
        ("1,234", "1234", True),
        ("A", "a", True),
        ("C++", "C", False),
        ("-5", "5", False),
        ("\u22125", "-5", True),
        ("3.5", "35", False),
        ("a cat", "a dog", False),
    ],
)
def test_normalized_text(left: str, right: str, is_same: bool) -> None:
    assert answer_matches(left, right, TEXT) is is_same


@given(st.text(max_size=40))
def test_normalizing_twice_changes_nothing_that_matters(text: str) -> None:
    once = extract_answer(text, TEXT)
    if once is not None:
        assert same_answer(once, text, TEXT)


# --- regular expressions ----------------------------------------------------------------------------------

OPTIONS = FieldType(kind="choice", options=("A", "B", "C", "D"))


def test_regex_takes_its_first_group_else_the_whole_match() -> None:
    assert extract_answer("(A) then (B)", AnswerSpec(kind="regex", pattern=r"\(([A-D])\)")) == "B"
    assert (
        extract_answer("(A) then (B)", AnswerSpec(kind="regex", pattern=r"\(([A-D])\)", which="first")) == "A"
    )
    assert extract_answer("x=5, y=6", AnswerSpec(kind="regex", pattern=r"[xy]=\d")) == "y=6"
    assert extract_answer("none", AnswerSpec(kind="regex", pattern=r"\d")) is None


def test_regex_converts_before_it_compares() -> None:
    number = AnswerSpec(kind="regex", pattern=r"= *(\S+)", type=FieldType(kind="number"))
    assert answer_matches("x = 18.00", 18, number)
    assert not answer_matches("x = eighteen", 18, number)
    whole = AnswerSpec(kind="regex", pattern=r"= *(\S+)", type=FieldType(kind="int"))
    assert extract_answer("x = 1.5", whole) is None
    letter = AnswerSpec(kind="regex", pattern=r"\(?([A-Z])\)?", type=OPTIONS)
    assert answer_matches("(B)", "B", letter)
    assert extract_answer("(E)", letter) is None
    truth = AnswerSpec(kind="regex", pattern=r"\w+", type=FieldType(kind="bool"))
    assert answer_matches("Yes", True, truth)
    assert not answer_matches("No", True, truth)


# --- all kinds --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@given(text=st.text(max_size=80))
def test_no_text_breaks_extraction(kind: str, text: str) -> None:
    spec = validate_plain(AnswerSpec, {"kind": kind})
    answer = extract_answer(text, spec)
    assert answer is None or answer
    if answer is not None and kind != "math.boxed":
        assert same_answer(answer, answer, spec)


@pytest.mark.parametrize("kind", KINDS)
def test_long_junk_is_read_in_linear_time(kind: str) -> None:
    spec = validate_plain(AnswerSpec, {"kind": kind})
    for unit in (
        "a",
        " ",
        "(A",
        "answer is ",
        "answer: ",
        r"\boxed{",
        "}",
        "*",
        "no-",
        "May ",
        "1 May ",
        "A ",
        ".",
    ):
        text = unit * (300_000 // len(unit))
        start = time.process_time()
        extract_answer(text, spec)
        assert time.process_time() - start < 2, unit
