"""Properties of the checks as a whole. What each mistake looks like stands in tests/golden/check."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from exgrpo_compiler.source import Source
from exgrpo_compiler.units import UNITS
from tests.support.compiling import (
    BASE,
    GSM8K,
    LESSONS,
    STD_RULES,
    build_reward_spec,
    check,
    compile_text,
    find_ids,
    show,
)

TOKEN = re.compile(r'"""[\s\S]*?"""|"[^"\n]*"|`[^`]*`|///?[^\n]*|\w[\w.]*|\s+|.')
GOLDEN = Path(__file__).parents[1] / "golden" / "check"


@pytest.mark.parametrize("text", [GSM8K, BASE, STD_RULES], ids=["gsm8k", "base", "rules"])
def test_a_right_spec_has_no_diagnostics(text: str) -> None:
    assert show(check(text)) == ""


def test_of_the_example_of_smaller_pieces_one_is_used_nowhere() -> None:
    (found,) = check(LESSONS)
    assert (found.id, found.severity) == ("unused-declaration", "warning")
    assert found.message.startswith("The answer `option_letter` is used by no task")


def mutate(text: str, rng: random.Random, words: list[str]) -> str:
    tokens = TOKEN.findall(text)
    for _ in range(rng.choice([1, 1, 2, 3])):
        index, kind = rng.randrange(len(tokens)), rng.random()
        if kind < 0.25:
            del tokens[index]
        elif kind < 0.4:
            tokens.insert(index, tokens[index])
        else:
            tokens[index] = rng.choice(words)
    return "".join(tokens)


@pytest.mark.parametrize("seed", range(4))
def test_a_mutated_spec_gives_diagnostics_and_never_an_exception(seed: int) -> None:
    rng = random.Random(seed)
    words = [token for text in (GSM8K, LESSONS) for token in TOKEN.findall(text) if not token.isspace()]
    for _ in range(40):
        text = mutate(rng.choice([GSM8K, LESSONS]), rng, words)
        outcome = compile_text(text)
        assert outcome.is_ok == (outcome.value is not None)
        for diagnostic in outcome.diagnostics:
            span = diagnostic.span
            assert 0 <= span.start <= span.end <= len(span.source.text)
            assert diagnostic.message


def test_diagnostics_come_in_the_order_of_the_text() -> None:
    text = GSM8K.replace("item.gold }}", "item.glod }}").replace("epochs: 3", "epoch: 3")
    text = text.replace("rank = 16", "rnak = 16")
    starts = [item.span.start for item in check(text) if item.span.source.name == "spec.exg"]
    assert len(starts) > 2
    assert starts == sorted(starts)


def test_several_mistakes_in_one_declaration_are_all_found() -> None:
    text = 'exg 1\nmodel m = openai("x", base_ulr: "y") {\n  temprature = 1\n  budget = 3\n  tries = 0\n}\n'
    assert find_ids(text) == ["unknown-argument", "unknown-key", "unit-mismatch", "invalid-value"]


def test_what_uses_a_broken_declaration_is_silent_about_it() -> None:
    text = GSM8K.replace('hf("openai/gsm8k", config: "main")', "hf()")
    assert find_ids(text) == ["missing-argument"]


@pytest.mark.parametrize("unit", UNITS)
def test_every_unit_can_be_written(unit: str) -> None:
    assert find_ids(f"exg 1\nconst a = 5{unit}\n") == []


# --- units in expressions -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "total",
    [
        "d.tokens / 100tok",
        "d.tokens / d.tokens",
        "clip(d.tokens, 0tok, 10tok) / 10tok",
        "1 if d.tokens < 10tok else 0",
        "2 * d.tokens / 1tok",
        "d.turns",
        "ramp(d.turns, from: 1, to: 3)",
        "min(d.tokens, 5tok) / 5tok",
    ],
)
def test_units_that_work_out(total: str) -> None:
    assert "unit-mismatch" not in find_ids(build_reward_spec(f"total = {total}"))


@pytest.mark.parametrize(
    "total",
    [
        "d.tokens",
        "d.tokens + 1",
        "d.tokens / 100",
        "d.tokens * d.tokens",
        "1 if d.tokens == 10 else 0",
        "clip(d.tokens, 0, 10)",
        "ramp(d.tokens, from: 1tok, to: 3s)",
        "d.tokens if d.turns > 1 else 0",
        "max(d.tokens, 5)",
        "mean(d.tokens else 0)",
    ],
)
def test_units_that_do_not(total: str) -> None:
    assert find_ids(build_reward_spec(f"total = {total}")) == ["unit-mismatch"]


# --- levels -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("term", "level"),
    [
        ("words(d.final)", "rollout"),
        ("words(d.explain)", "turn"),
        ("mean(words(d.explain))", "rollout"),
        ("mean(mean(words(d.explain)))", "group"),
        ("words(d.explain) + d.turns", "turn"),
        ("mean(d.turns) + d.turns", "rollout"),
        ("mean(d.turns where d.scenario == full)", "group"),
        ("count(1 where d.scenario == full)", "group"),
        ("words(item.question)", "const"),
        ("bernoulli(0.5)", "rollout"),
        ("judge.score(item.question, rubric: faithful, by: tutor)", "rollout"),
        ("judge.same(d.explain, item.question, by: tutor)", "turn"),
    ],
)
def test_the_level_of_a_term(term: str, level: str) -> None:
    from tests.support.compiling import compile_terms

    reward = compile_terms(f"x = {term}\ntotal = matches(d.final, item.gold)")
    assert next(node for node in reward.nodes if node.id == "x").level == level


@pytest.mark.parametrize(
    "total",
    [
        "words(d.explain)",
        "mean(mean(d.turns))",
        "mean(1)",
        "mean(item.gold)",
        "mean(d.turns where words(d.explain) > 1)",
        "mean(bernoulli(words(d.explain)))",
    ],
)
def test_levels_that_do_not_work_out(total: str) -> None:
    assert find_ids(build_reward_spec(f"total = {total}")) == ["level-mismatch"]


# --- regular expressions ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pattern", [r"\(?([A-D])\)?", r"[(?=]([A-D])", r"(?:the )?answer (\w+)", r"\d+", r"[+*]+"]
)
def test_a_linear_pattern_is_allowed(pattern: str) -> None:
    assert find_ids(f"exg 1\nanswer a: text {{\n  extract = last(`{pattern}`)\n}}\n") == []


@pytest.mark.parametrize(
    "pattern",
    [r"(?=x)y", r"(?!x)y", r"(?<=x)y", r"(?<!x)y", r"(a)\1", r"(?P<n>a)(?P=n)", r"a++", r"(a)(b)", "(a"],
)
def test_a_pattern_that_is_not_linear_or_not_one_answer_is_refused(pattern: str) -> None:
    assert find_ids(f"exg 1\nanswer a: text {{\n  extract = last(`{pattern}`)\n}}\n") == ["bad-regex"]


# --- the ids that exist -------------------------------------------------------------------------------------


def test_every_id_of_the_checks_has_a_golden_case_or_a_test() -> None:
    """An id is written where the fact is found; each is shown in a golden case, or tested where no file can show it."""
    compiler = Path(__file__).parents[2] / "compiler" / "exgrpo_compiler"
    own = [
        *(compiler / "check").glob("*.py"),
        *(compiler / name for name in ("resolve.py", "templates.py", "units.py")),
    ]
    pattern = re.compile(r'(?:error|unknown|warning)\(\s*(?:context\.problems,\s*)?"([a-z]+(?:-[a-z]+)+)"')
    ids = {match for path in own for match in pattern.findall(path.read_text("utf-8"))}
    shown = "".join(path.read_text("utf-8") for path in GOLDEN.parent.rglob("*.md"))
    assert len(ids) > 30
    assert {id_ for id_ in ids if f"[{id_}]" not in shown} == set()


def test_a_source_without_a_line_break_at_its_end_is_fine() -> None:
    assert check("exg 1\nconst a = 1") == ()
    assert Source("x", "", "x").locate(5).line == 1
