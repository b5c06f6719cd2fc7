"""Test blocks, run: what an expectation means, what judges are taken to answer, what a failure says."""

from __future__ import annotations

import time
from xml.etree import ElementTree

import pytest

from exgrpo_compiler.pipeline import check_spec
from exgrpo_compiler.source import Source
from exgrpo_compiler.testing.describe import describe_failure
from exgrpo_compiler.testing.expectations import compare
from exgrpo_compiler.testing.formats import render_junit, render_text
from exgrpo_compiler.testing.outcome import count_results, run_program
from tests.support.compiling import GSM8K, LESSONS, load
from tests.support.testing import REWARD, ROW, build_spec, check_program, run_one, run_tests

FULL = 'full { explain: ["a", "b"], final: "2", tokens: 55tok, scores: [3, 4] }'
PARTIAL = 'partial { explain: ["a"], final: "3", tokens: 55tok, scores: [2] }'
PLAIN = 'plain { final: "2", tokens: 10tok }'
SILENT = "plain { tokens: 10tok }"


@pytest.mark.parametrize("text", [GSM8K, LESSONS], ids=["gsm8k", "lessons"])
def test_the_tests_of_the_examples_pass(text: str) -> None:
    results = run_tests(text)
    assert all(result.has_passed for result in results)


@pytest.mark.parametrize(
    "expect",
    [
        "r.outcome == [1, 0, 1]",
        "r.clarity == [0.875, 0.5, 0]",
        "r.p_part == 0",
        "r.total == [1.5625, 0.25, 1.25]",
        "r.scores == [3.5, 2, _]",
        "r.short == [0.5, 0.5, 1]",
        "r.total >= r.outcome",
        "r.total - r.outcome <= 0.5625",
        "mean(r.outcome) == 2 / 3",
        "max(r.total) == 1.5625 and min(r.total) == 0.25",
        "count(r.outcome == 1) == 2",
        "any(r.clarity == 0)",
        "all(r.total > 0)",
        "not (r.total > 2)",
        "0 <= r.short <= 1",
        "r.outcome",
    ],
)
def test_an_expectation_that_holds(expect: str) -> None:
    group = f"{FULL}, {PARTIAL}, {PLAIN}"
    if expect == "r.outcome":
        group = FULL
    assert run_one(group, expect).has_passed


@pytest.mark.parametrize(
    ("expect", "failing"),
    [
        ("r.outcome == [1, 1, 1]", (1,)),
        ("r.outcome == 1", (1,)),
        ("r.scores == [3.5, 2, 0]", (2,)),
        ("r.outcome == [_, 0, 1]", (0,)),
        ("r.scores >= 0", (2,)),
        ("mean(r.outcome) == 0.5", (0, 1, 2)),
        ("r.total == 1.5625000001", (1, 2)),
        ("r.total == 1.56250001", (0, 1, 2)),
        ("r.outcome == 1 and r.total > 1.3", (1, 2)),
        ("r.outcome == 0 or r.total > 1.3", (2,)),
    ],
)
def test_an_expectation_that_does_not_hold_names_its_rollouts(expect: str, failing: tuple[int, ...]) -> None:
    result = run_one(f"{FULL}, {PARTIAL}, {PLAIN}", expect)
    assert result.judged[0].failing == failing


def test_a_turn_that_is_left_out_is_not_applicable_and_drops_its_rollout() -> None:
    result = run_one(f"{SILENT}, {PLAIN}", "r.outcome == [_, 1]", "r.total == [_, 1.25]")
    assert result.has_passed


def test_a_judge_that_gives_no_answer_drops_the_rollout_as_in_training() -> None:
    failed = PARTIAL.replace("[2]", "[failed]")
    result = run_one(f"{failed}, {FULL}", "r.total == [_, 1.5625]", "r.p_part == _")
    assert result.has_passed


