"""What the rule-based tutor says by each rule of `std.rules`, from a problem and its chain of equations.

Every explanation answers its probe with one number, and its rationale holds at least one equation of the
problem's own chain. A probe can be answered without the question, since a student meets it before, and states
the problem's answer only under `reversal`, whose purpose that is. Probes are short: so is the student's memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from exgrpo_specs.quickstart.problems import PHRASES, START, Operator, Problem, calculate

INVERSES = {"+": "-", "-": "+", "*": "/"}


class Chain(NamedTuple):
    """A problem and the counts that the tutor believes; a slip makes them differ from `problem.counts`."""

    problem: Problem
    counts: tuple[int, ...]

    def write(self, first: int = 0, last: int | None = None) -> str:
        """Equations of the steps `first..last - 1` (all by default), joined by spaces."""
        steps = self.problem.steps
        written = [
            f"{self.counts[i]}{steps[i].operator}{steps[i].number}={self.counts[i + 1]}"
            for i in range(len(steps))
        ]
        return " ".join(written[first:last])


class Explanation(NamedTuple):
    """A probe with the tutor's reasoning and answer."""

    question: str
    rationale: str
    answer: int


def explain_why(chain: Chain) -> Explanation:
    """Why is the first operation the right one, and what does it give?"""
    step = chain.problem.steps[0]
    verb, reason = {
        "+": ("add", "It grows"),
        "-": ("subtract", "It shrinks"),
        "*": ("multiply", "It multiplies"),
    }[step.operator]
    question = f"{_tell_part(chain, 1)} Why {verb}, and what does it give?"
    return Explanation(question, f"{reason}: {chain.write(0, 1)}.", chain.counts[1])


def explain_cause_effect(chain: Chain) -> Explanation:
    """What does the first event lead to?"""
    return Explanation(f"{_tell_part(chain, 1)} What follows?", f"{chain.write(0, 1)}.", chain.counts[1])


def explain_process(chain: Chain) -> Explanation:
    """The steps in order, up to the last one."""
    question = f"{chain.problem.tell_story()} Go through all steps but the last."
    return Explanation(question, f"{chain.write(0, -1)}.", chain.counts[-2])


def explain_counterfactual(chain: Chain) -> Explanation:
    """The last number changed; the question is a whole problem of its own."""
    problem, counts = chain.problem, chain.counts
    last = problem.steps[-1]
    number = last.number + 1
    if number == problem.answer:
        number = last.number - 1
    outcome = calculate(counts[-2], last.operator, number)
    changed = problem._replace(steps=(*problem.steps[:-1], last._replace(number=number)))
    rationale = f"{chain.write(0, -1)} {counts[-2]}{last.operator}{number}={outcome}."
    return Explanation(f"What if: {changed.tell_question()}", rationale, outcome)


def explain_contrast(chain: Chain) -> Explanation:
    """Two stories that look alike, one with another operation: how far apart do they end?"""
    step, start = chain.problem.steps[0], chain.problem.start
    operator: Operator = "+"
    if step.operator == "+":
        operator = "-" if start > step.number else "*"
    other = PHRASES[operator][0].format(name=chain.problem.name, n=step.number)
    outcome = calculate(start, operator, step.number)
    low, high = sorted((chain.counts[1], outcome))
    question = f"{_tell_part(chain, 1)} In another story: {other} How far apart?"
    rationale = f"{chain.write(0, 1)} {start}{operator}{step.number}={outcome} {high}-{low}={high - low}."
    return Explanation(question, rationale, high - low)


def explain_hypothesis(chain: Chain) -> Explanation:
    """A conjecture about the course before the end, settled by looking at the counts."""
    counts = chain.counts[:-1]
    question = f"{_tell_part(chain, -1)} Are the most at the start? What is the most?"
    verdict = "Yes" if counts[0] == max(counts) else "No"
    return Explanation(question, f"{verdict}: {chain.write(0, -1)}.", max(counts))


def explain_challenge(chain: Chain) -> Explanation:
    """A student's first step with a typical mistake, to be put right."""
    problem = chain.problem
    claim = problem.counts[1] + 1
    if claim == problem.answer:
        claim += 1
    question = f"{_tell_part(chain, 1)} A student says {claim}. Is it right?"
    return Explanation(question, f"No: {chain.write(0, 1)}.", chain.counts[1])


def explain_decompose(chain: Chain) -> Explanation:
    """The sub-questions before the last one."""
    question = f"{_tell_part(chain, -1)} How many after each step?"
    return Explanation(question, f"{chain.write(0, -1)}.", chain.counts[-2])


def explain_assumption(chain: Chain) -> Explanation:
    """Which given number does the first step rest on?"""
    question = f"{_tell_part(chain, 1)} Which number is needed first?"
    return Explanation(question, f"The start: {chain.write(0, 1)}.", chain.counts[0])


def explain_reversal(chain: Chain) -> Explanation:
    """Given the end, find the start by undoing the steps; then check by the chain itself."""
    problem, counts = chain.problem, chain.counts
    undone = []
    for i in range(len(problem.steps) - 1, -1, -1):
        step = problem.steps[i]
        undone.append(f"{counts[i + 1]}{INVERSES[step.operator]}{step.number}={counts[i]}")
    start = START.format(name=problem.name, n="some", things=problem.things)
    story = " ".join((start, *problem.tell_steps()))
    question = f"{story} Now there are {problem.answer}. How many at the start?"
    return Explanation(question, f"{' '.join(undone)}. Check: {chain.write()}.", counts[0])


def _tell_part(chain: Chain, last: int) -> str:
    """The story up to and without step `last`, counted as slices count."""
    problem = chain.problem
    start = START.format(name=problem.name, n=problem.start, things=problem.things)
    return " ".join((start, *problem.tell_steps()[:last]))


EXPLAINERS: dict[str, Callable[[Chain], Explanation]] = {
    "why": explain_why,
    "cause_effect": explain_cause_effect,
    "process": explain_process,
    "counterfactual": explain_counterfactual,
    "contrast": explain_contrast,
    "hypothesis": explain_hypothesis,
    "challenge": explain_challenge,
    "decompose": explain_decompose,
    "assumption": explain_assumption,
    "reversal": explain_reversal,
}
"""Rule name -> how the tutor explains a problem by it."""
