"""Rewards of one shape share what does not depend on their numbers: what is said of one never depends on those before it."""

from __future__ import annotations

import pytest

from exgrpo_compiler.check.program import check_program
from exgrpo_compiler.diagnostics import Diagnostic
from exgrpo_compiler.parse import parse_spec
from exgrpo_compiler.prove import atoms
from exgrpo_compiler.prove.program import prove_program
from exgrpo_compiler.resolve import resolve_program
from exgrpo_compiler.source import Source
from tests.support.compiling import load

SPEC = """exg 1
use "./base.exg".{{rows, student, tutor, faithful, ask, lesson}}
reward r(d: lesson, item: rows) -> -100..100 {{
  {terms}
}}
task t {{
  data = rows; student = student
  stage probe = ask(split: train)
  stage train = grpo(lesson, reward: r, steps: 1, {settings})
  stage test = evaluate(lesson.plain, on: rows.test, score: r.outcome)
}}
"""
OUTCOME = "outcome = matches(d.final, item.gold)\n  "
PAPER = (
    OUTCOME
    + """p_full = mean(outcome where d.scenario == full) else {b}
  p_part = mean(outcome where d.scenario == partial) else {b}
  bonus  = {a} if p_full > p_part else 0
  total  = outcome + (bonus if d.scenario == full and outcome == {c} else 0)"""
)
SHAPES = [
    PAPER,
    OUTCOME + "total = {a} * outcome + {b} * format(d.final) + {c}",
    OUTCOME
    + "total = {a} * outcome - {b} * ramp(d.tokens, from: 10tok, to: 500tok) * ({c} if outcome == 0 else 1)",
    OUTCOME + "total = clip({a} * outcome + {b} * mean(outcome), 0, 1) / (outcome + {c})",
    OUTCOME + "total = {a} * outcome + (1 if bernoulli({b}) == {c} else 0)",
    OUTCOME + "total = {a} * outcome / words(d.final) + {b}\n  on_failure = value({c})",
]
NUMBERS = [
    ("0.5", "0", "1"),
    ("1", "1", "1"),
    ("0", "0.5", "0"),
    ("0.25", "1", "0.0"),
    ("1", "0", "0"),
    ("2", "0.1", "1"),
]
SETTINGS = [
    "group: {{ full: 4, partial: 4 }}",
    "group: {{ full: 4, partial: 4 }}, baseline: scenario",
    "group: {{ full: 8 }}, compare: {{ partial: 4 }}",
]


def prove(text: str) -> list[tuple[object, ...]]:
    """What is proved of a spec."""
    program = resolve_program(Source("spec.exg", text, "spec.exg"), load, parse_spec).value
    assert program is not None
    checked = check_program(program, frozenset(), program)
    assert checked.value is not None
    assert not [one for one in checked.diagnostics if one.severity == "error"], checked.diagnostics
    proved = prove_program(program, checked.value)
    return [*map(describe, proved.diagnostics), proved.notes]


def describe(one: Diagnostic) -> tuple[object, ...]:
    """A diagnostic without its source."""
    return (
        one.id,
        one.severity,
        one.message,
        one.span.start,
        one.span.end,
        one.hint,
        [label.text for label in one.labels],
    )


def write_specs(shape: str) -> list[str]:
    """The reward with several numbers, under several settings."""
    return [
        SPEC.format(terms=shape.format(a=a, b=b, c=c), settings=settings.format())
        for settings in SETTINGS
        for a, b, c in NUMBERS
    ]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_reward_is_judged_as_if_it_were_the_only_one(shape: str) -> None:
    specs = write_specs(shape)
    among_others = [prove(spec) for spec in specs]
    alone = []
    for spec in specs:
        atoms.forget_shapes()
        alone.append(prove(spec))
    assert among_others == alone
    assert len({str(one) for one in alone}) > 1, "the numbers make a difference"
