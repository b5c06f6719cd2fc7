"""A small spec with a judge, tokens and scenarios, and running the tests that are put into it."""

from __future__ import annotations

from exgrpo_compiler.ir import CheckedProgram
from exgrpo_compiler.pipeline import check_spec
from exgrpo_compiler.render.human import render_human
from exgrpo_compiler.source import Source
from exgrpo_compiler.testing.run import Result, lower_tested_rewards, run_test
from tests.support.compiling import load

HEAD = """exg 1
use "./base.exg".{rows, lesson, tutor, faithful}
"""

REWARD = """
reward r(d: lesson, item: rows) -> 0..2 {
  outcome = matches(d.final, item.gold)
  scores  = judge.score(d.explain, rubric: faithful, by: tutor)
  clarity = mean(scores) / 4 else 0
  p_part  = mean(outcome where d.scenario == partial)
  short   = ramp(d.tokens, from: 100tok, to: 10tok)
  total   = outcome + 0.5 * clarity + (0.25 * short if outcome == 1 else 0)
}
"""

ROW = 'item = { question: "1 + 1?", gold: 2 }'


def build_spec(tests: str, reward: str = REWARD) -> str:
    """A spec with these tests of the reward."""
    return f"{HEAD}{reward}\n{tests}\n"


def check_program(text: str) -> CheckedProgram:
    """The checked program of a text that has no errors."""
    outcome = check_spec(Source("spec.exg", text, "spec.exg"), load)
    assert not [one for one in outcome.diagnostics if one.severity == "error"], render_human(
        outcome.diagnostics, False
    )
    assert outcome.value is not None
    return outcome.value.program


def run_tests(text: str) -> list[Result]:
    """Results of all tests of a spec."""
    program = check_program(text)
    graphs = lower_tested_rewards(program)
    return [run_test(test, graphs) for test in program.tests]


def run_one(group: str, *expects: str, reward: str = REWARD) -> Result:
    """The result of one test over a group."""
    lines = "\n".join(f"  expect {expect}" for expect in expects)
    (result,) = run_tests(build_spec(f'test "t" {{\n  {ROW}\n  group = [{group}]\n{lines}\n}}', reward))
    return result
