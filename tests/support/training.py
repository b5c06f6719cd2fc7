"""Rewards in training, as the proofs see them, from a few lines of an .exg reward."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

from exgrpo_artifact.evaluate import Rollout, Scores, evaluate_reward
from exgrpo_compiler.check.program import check_program
from exgrpo_compiler.parse import parse_spec
from exgrpo_compiler.prove.case import Cases, TrainCase, build_cases
from exgrpo_compiler.resolve import resolve_program
from exgrpo_compiler.source import Source
from tests.support.compiling import load

GOLD = 4
ITEM = {"question": "What is 2 + 2?", "level": "easy", "gold": GOLD, "solution": "2 + 2 = 4."}
TEXTS = {True: "It is 4.", False: "It is 5."}


def find_cases(text: str) -> Cases:
    """The cases of a spec that must resolve."""
    program = resolve_program(Source("spec.exg", text, "spec.exg"), load, parse_spec).value
    assert program is not None
    checked = check_program(program, frozenset(), program)
    assert checked.value is not None
    assert not [one for one in checked.diagnostics if one.severity == "error"], checked.diagnostics
    return build_cases(program, checked.value)


def make_training(terms: str, settings: str, *, score: str | None = None) -> TrainCase:
    """A stage that trains by a reward over the lesson of base.exg with these terms."""
    test = f"  stage test = evaluate(lesson.plain, on: rows.test, score: r.{score})\n" if score else ""
    text = (
        'exg 1\nuse "./base.exg".{rows, student, tutor, faithful, ask, lesson}\n'
        f"reward r(d: lesson, item: rows) -> -100..100 {{\n{terms}\n}}\n"
        "task t {\n  data = rows; student = student\n  stage probe = ask(split: train)\n"
        f"  stage train = grpo(lesson, reward: r, steps: 1, {settings})\n{test}}}\n"
    )
    (training,) = find_cases(text).trainings
    return training


def make_rollout(scenario: str, text: str, seed: int = 0) -> Rollout:
    """A rollout with one probe (none in `plain`) that says `text` at the end."""
    explain = () if scenario == "plain" else ("Because.",)
    return Rollout(scenario, {"explain": explain, "final": text}, 10, 1 + len(explain), seed)


def score_texts(training: TrainCase, group: Sequence[tuple[str, str]]) -> Scores:
    """The evaluator's scores of (scenario, final text) pairs as one group."""
    return evaluate_reward(training.case.graph, ITEM, [make_rollout(*one) for one in group])


def iterate_patterns(sizes: Mapping[str, int]) -> Iterator[list[tuple[str, bool]]]:
    """Every pattern of right and wrong rollouts of a group, as (scenario, is right) pairs."""
    for counts in itertools.product(*(range(size + 1) for size in sizes.values())):
        yield [
            (scenario, at < right)
            for (scenario, size), right in zip(sizes.items(), counts, strict=True)
            for at in range(size)
        ]