def test_on_failure_is_followed() -> None:
    changed = REWARD.replace("  outcome =", "  on_failure = value(0.5)\n  outcome =", 1)
    failed = PARTIAL.replace("[2]", "[failed]")
    assert run_one(failed, "r.scores == [0.5]", reward=changed).has_passed


@pytest.mark.parametrize(
    ("op", "left", "right", "is_true"),
    [
        ("eq", 0.1 + 0.2, 0.3, True),
        ("eq", 1.0, 1.0 + 1e-8, False),
        ("lt", 0.3, 0.1 + 0.2, False),
        ("le", 0.1 + 0.2, 0.3, True),
        ("gt", 1e9 + 1e-3, 1e9, False),
        ("eq", None, None, True),
        ("eq", None, 0.0, False),
        ("ne", None, 0.0, True),
        ("lt", None, 0.0, False),
        ("ge", None, None, False),
    ],
)
def test_numbers_are_compared_to_1e_9_and_what_is_missing_equals_only_itself(
    op: str, left: float | None, right: float | None, is_true: bool
) -> None:
    assert compare(op, left, right) is is_true


def test_a_failure_shows_expected_and_actual_every_term_and_the_answers_that_were_read() -> None:
    result = run_one(f"{FULL}, {PARTIAL}", "r.total == [1.5, 0.25]")
    assert describe_failure(result) == [
        "spec.exg:16:3  expect r.total == [1.5, 0.25]",
        "  r.total is [1.5625, 0.25]",
        "  rollout 1 `full`: expected 1.5, got 1.5625",
        "    outcome 1 · scores 3.5 · clarity 0.875 · p_part 0 · short 0.5 · total 1.5625",
        '    final: "2" gives 2, gold is 2',
    ]


def test_a_dropped_rollout_says_why() -> None:
    told = "\n".join(describe_failure(run_one(SILENT, "r.total == [1]")))
    assert "expected 1, got _" in told
    assert "dropped: the total is not applicable" in told


def test_junit_is_well_formed_whatever_stands_in_the_spec() -> None:
    group = FULL.replace('"2"', '"<3]]>&"')
    title = '<&\\u{1}\\"]]>'
    tests = f'test "{title}" {{\n  {ROW}\n  group = [{group}]\n  expect r.total == [7]\n}}'
    program = check_program(build_spec(tests))
    outcome = run_program("a<b>.exg", program, ())
    root = ElementTree.fromstring(render_junit([outcome]))
    assert root.attrib == {"name": "exgrpo", "tests": "1", "failures": "1", "errors": "0"}
    (case,) = root.iter("testcase")
    assert case.attrib["name"].startswith("<&")
    assert case.find("failure") is not None


def test_a_file_with_errors_runs_no_test_and_is_an_error() -> None:
    text = build_spec(f'test "t" {{\n  {ROW}\n  group = [{PLAIN}]\n  expect r.totl == [1]\n}}')
    checked = check_spec(Source("spec.exg", text, "spec.exg"), load)
    assert checked.value is not None
    outcome = run_program("spec.exg", checked.value.program, checked.diagnostics)
    assert (outcome.results, outcome.is_broken) == ((), True)
    assert "no test was run" in render_text((outcome,), color=False)
    assert ElementTree.fromstring(render_junit([outcome])).attrib["errors"] == "1"


def test_a_hundred_tests_run_in_under_a_second() -> None:
    group = ", ".join([FULL, PARTIAL, PLAIN, FULL] * 2)
    tests = "\n".join(
        f'test "t{number}" {{\n  {ROW}\n  group = [{group}]\n  expect r.outcome == [1, 0, 1, 1, 1, 0, 1, 1]\n}}'
        for number in range(100)
    )
    program = check_program(build_spec(tests))
    start = time.process_time()
    outcome = run_program("spec.exg", program, ())
    assert time.process_time() - start < 1
    totals = count_results((outcome,))
    assert (totals.passed, totals.failed) == (100, 0)
