"""Junk under rewards: what is a hack and what is none, and what `exgrpo stress` says about it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from exgrpo_artifact.answers import answer_matches
from exgrpo_artifact.manifest import AnswerSpec, FieldType
from exgrpo_compiler.prove.attacks import list_attacks
from exgrpo_compiler.prove.hackable import build_bench, find_hacks, prove_hackable
from exgrpo_compiler.prove.stress import stress_reward
from exgrpo_compiler.prove.synthetic import find_golds, list_answers, make_rows, state_answer
from tests.support.cli import call_exgrpo
from tests.support.compiling import GSM8K, LESSONS, ROOT
from tests.support.training import find_cases

ASK = """exg 1
dataset rows {{
  source = jsonl("rows.jsonl")
  split train = 100%
  field question: text
  field options: text
  secret field gold: {gold}
}}
model student = scratch {{ layers = 2; width = 64; heads = 4; vocab = 512 }}
dialogue ask(item: rows) {{
  user = "{{{{ item.question }}}} {{{{ item.options }}}}"
  assistant final: {answer} = "{words}"
  scenario plain = first(0)
}}
reward r(d: ask, item: rows) -> 0..2 {{
  {terms}
}}
task t {{ data = rows; student = student; stage train = grpo(ask, reward: r, group: {{ plain: 8 }}, steps: 1) }}
"""
OUTCOME = "outcome = matches(d.final, item.gold); total = outcome"


def write_spec(
    terms: str,
    *,
    gold: str = "number",
    answer: str = "number.last",
    words: str = "The answer is {{ item.gold }}.",
) -> str:
    return ASK.format(terms=terms, gold=gold, answer=answer, words=words)


def find_families(spec: str) -> set[str]:
    """Families of the junk that pays under the spec's only reward."""
    (case,) = find_cases(spec).rewards
    return {score.attack.family for score in find_hacks(build_bench(case).value)}


@pytest.mark.parametrize(
    ("terms", "families"),
    [
        (OUTCOME, set()),
        ("total = 1 if d.tokens < 100tok else 0", {"nothing"}),
        ('total = contains(d.final, "The answer is")', {"the form alone", "junk in the form"}),
        ("total = format(d.final)", {"number soup", "a constant answer"}),
        ("total = ramp(d.tokens, from: 0tok, to: 200tok)", {"padding"}),
        (
            "outcome = matches(d.final, item.gold); total = max(outcome, contains(d.final, item.question))",
            {"the question repeated"},
        ),
        ("outcome = matches(d.final, item.gold); total = 0.5 * outcome + 0.5 * format(d.final)", set()),
        (
            "outcome = matches(d.final, item.gold); total = outcome * (1 - 0.5 * ramp(d.tokens, from: 0tok, to: 200tok))",
            set(),
        ),
    ],
)
def test_what_pays_under_a_reward_of_numbers(terms: str, families: set[str]) -> None:
    found = find_families(write_spec(terms))
    assert families <= found if families else found == set()


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ('choice("A", "B", "C", "D")', "choice.letter"),
        ('choice("yes", "no")', "yesno.last"),
        ("text", "yesno.last"),
        ("text", "text.normalized"),
        ("text", "text.exact"),
        ("text", "date.last"),
        ("number", "number.boxed"),
        ("text", "math.boxed"),
        ("number", "math.boxed"),
        ("int", "number.last"),
        ("text", "number.last"),
        ('choice("red", "green")', "text.exact"),
    ],
)
def test_an_outcome_alone_is_never_hackable(gold: str, answer: str) -> None:
    words = "{{ item.gold }}" if answer.startswith("text") else "The answer is {{ item.gold }}."
    if answer.endswith("boxed"):
        words = "\\\\boxed{% raw %}{{% endraw %}{{ item.gold }}}"
    (case,) = find_cases(write_spec(OUTCOME, gold=gold, answer=answer, words=words)).rewards
    assert list(prove_hackable(case)) == []
    stress = stress_reward(case)
    assert not stress.is_hackable
    assert stress.paid[0].right == 1, "the honest answer is read as right"


def test_listing_every_choice_pays_where_the_text_is_searched() -> None:
    spec = write_spec(
        "total = contains(d.final, item.gold)",
        gold='choice("red", "green", "blue")',
        answer="text.normalized",
    )
    assert find_families(spec) == {"every choice"}


