from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from exgrpo_artifact.graph import Graph, Node
from exgrpo_artifact.manifest import AnswerSpec, DataField, Dataset, Dialogue, FieldType, Source, Yield
from exgrpo_artifact.record import replace
from exgrpo_runtime.data.convert import Misfit
from exgrpo_runtime.probing.leaks import find_stated_secret
from exgrpo_runtime.probing.quantities import find_quantities
from exgrpo_runtime.probing.replies import parse_reply
from exgrpo_runtime.probing.solving import (
    Conversation,
    RowProbes,
    count_solved,
    find_max_new,
    find_solving_dialogue,
)
from exgrpo_runtime.records import Row
from exgrpo_runtime.templates import TemplateSet
from tests.runtime.factory import PROMPTS, make_artifact, make_evaluate, make_grpo

TEXT, NUMBER = FieldType(kind="text"), FieldType(kind="number")
YIELDS = (
    Yield(name="question", type=TEXT, open=True),
    Yield(name="answer", type=TEXT, open=False),
    Yield(name="steps", type=NUMBER, open=False),
)
GOOD = '{"question": "Why?", "answer": "So.", "steps": 2}'


# --- replies ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"```json\n{GOOD}\n```",
        f"Here you are {{as asked}}: {GOOD} I hope that \\frac{{1}}{{2}} helps.",
        f'<think>{{"question": "draft", "answer": "x", "steps": 1}}</think>{GOOD}',
        f"{GOOD}\n{GOOD}",
        GOOD.replace("So.", "\\nSo.\n"),
        '{"steps": 2.0, "answer": " So. ", "question": "Why?"}',
        '{"steps": "2", "answer": "So.", "question": "Why?"}',
    ],
)
def test_one_object_is_found_whatever_stands_around_it(text: str) -> None:
    fields = parse_reply(text, YIELDS)
    assert fields == {"question": "Why?", "answer": "So.", "steps": 2}
    assert list(fields) == ["question", "answer", "steps"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no JSON object"),
        ("Colourless green ideas.", "no JSON object"),
        (GOOD[:-5], "no JSON object"),
        ("[1, 2]", "no JSON object"),
        ('{"question": "Why?", "steps": 2}', "lacks `answer`"),
        (GOOD[:-1] + ', "mood": "glad"}', "unknown `mood`"),
        (f'{{"probe": {GOOD}}}', "unknown `probe`"),
        (f"[{GOOD}, {GOOD.replace('Why', 'How')}]", "2 different objects"),
        (GOOD[:-1] + ', "steps": 3}', "`steps` is given twice"),
        (GOOD.replace("2", "[2]"), "`steps`: [2] is not a number"),
        (GOOD.replace("2", "null"), "`steps`: it is null"),
        (GOOD.replace("2", "true"), "truth value"),
        (GOOD.replace("2", "NaN"), "no JSON object"),
        (GOOD.replace('"So."', '{"text": "So."}'), "is not text"),
        (GOOD.replace('"So."', "3"), "`answer`: 3 is not text"),
        (GOOD.replace("So.", " "), "`answer` is empty"),
        (GOOD.replace("So.", "\\ud800"), "surrogate"),
        (GOOD.replace("So.", r"\(x\)"), r"no JSON object (Invalid \escape)"),
        (GOOD.replace("So.", r"\frac{1}{2}"), "a backslash not doubled"),
        ("{" * 100_000, "no JSON object"),
        ('{"a":' * 30_000, "no JSON object"),
        ("x" * 300_000, "300000 characters"),
    ],
)
def test_a_malformed_reply_says_what_is_wrong_with_it(text: str, words: str) -> None:
    misfit = parse_reply(text, YIELDS)
    assert isinstance(misfit, Misfit)
    assert misfit.reason == "malformed-reply"
    assert words in misfit.detail


