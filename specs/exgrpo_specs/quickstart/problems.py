"""Multi-step word problems: generated, worded, parsed back, and split so that held-out problems are new.

A problem is a start and two or three changes (add, take away, multiply). Its *signature* is those numbers and
operations, without names, things and phrases; no signature and no question text occurs twice in all splits
together, so train and test share no problem. Nor does any other row, or the beginning of its story, differ from a
test row in its last number alone (they are of different *families*), so neither a counterfactual probe nor a
question about a part of a story is ever a held-out problem (`tests/specs/test_problems.py` checks all of it).

Worked solutions come from two personas. A *careful* one writes every result (`5+5=10 10-2=8`), a *sketchy*
one names the changes and skips the results (`Use +5, -2.`). Which of the two a row gets is a coin toss that
its question does not tell. A student trained on the rows holds both manners, and reinforcement learning can
elicit the careful one: the demo shows that, and not that rewards teach arithmetic.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

NAMES = ("Ann", "Ben", "Cara", "Dan", "Eve", "Finn", "Gus", "Hana")
THINGS = ("apples", "books", "cards", "coins", "pens", "shells")
LARGEST = 30
"""No count exceeds it; none is below 2."""

Operator = Literal["+", "-", "*"]
PHRASES: dict[Operator, tuple[str, ...]] = {
    "+": ("{name} finds {n} more.", "{name} buys {n} more.", "{name} gets {n} from {friend}."),
    "-": ("{name} loses {n}.", "{name} sells {n}.", "{name} gives {n} to {friend}."),
    "*": ("Then there are {n} times as many.", "{name} now makes it {n} times as many."),
}
MOST_ROWS = 20_000
"""Of all splits together; well below the number of different problems."""
START = "{name} has {n} {things}."
ASK = "How many {things} now?"


class Step(NamedTuple):
    """One change of the running count: `count operator number`, told in `phrase` (its friend filled in)."""

    operator: Operator
    number: int
    phrase: str


class Problem(NamedTuple):
    """A start and its changes, with the words they are told in."""

    name: str
    things: str
    start: int
    steps: tuple[Step, ...]

    @property
    def signature(self) -> tuple[int | str, ...]:
        """The numbers and operations alone: what makes two problems the same whatever their words."""
        return (self.start, *(f"{step.operator}{step.number}" for step in self.steps))

    @property
    def family(self) -> tuple[int | str, ...]:
        """The signature without its last number: what a problem and its counterfactuals have in common."""
        return (*self.signature[:-1], self.steps[-1].operator)

    @property
    def counts(self) -> tuple[int, ...]:
        """The running count: the start, then the value after each step."""
        counts = [self.start]
        for step in self.steps:
            counts.append(calculate(counts[-1], step.operator, step.number))
        return tuple(counts)

    @property
    def answer(self) -> int:
        """The last count."""
        return self.counts[-1]

    def tell_story(self) -> str:
        """The problem without its question."""
        told = (START.format(name=self.name, n=self.start, things=self.things), *self.tell_steps())
        return " ".join(told)

    def tell_steps(self) -> tuple[str, ...]:
        """One sentence for each step."""
        return tuple(step.phrase.format(name=self.name, n=step.number) for step in self.steps)

    def tell_question(self) -> str:
        """The whole problem, as a student is asked it."""
        return f"{self.tell_story()} {ASK.format(things=self.things)}"


def calculate(count: int, operator: Operator, number: int) -> int:
    """Apply one step."""
    if operator == "+":
        return count + number
    return count - number if operator == "-" else count * number


def write_equations(problem: Problem) -> tuple[str, ...]:
    """The chain of a problem, one equation a step: `("5+5=10", "10-2=8")`."""
    counts = problem.counts
    return tuple(
        f"{before}{step.operator}{step.number}={after}"
        for before, step, after in zip(counts, problem.steps, counts[1:], strict=False)
    )


def _pattern_of(phrase: str) -> str:
    names = "|".join(NAMES)
    pattern = (
        re.escape(phrase).replace(r"\{n\}", r"(?P<n>\d+)").replace(r"\{friend\}", f"(?P<friend>{names})")
    )
    return pattern.replace(r"\{name\}", f"(?P<name>{names})").replace(
        r"\{things\}", f"(?P<things>{'|'.join(THINGS)})"
    )


_STEP_PATTERNS: tuple[tuple[Operator, str, re.Pattern[str]], ...] = tuple(
    (operator, phrase, re.compile(_pattern_of(phrase)))
    for operator, phrases in PHRASES.items()
    for phrase in phrases
)
_START_PATTERN = re.compile(_pattern_of(START))


def parse_problem(text: str) -> Problem | None:
    """Read a problem back from its wording; None where the text is not one of this module's problems."""
    start = _START_PATTERN.match(text)
    if start is None:
        return None
    steps: list[Step] = []
    rest = text[start.end() :].strip()
    while rest and rest != ASK.format(things=start["things"]):
        for operator, phrase, pattern in _STEP_PATTERNS:
            found = pattern.match(rest)
            if found:
                told = phrase.replace("{friend}", found.groupdict().get("friend") or "")
                steps.append(Step(operator, int(found["n"]), told))
                rest = rest[found.end() :].strip()
                break
        else:
            return None
    return Problem(start["name"], start["things"], int(start["n"]), tuple(steps)) if steps and rest else None