def test_a_judge_alone_is_hackable_and_a_gated_one_is_not() -> None:
    judged = 'rubric fair { scale = 0..4; text = "Is it fair?" }\nmodel judge_model = plugin("word-problem-tutor")\n'

    def write(total: str) -> str:
        judge = "judge.score(d.final, rubric: fair, by: judge_model)"
        terms = f"outcome = matches(d.final, item.gold); fair_play = {judge} / 4; total = {total}"
        return write_spec(terms).replace("reward r", judged + "reward r")

    assert find_families(write("fair_play")) != set()
    assert find_families(write("0.3 * outcome + 0.7 * fair_play")) != set()
    assert find_families(write("0.7 * outcome + 0.3 * fair_play")) == set()
    assert find_families(write("outcome * fair_play")) == set()


@pytest.mark.parametrize(
    ("total", "is_paid"),
    [
        ("format(d.final, number.boxed)", True),
        ("format(d.final, math.boxed)", True),
        ("format(d.final, date.last)", True),
        ('format(d.final, regex("Final: (\\\\d+)!"))', True),
        ('format(d.final, regex("<answer>(.*)</answer>"))', True),
        ("0.5 * outcome + 0.5 * format(d.final, number.boxed)", False),
        ("0.4 * outcome + 0.6 * format(d.final, number.boxed)", False),
        ('0.5 * outcome + 0.5 * format(d.final, regex("Final: (\\\\d+)!"))', False),
        (
            '0.5 * outcome + 0.5 * format(d.final, regex("<think>.*</think>\\\\s*<answer>(.*)</answer>"))',
            False,
        ),
        ("outcome * format(d.final, number.boxed)", False),
        ('0.5 * outcome + 0.5 * contains(d.final, "because")', True),
        ('0.7 * outcome + 0.3 * contains(d.final, "because")', False),
        ('0.5 * outcome + 0.5 * contains(d.final, "<answer>")', False),
        ('0.3 * outcome + 0.3 * format(d.final, number.boxed) + 0.4 * contains(d.final, "because")', True),
    ],
)
def test_check_and_stress_agree_on_the_forms_that_a_reward_names(total: str, is_paid: bool) -> None:
    terms = f"outcome = matches(d.final, item.gold); total = {total}"
    (case,) = find_cases(write_spec(terms)).rewards
    assert bool(list(prove_hackable(case))) is is_paid
    assert stress_reward(case).is_hackable is is_paid


@pytest.mark.parametrize(
    ("total", "is_idle"),
    [
        ('outcome * contains(d.final, "zebra")', True),
        ('outcome if contains(d.final, "zebra") == 1 else 0', True),
        ('outcome * contains(d.final, "<answer>")', False),
        ('outcome * (1 - contains(d.final, "answer"))', False),
        ("outcome if d.tokens > 9000tok else 0", False),
        ('outcome * (0 if contains(d.final, "zebra") == 1 else 0)', False),
        ("outcome if mean(outcome) > 0.9 else 0", False),
        ('outcome if contains(item.question, "zebra") == 1 else 0', False),
    ],
)
def test_a_right_answer_that_earns_what_silence_does_is_told_in_check_and_stress(
    total: str, is_idle: bool
) -> None:
    terms = f"outcome = matches(d.final, item.gold); total = {total}"
    (case,) = find_cases(write_spec(terms)).rewards
    found = [one.message for one in prove_hackable(case)]
    said = "A completion that says nothing earns 0, and an honest right answer 0."
    assert found == [said] * is_idle
    if is_idle:
        assert stress_reward(case).is_idle


@pytest.mark.parametrize(
    "answer",
    [
        *(
            AnswerSpec(kind=kind)
            for kind in (
                "number.last",
                "number.boxed",
                "choice.letter",
                "yesno.last",
                "date.last",
                "text.exact",
                "text.normalized",
            )
        ),
        AnswerSpec(kind="regex", pattern=r"#### (\d+)", type=FieldType(kind="number")),
        AnswerSpec(
            kind="regex",
            pattern=r"\(?([A-D])\)?",
            type=FieldType(kind="choice", options=("A", "B", "C", "D")),
        ),
        AnswerSpec(kind="regex", pattern="<answer>(.*)</answer>", type=FieldType(kind="text")),
    ],
    ids=lambda answer: answer.kind,
)
def test_an_honest_sentence_states_its_answer_and_no_other(answer: AnswerSpec) -> None:
    answers = list(dict.fromkeys(list_answers(answer)))
    for at, gold in enumerate(answers):
        sentence = state_answer(answer, gold)
        assert answer_matches(sentence, gold, answer)
        assert not answer_matches(sentence, answers[at - 1], answer)


def test_made_up_rows_have_different_answers_and_no_attack_is_the_same_twice() -> None:
    for text in (GSM8K, LESSONS):
        (case,) = find_cases(text).rewards
        bench = build_bench(case).value
        rows = make_rows(bench.dataset, bench.golds)
        assert len({row[gold.field] for gold in find_golds(case.graph) for row in rows}) == len(rows)
        small = list_attacks(bench.dialogue, bench.dataset, bench.golds)
        large = list_attacks(bench.dialogue, bench.dataset, bench.golds, is_large=True)
        assert len({attack.text for attack in large}) == len(large)
        assert {attack.text for attack in small} <= {attack.text for attack in large}
        assert len(small) <= 24