# --- quantities -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "quantities"),
    [
        ("He has 72.0 apples, not 7.", {72, 7}),
        ("$1,234.50 and 1,2,3", {Fraction(2469, 2), 1, 2, 3}),
        ("5-3 is not -3", {5, 3, -3}),
        ("a \u22124 drop", {-4}),
        ("3/4 of 50%", {Fraction(3, 4), 50, Fraction(1, 2)}),
        ("on 3/4.", {Fraction(3, 4)}),
        (".5 and 0.50", {Fraction(1, 2)}),
        ("seventy-two of one hundred and five", {72, 105}),
        ("Two thousand three hundred", {2300}),
        ("two, three and twenty one", {2, 3, 21}),
        ("Which one is the last one?", set()),
        ("a dozen of them", set()),
        ("CO2 and 4 more", {2, 4}),
        ("none", set()),
        ("1/0", {1}),
    ],
)
def test_quantities_are_found_in_digits_and_words(text: str, quantities: set[Any]) -> None:
    assert find_quantities(text) == {Fraction(value) for value in quantities}


# --- leaks ------------------------------------------------------------------------------------------------


def is_stated(gold: Any, field_type: FieldType, question: str, probe: str) -> bool:
    value = Graph(nodes=(Node(id="v", op="const", params={"value": 0}),), result="v")
    fields = (
        DataField(name="question", type=TEXT, secret=False, value=value),
        DataField(name="gold", type=field_type, secret=True, value=value),
    )
    dataset = Dataset(name="d", source=Source(kind="jsonl"), splits={}, fields=fields)
    item = {"question": question, "gold": gold}
    stated = find_stated_secret(
        dataset, item, {"question": probe, "answer": f"It is {gold}.", "steps": gold}, YIELDS
    )
    assert stated in (None, "gold")
    return stated is not None


@pytest.mark.parametrize("gold", [72, 72.0, "72"])
@pytest.mark.parametrize(
    ("probe", "expected"),
    [
        ("Why are there 72 in total?", True),
        ("Why does it cost $72.00?", True),
        ("Why seventy-two?", True),
        ("Why not 720 or 7.2?", False),
        ("Why do we add?", False),
    ],
)
def test_quantities_are_compared_as_numbers(gold: Any, probe: str, expected: bool) -> None:
    field_type = TEXT if isinstance(gold, str) else NUMBER
    assert is_stated(gold, field_type, "He sold 48 in April and half in May.", probe) is expected


def test_an_answer_that_the_question_states_is_no_leak() -> None:
    assert not is_stated(5, NUMBER, "Ann has 5 and gives away 0. How many?", "Why are 5 left?")
    assert not is_stated(2, NUMBER, "He bought two pens, sold none.", "Why 2?")


@pytest.mark.parametrize(
    ("gold", "probe", "expected"),
    [
        ("dry palms", "Why do Dry  Palms make the most heat?", True),
        ("dry palms", "Why do laundry palms matter?", False),
        ("yes", "Is the answer yes because of the law?", True),
        ("yes", "Is it so, yes or no?", False),
        ("no", "Why is there no law? Do you know?", False),
        ("B", "Why is option (B) right?", True),
        ("B", "Plan B is a plan. Why?", False),
        (" ".join(["word"] * 20), " ".join(["word"] * 20), False),
    ],
)
def test_short_texts_are_found_as_phrases_and_ordinary_words_as_answers_only(
    gold: str, probe: str, expected: bool
) -> None:
    assert is_stated(gold, TEXT, "Which one?", probe) is expected


def test_a_choice_is_stated_unless_every_option_is() -> None:
    letters = FieldType(kind="choice", options=("A", "B", "C"))
    question = "Which? (A) red (B) blue (C) green"
    assert is_stated("B", letters, question, "Why is (B) right?")
    assert is_stated("B", letters, question, "Why is (B) right and not (C)?")
    assert not is_stated("B", letters, question, "Which of (A), (B) and (C) can be ruled out first?")
    assert not is_stated("B", letters, question, "A blue sky: why?")