def _draw_problem(rng: random.Random) -> Problem:
    name, friend = rng.sample(NAMES, 2)
    steps: list[Step] = []
    start = count = rng.randint(2, 12)
    for _ in range(rng.choice((2, 3, 3))):
        # No count below 2: then taking one away more or less, as a counterfactual does, always leaves some.
        operators: list[Operator] = ["+"] * 4
        if count > 4:
            operators += ["-"] * 4
        if count <= 20 and all(step.operator != "*" for step in steps):
            operators += ["*"] * 2
        operator = rng.choice(operators)
        number = (
            rng.randint(2, 3)
            if operator == "*"
            else rng.randint(2, 6 if operator == "+" else min(6, count - 2))
        )
        phrase = rng.choice(PHRASES[operator]).replace("{friend}", friend)
        steps.append(Step(operator, number, phrase))
        count = calculate(count, operator, number)
    return Problem(name, rng.choice(THINGS), start, tuple(steps))


def _draw_new_problems(rng: random.Random) -> Iterator[Problem]:
    """Problems no two of which share a signature or a wording; ends with ValueError when new ones run out."""
    seen: set[object] = set()
    tries = 0
    while tries < 10_000:
        problem = _draw_problem(rng)
        tries += 1
        if max(problem.counts) > LARGEST or problem.signature in seen or problem.tell_question() in seen:
            continue
        seen |= {problem.signature, problem.tell_question()}
        tries = 0
        yield problem
    raise ValueError("word-problems: there are not so many different problems; ask for fewer rows.")


def _write_solution(problem: Problem, careful: bool) -> str:
    if careful:
        return " ".join(write_equations(problem)) + "."
    return f"Use {', '.join(f'{step.operator}{step.number}' for step in problem.steps)}."


def list_parts(problem: Problem) -> tuple[Problem, ...]:
    """The story told up to each of its steps; the problem itself is the last part."""
    return tuple(
        problem._replace(steps=problem.steps[:length]) for length in range(1, len(problem.steps) + 1)
    )


def _write_part(rng: random.Random, problem: Problem, careful: bool) -> dict[str, Any]:
    """The story up to an earlier step, as a question of its own."""
    part = rng.choice(list_parts(problem)[:-1])
    return {
        "part": part.tell_question(),
        "part_solution": _write_solution(part, careful),
        "part_answer": part.answer,
    }


def _write_facts(rng: random.Random, count: int = 6) -> str:
    """True equations of the kind that occurs in the chains, packed into one text."""
    facts = []
    for _ in range(count):
        operator: Operator = rng.choice(("+", "+", "-", "-", "*"))
        left = rng.randint(2, 10) if operator == "*" else rng.randint(2, LARGEST - 6)
        right = rng.randint(2, 3) if operator == "*" else rng.randint(2, min(6, left))
        facts.append(f"{left}{operator}{right}={calculate(left, operator, right)}")
    return " ".join(facts)


def generate_splits(
    train: int = 600, test: int = 400, practice: int = 3000, seed: int = 0, sketchy: float = 0.55
) -> dict[str, list[dict[str, Any]]]:
    """Rows for the entry point `word-problems` of the group `exgrpo.sources`.

    Args:
        train: Rows of the split `train`, the ones that get probes.
        test: Held-out rows.
        practice: Rows of the split `practice`, for teaching a student its base ability.
        seed: Fixes every row. `test` is drawn first, so it stays the same when the other sizes change.
        sketchy: Share of the solutions that skip results, 0..1; the rest are careful.

    Returns:
        Split name -> rows {question, solution, answer, persona, facts, part, part_solution, part_answer}. `facts` are a
        few true equations; `part` asks for the count before the end of the same story.

    Raises:
        ValueError: A size is negative, `sketchy` is no share, or more rows are asked for than can differ.
    """
    if min(train, test, practice) < 0 or not 0 <= sketchy <= 1:
        raise ValueError("word-problems: sizes must not be negative, and sketchy is a share from 0 to 1.")
    if train + test + practice > MOST_ROWS:
        raise ValueError(f"word-problems: at most {MOST_ROWS} rows in all; ask for fewer rows.")
    rng = random.Random(f"word-problems {seed}")
    problems = _draw_new_problems(rng)
    held_out: set[object] = set()
    splits: dict[str, list[dict[str, Any]]] = {}
    for split, size in (("test", test), ("practice", practice), ("train", train)):
        rows = splits[split] = []
        while len(rows) < size:
            problem = next(problems)
            if split == "test":
                held_out.add(problem.family)
            elif any(part.family in held_out for part in list_parts(problem)):
                continue
            careful = rng.random() >= sketchy
            rows.append(
                {
                    "question": problem.tell_question(),
                    "solution": _write_solution(problem, careful),
                    "answer": problem.answer,
                    "persona": "careful" if careful else "sketchy",
                    "facts": _write_facts(rng),
                    **_write_part(rng, problem, careful),
                }
            )
    return splits
