"""The rule-based tutor: what it explains is right, and Eq. 1 rejects exactly what it got wrong."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from exgrpo_specs.quickstart.explanations import EXPLAINERS
from exgrpo_specs.quickstart.problems import calculate, generate_splits, parse_problem
from exgrpo_specs.quickstart.tutor import LOST, WordProblemTutor

ROWS = generate_splits(train=150, test=0, practice=0, seed=3)["train"]
RULES = sorted(EXPLAINERS)
EQUATION = re.compile(r"(\d+)([+*/-])(\d+)=(\d+)")


def ask_for_probe(tutor: WordProblemTutor, row: dict[str, Any], rule: str, sample: int = 0) -> str:
    prompt = (
        f"Design a probe.\n\nQuestion: {row['question']}\nCorrect answer: {row['answer']}\n"
        f'\nRule "{rule}": Ask for it.\nReply with JSON.'
    )
    return tutor.reply([{"role": "user", "content": prompt}], sample)


def test_a_reply_that_was_cut_off_is_cut_off_again_when_it_is_sent_back() -> None:
    tutor, row = WordProblemTutor(malformed_rate=1.0), ROWS[0]
    cut = ask_for_probe(tutor, row, "why")
    prompt = f'Question: {row["question"]}\nRule "why": Ask.'
    messages = [
        {"role": "user", "content": prompt},
        {"role": "assistant", "content": cut},
        {"role": "user", "content": "That reply cannot be read."},
    ]
    assert tutor.reply(messages) == cut
    assert json.loads(WordProblemTutor().reply(messages))["answer"].isdigit()


def is_consistent(tutor: WordProblemTutor, probe: dict[str, str], row: dict[str, Any]) -> bool:
    """Eq. 1 as the filter does it: the texts joined by blank lines, the last number compared."""
    shown = "\n\n".join((probe["question"], probe["rationale"], probe["answer"], row["question"]))
    reply = tutor.reply([{"role": "user", "content": shown}])
    return int(re.findall(r"\d+", reply)[-1]) == int(row["answer"])


def is_true(left: str, operator: str, right: str, result: str) -> bool:
    if operator == "/":
        return int(result) * int(right) == int(left)
    return calculate(int(left), operator, int(right)) == int(result)  # type: ignore[arg-type]


@pytest.mark.parametrize("rule", RULES)
def test_sound_probes_are_true_answer_with_a_number_and_are_consistent(rule: str) -> None:
    tutor = WordProblemTutor()
    for row in ROWS:
        probe = json.loads(ask_for_probe(tutor, row, rule))
        assert set(probe) == {"question", "rationale", "answer"}
        assert probe["answer"].isdigit()
        equations = EQUATION.findall(probe["rationale"])
        assert equations
        assert all(is_true(*equation) for equation in equations), probe
        assert is_consistent(tutor, probe, row), probe


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule != "reversal"])
def test_a_probe_never_states_an_answer_that_its_question_does_not(rule: str) -> None:
    for row in ROWS:
        probe = json.loads(ask_for_probe(WordProblemTutor(), row, rule))
        stated = set(re.findall(r"\d+", probe["question"])) - set(re.findall(r"\d+", row["question"]))
        assert str(row["answer"]) not in stated, probe


def test_reversal_states_the_answer_and_asks_for_the_start() -> None:
    row = ROWS[0]
    probe = json.loads(ask_for_probe(WordProblemTutor(), row, "reversal"))
    problem = parse_problem(row["question"])
    assert problem is not None
    assert f"there are {row['answer']}. " in probe["question"]
    assert f"has {problem.start} " not in probe["question"]
    assert probe["answer"] == str(problem.start)


def test_counterfactual_is_a_problem_of_its_own_with_its_own_answer() -> None:
    for row in ROWS:
        probe = json.loads(ask_for_probe(WordProblemTutor(), row, "counterfactual"))
        changed = parse_problem(probe["question"].removeprefix("What if: "))
        assert changed is not None
        assert str(changed.answer) == probe["answer"]
        assert changed.answer != row["answer"]


@pytest.mark.parametrize("seed", [0, 1])
def test_consistency_rejects_exactly_the_probes_that_slipped(seed: int) -> None:
    tutor = WordProblemTutor(slip_rate=0.15, seed=seed)
    rejected, slipped = set(), set()
    for row in ROWS:
        for rule in RULES:
            if not is_consistent(tutor, json.loads(ask_for_probe(tutor, row, rule)), row):
                rejected.add((row["question"], rule))
            if tutor.is_slip(row["question"], rule):
                slipped.add((row["question"], rule))
    assert rejected == slipped
    assert 0.1 < len(slipped) / (len(ROWS) * len(RULES)) < 0.2


def test_every_slip_is_in_an_equation_of_the_problems_own_chain() -> None:
    tutor = WordProblemTutor(slip_rate=1.0)
    for row in ROWS:
        problem = parse_problem(row["question"])
        assert problem is not None
        for rule in RULES:
            # A reversal undoes the steps first; the chain itself is its check.
            rationale = tutor.explain(problem, rule).rationale.rpartition("Check: ")[2]
            count, false = problem.start, set()
            for step in problem.steps:
                found = re.search(rf"(?<!\d){count}{re.escape(step.operator)}{step.number}=(\d+)", rationale)
                if found and int(found[1]) != calculate(count, step.operator, step.number):
                    false.add(found[0])
                count = calculate(count, step.operator, step.number)
            assert len(false) == 1, (row["question"], rule, rationale)


def test_malformed_replies_come_at_their_own_rate_and_are_no_json() -> None:
    tutor = WordProblemTutor(malformed_rate=0.1)
    malformed = 0
    for row in ROWS:
        for rule in RULES:
            reply = ask_for_probe(tutor, row, rule)
            if tutor.is_malformed(row["question"], rule):
                malformed += 1
                with pytest.raises(json.JSONDecodeError):
                    json.loads(reply)
            else:
                json.loads(reply)
    assert 0.07 < malformed / (len(ROWS) * len(RULES)) < 0.13


def test_same_seed_same_replies_and_another_seed_slips_elsewhere() -> None:
    one, same, other = (WordProblemTutor(slip_rate=0.3, seed=seed) for seed in (4, 4, 5))
    replies = [[ask_for_probe(tutor, row, "process") for row in ROWS] for tutor in (one, same, other)]
    assert replies[0] == replies[1]
    assert replies[0] != replies[2]


@pytest.mark.parametrize(
    "prompt", ["", "Hello.", 'Rule "why": Ask.\nQuestion: What is 2 + 2?', 'Rule "sing": La.']
)
def test_what_it_cannot_read_it_says_so(prompt: str) -> None:
    assert WordProblemTutor().reply([{"role": "user", "content": prompt}], 0) == LOST


def test_a_rule_it_does_not_know_is_said_so() -> None:
    assert ask_for_probe(WordProblemTutor(), ROWS[0], "sing") == LOST


@pytest.mark.parametrize("bad", [{"slip_rate": 1.2}, {"malformed_rate": -0.1}])
def test_bad_rates_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="word-problem-tutor"):
        WordProblemTutor(**bad)