def test_truth_values_and_lists_are_checked_too() -> None:
    assert is_stated(True, FieldType(kind="bool"), "Is it?", "Given that the answer is true, why?")
    assert not is_stated(True, FieldType(kind="bool"), "Is it?", "Is it true that ice floats?")
    numbers = FieldType(kind="list", element=NUMBER)
    assert is_stated([3, 4], numbers, "Which?", "Why 3 and 4?")
    assert not is_stated([3, 4], numbers, "Which?", "Why 3?")


# --- solving ----------------------------------------------------------------------------------------------

LESSON = make_artifact().manifest.dialogues["lesson"]


def solve_with(replies: list[str | None], probes: list[list[str]], lesson: Dialogue = LESSON) -> Any:
    asked: list[Conversation] = []

    def solve(conversations: list[Conversation]) -> list[str | None]:
        asked.extend(conversations)
        return replies[: len(conversations)]

    groups = [
        RowProbes(
            Row(f"train:{i}:x", "train", {"question": "q", "gold": 1}),
            [{"question": f"{answer}?", "rationale": "Since 9.", "answer": answer} for answer in answers],
        )
        for i, answers in enumerate(probes)
    ]
    counts = count_solved(groups, lesson, TemplateSet(PROMPTS), solve)
    return counts, asked


def test_each_probe_is_asked_alone_and_counts_are_by_row() -> None:
    counts, asked = solve_with(["It is 4.", "5", "So 7 then", "no idea"], [["4", "6"], [], ["7", "8"]])
    assert counts == [1, 0, 1]
    assert asked[0] == [{"role": "system", "content": "Add."}, {"role": "user", "content": "4?"}]
    assert [conversation[-1]["content"] for conversation in asked] == ["4?", "6?", "7?", "8?"]


def test_free_texts_are_compared_normalised_where_the_answer_type_finds_nothing() -> None:
    spec = AnswerSpec(kind="regex", pattern=r"<(\d)>", type=FieldType(kind="int"))
    assert LESSON.loop is not None
    exchange = replace(LESSON.loop.exchanges[0], answer=spec)
    lesson = replace(LESSON, loop=replace(LESSON.loop, exchanges=(exchange,)))
    replies: list[str | None] = ["Adding counts! The answer is: the addition.", "addition", "multiplication"]
    counts, _ = solve_with(replies, [["The Addition"], ["addition."], ["addition"]], lesson)
    assert counts == [1, 1, 0]


def test_a_reply_that_failed_makes_its_row_unknown_and_no_other() -> None:
    counts, _ = solve_with(["4", None, "7"], [["4", "6"], ["7"]])
    assert counts == [None, 1]


def test_a_later_exchange_of_the_loop_sees_the_earlier_answer() -> None:
    assert LESSON.loop is not None
    exchanges = (*LESSON.loop.exchanges, replace(LESSON.loop.exchanges[0], name="again"))
    lesson = replace(LESSON, loop=replace(LESSON.loop, exchanges=exchanges))
    counts, asked = solve_with(["4"], [["4"]], lesson)
    assert counts == [1]
    assert [message["role"] for message in asked[1]] == ["system", "user", "assistant", "user"]


def test_nothing_is_asked_where_there_is_no_probe() -> None:
    assert solve_with([], []) == ([], [])


def test_the_dialogue_and_its_length_come_from_the_task() -> None:
    manifest = make_artifact(
        make_grpo(max_new=20), make_evaluate(max_new=30), make_evaluate(dialogue="drills", max_new=90)
    ).manifest
    assert find_solving_dialogue(manifest, "ask", None).name == "lesson"
    assert find_solving_dialogue(manifest, "ask", "lesson").name == "lesson"
    assert find_max_new(manifest, "lesson") == 30
    assert find_max_new(manifest, "other") == 90
    with pytest.raises(ValueError, match="no dialogue asks the probes `others`"):
        find_solving_dialogue(manifest, "others", None)


def test_a_dialogue_without_a_loop_cannot_ask_probes() -> None:
    lesson = make_artifact().manifest.dialogues["drills"]
    with pytest.raises(ValueError, match="`drills` has no probe loop"):
        count_solved([], lesson, TemplateSet(PROMPTS), lambda conversations: [])
