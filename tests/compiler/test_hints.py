"""Hints: every error has one, and it helps with what was written."""

from __future__ import annotations

import pytest

from exgrpo_compiler.diagnostics import has_errors
from exgrpo_compiler.hints import GENERAL_HINTS, find_hint
from tests.support.compiling import GSM8K, build_reward_spec, check
from tests.support.pages import find_raised_ids

HEAD = 'exg 1\nuse "./base.exg".{rows, poems, student, tutor, ask, lesson, score, why}\n'
GROUP = "grpo(lesson, reward: score, steps: 1, group: { full: 2, partial: 2 }"


def test_every_diagnostic_has_a_general_hint() -> None:
    raised = find_raised_ids()
    assert {"syntax-error", "unknown-name", "bad-override", "dialogue-shape", "missing-edition"} <= raised
    assert sorted(raised - set(GENERAL_HINTS)) == []


def make_stage(call: str) -> str:
    return f"{HEAD}task t {{\n  data = rows; student = student\n  stage probe = ask(split: train)\n  stage s = {call}\n}}\n"


def make_probes(rules: str = "[why]", prompt: str = "{{ item.question }}", keep: str = "") -> str:
    return (
        f'{HEAD}probes mine(item: rows) {{\n  rules = {rules}\n  teacher = tutor\n  prompt = "{prompt}"\n'
        f"  yields {{ open question: text, rationale: text, answer: text }}\n  {keep}\n}}\n"
    )


def make_dataset(source: str, test: str = "40%") -> str:
    return f"exg 1\ndataset r {{\n  source = {source}\n  split train = 60%\n  split test = {test}\n  field a: text\n}}\n"


def make_scenario(cut: str) -> str:
    return (
        f'{HEAD}dialogue d(item: rows, probes: ask) {{\n  for probe in sample(probes, 3) {{ user = "a"; '
        f'assistant explain = "b" }}\n  user = "q"\n  assistant final = "x"\n  scenario a = {cut}\n}}\n'
    )


CASES = {
    "per cent": (make_stage(f"{GROUP}, kl: 5%)"), "unit-mismatch", "write `0.05`"),
    "rules": (make_probes(rules="why"), "type-mismatch", "write `[why]`"),
    "empty file": (make_dataset('jsonl("")'), "invalid-value", "write its name or path"),
    "shares": (make_dataset('jsonl("a")', "50%"), "invalid-value", "`test` may have at most 40%"),
    "scenario": (
        make_stage("evaluate(lesson, on: rows.test, score: score)"),
        "type-mismatch",
        "name a scenario of it: `lesson.full`, `lesson.partial`, `lesson.plain`",
    ),
    "split": (
        make_stage("evaluate(lesson.plain, on: test, score: score)"),
        "type-mismatch",
        "write `rows.test`",
    ),
    "dataset": (
        make_stage("evaluate(lesson.plain, on: rows, score: score)"),
        "type-mismatch",
        "name a split of it: `rows.train`, `rows.test`",
    ),
    "range": (build_reward_spec("total = 1", range_="1..0"), "invalid-value", "write `0..1`"),
    "yielded": (
        make_probes(keep="keep probe c where words(probe.reasoning) > 3"),
        "unknown-field",
        "its fields are `question`, `rationale`, `answer`",
    ),
    "lr": (make_stage("sft(lesson, learning_rate: 1e-3)"), "unknown-argument", "it is called `lr` here"),
    "first": (make_scenario("first(-1)"), "invalid-value", "first(0) takes none of them"),
    "uniform": (make_scenario("first(uniform(5, 1))"), "invalid-value", "write uniform(1, 5)"),
    "ramp": (
        build_reward_spec("total = ramp(d.tokens, from: 5tok, to: 5tok)"),
        "invalid-value",
        "give two different numbers; for a step, write `1 if x >= a else 0`",
    ),
    "infinite": (
        make_stage("sft(lesson, lr: 1e400)"),
        "bad-number",
        "numbers are finite: at most about 1.8e308",
    ),
    "fraction": (
        make_stage("grpo(lesson, reward: score, steps: 1, group: { full: 2.5, partial: 2 })"),
        "type-mismatch",
        "write 2 or 3",
    ),
    "unit apart": (make_stage(f"{GROUP}, max_new: 200 tok)"), "syntax-error", "write `200tok`"),
    "unit apart in a block": (
        'exg 1\nmodel m = openai("x") {\n  max_tokens = 200 tok\n}\n',
        "syntax-error",
        "write `200tok`",
    ),
    "no brace": (
        f"{HEAD}task t\n  data = rows\n  student = student\n}}\n",
        "syntax-error",
        "write `task t { … }`",
    ),
}


@pytest.mark.parametrize(("text", "id_", "hint"), CASES.values(), ids=CASES)
def test_a_mistake_is_reported_once_with_what_to_write(text: str, id_: str, hint: str) -> None:
    (found,) = check(text)
    assert (found.id, find_hint(found)) == (id_, hint)


def test_an_unrelated_name_is_not_suggested() -> None:
    (found,) = check(make_probes(prompt="{{ item.question | uper }}"))
    assert (found.hint or "").startswith("the filters are `before`")
    rule = 'rule x(rationale: text) {\n  instruction = "Ask."\n}\n'
    text = make_probes(rules="[x]").replace("probes mine", f"{rule}probes mine")
    (found,) = check(text)
    assert (found.id, found.hint) == (
        "rule-field-mismatch",
        "its fields are `question`, `level`, `gold`, `solution`",
    )


@pytest.mark.parametrize(
    ("override", "start"),
    [
        ("train.steps=x", "declare it or import it"),
        ("exgrpo.total=off", "these can be turned off: `exgrpo.outcome`"),
        ("gsm8k.gold=off", "these can be turned off: `invert.consistent`"),
        ("exgrpo.delta=3", "there is `exgrpo."),
        ("seed=4", "did you mean `gsm8k_exgrpo.seed`?"),
        ("exgrpo.bonsu=3", "did you mean `exgrpo.bonus`?"),
    ],
)
def test_a_wrong_override_has_a_hint(override: str, start: str) -> None:
    (found,) = check(GSM8K, override)
    assert (find_hint(found) or "").startswith(start)


def test_a_term_called_like_a_unit_may_follow_a_number_on_the_next_line() -> None:
    spec = build_reward_spec("  a = 3\n  s = 4\n  total = (a + s) * matches(d.final, item.gold)")
    assert not has_errors(check(spec))
