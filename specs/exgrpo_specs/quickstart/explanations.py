"""What the rule-based tutor says by each rule of `std.rules`, from a problem and its chain of equations.

Every explanation answers its probe with one number, and its rationale holds at least one equation of the
problem's own chain. A probe tells the story again, since a student meets it before the question itself, and
states the problem's answer only under `reversal`, whose purpose that is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from exgrpo_specs.quickstart.problems import START, Problem, calculate

ORDINALS = ("first", "second", "third")
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
    """Why is this operation the right one, and what does it give?"""
    step = chain.problem.steps[0]
    reason = {"+": "It grows", "-": "It shrinks", "*": "It multiplies"}[step.operator]
    verb = {"+": "add", "-": "subtract", "*": "multiply"}[step.operator]
    question = f"{chain.problem.tell_story()} Why {verb} first, and what does it give?"
    return Explanation(question, f"{reason}: {chain.write(0, 1)}.", chain.counts[1])


def explain_cause_effect(chain: Chain) -> Explanation:
    """What does the first event lead to?"""
    question = f"{chain.problem.tell_story()} How many does the first change lead to?"
    return Explanation(question, f"{chain.write(0, 1)}.", chain.counts[1])


def explain_process(chain: Chain) -> Explanation:
    """All steps in their order."""
    question = f"{chain.problem.tell_story()} Go through all steps in order."
    return Explanation(question, f"{chain.write()}.", chain.counts[-1])


def explain_counterfactual(chain: Chain) -> Explanation:
    """The last number changed; the question is a whole problem of its own."""
    problem, counts = chain.problem, chain.counts
    last = problem.steps[-1]
    number = last.number + 1
    if number == problem.answer:
        number = last.number - 1
    outcome = calculate(counts[-2], last.operator, number)
    changed = problem._replace(steps=(*problem.steps[:-1], last._replace(number=number)))
    rationale = " ".join((chain.write(0, -1), f"{counts[-2]}{last.operator}{number}={outcome}"))
    return Explanation(f"What if: {changed.tell_question()}", f"{rationale}.", outcome)


def explain_contrast(chain: Chain) -> Explanation:
    """The story with and without its last step: how far apart do they end?"""
    before, after = chain.counts[-2:]
    high, low = max(before, after), min(before, after)
    question = f"{chain.problem.tell_story()} How far apart are the ends with and without the last step?"
    return Explanation(question, f"{chain.write()}. {high}-{low}={high - low}.", high - low)


def explain_hypothesis(chain: Chain) -> Explanation:
    """A conjecture about the whole course, settled by looking at every count."""
    question = f"{chain.problem.tell_story()} Is the end the most there ever is? What is the most?"
    return Explanation(question, f"{chain.write()}.", max(chain.counts))


def explain_challenge(chain: Chain) -> Explanation:
    """Justify the last step."""
    question = f"{chain.problem.tell_story()} Show that the last step is right."
    return Explanation(question, f"{chain.write()}.", chain.counts[-1])


def explain_decompose(chain: Chain) -> Explanation:
    """The sub-question that comes before the last step."""
    ordinal = ORDINALS[len(chain.problem.steps) - 2]
    question = f"{chain.problem.tell_story()} How many after the {ordinal} step?"
    return Explanation(question, f"{chain.write(0, -1)}.", chain.counts[-2])


def explain_assumption(chain: Chain) -> Explanation:
    """Which given number does everything rest on?"""
    question = f"{chain.problem.tell_story()} Which number do all steps need first?"
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
    question = f"{story} Now there are {problem.answer} {problem.things}. How many at the start?"
    return Explanation(question, f"{' '.join(undone)}. Check: {chain.write()}.", counts[0])


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