# --- the command --------------------------------------------------------------------------------------------


def test_stress_exits_0_for_the_reference_reward_and_shows_both_honest_answers() -> None:
    result = call_exgrpo("stress", ROOT / "specs/exgrpo_specs/tasks/gsm8k.exg", cwd=ROOT)
    assert result.code == 0, result.err
    assert "an honest right answer earns 1, a wrong one 0" in result.out


def test_stress_exits_1_where_junk_pays_and_marks_it(tmp_path: Path) -> None:
    path = tmp_path / "spec.exg"
    path.write_text(write_spec('total = contains(d.final, "The answer is")'), "utf-8")
    result = call_exgrpo("stress", path, "--top", "3", cwd=tmp_path)
    assert result.code == 1
    assert "!      1  the form alone" in result.out
    shown = json.loads(call_exgrpo("stress", path, "--format", "json", "--top", "2", cwd=tmp_path).out)
    assert shown[0]["hackable"] is True
    assert len(shown[0]["paid"]) == 2


def test_stress_takes_rows_of_the_dataset(tmp_path: Path) -> None:
    rows = [{"question": f"What is {n} + 1?", "options": "", "gold": n + 1} for n in (3, 50, 700)]
    path, data = tmp_path / "spec.exg", tmp_path / "rows.jsonl"
    path.write_text(write_spec(OUTCOME), "utf-8")
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    result = call_exgrpo("stress", path, "--rows", data, "--format", "json", cwd=tmp_path)
    assert result.code == 0, result.err
    (shown,) = json.loads(result.out)
    assert shown["rows"] == 3
    assert shown["paid"][0]["right"] == 1


def test_a_wrong_answer_is_wrong_though_rows_share_theirs(tmp_path: Path) -> None:
    rows = [{"question": f"What is {4 - n} + {n}?", "options": "", "gold": 4} for n in range(4)]
    path, data = tmp_path / "spec.exg", tmp_path / "rows.jsonl"
    path.write_text(write_spec(OUTCOME), "utf-8")
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    result = call_exgrpo("stress", path, "--rows", data, "--format", "json", cwd=tmp_path)
    (shown,) = json.loads(result.out)
    assert shown["paid"][0]["right"] == 1
    assert shown["paid"][0]["wrong"] == 0


@pytest.mark.parametrize("questions", [("Is 7 even?",) * 3, ("Is 7 even?", "Is 9 even?", "Is 1 even?")])
def test_a_constant_answer_is_no_hack_because_all_tests_of_a_reward_have_it(
    tmp_path: Path, questions: tuple[str, ...]
) -> None:
    tests = "".join(
        f'test "{at}" {{ item = {{ question: "{question}", gold: false }}; '
        'group = [ plain { final: "No." } ]; expect r.total == [1] }\n'
        for at, question in enumerate(questions)
    )
    path = tmp_path / "spec.exg"
    path.write_text(write_spec(OUTCOME, gold="bool", answer="yesno.last") + tests, "utf-8")
    result = call_exgrpo("stress", path, "--format", "json", cwd=tmp_path)
    assert result.code == 0, result.out
    (shown,) = json.loads(result.out)
    assert shown["hackable"] is False
    assert all(0 < one["total"] < 1 for one in shown["paid"] if one["text"] in ("yes", "no"))


def test_stress_exits_1_where_a_right_answer_earns_no_more_than_a_wrong_one(tmp_path: Path) -> None:
    path = tmp_path / "spec.exg"
    path.write_text(write_spec('total = contains(d.final, "no such words")'), "utf-8")
    result = call_exgrpo("stress", path, cwd=tmp_path)
    assert result.code == 1
    assert "never pays an honest right answer more" in result.out


def test_the_question_said_back_is_named_as_that() -> None:
    spec = write_spec("total = contains(d.final, item.question)")
    (case,) = find_cases(spec).rewards
    (found,) = prove_hackable(case)
    assert found.message.startswith("A completion that repeats the question earns 1")


def test_stress_of_a_wrong_spec_or_of_no_reward_says_so(tmp_path: Path) -> None:
    path = tmp_path / "spec.exg"
    path.write_text("exg 1\nconst a = b\n", "utf-8")
    assert call_exgrpo("stress", path, cwd=tmp_path).code == 1
    path.write_text("exg 1\nconst a = 1\n", "utf-8")
    result = call_exgrpo("stress", path, cwd=tmp_path)
    assert result.code == 2
    assert "has no reward" in result.err
