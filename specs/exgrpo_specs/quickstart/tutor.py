"""The teacher of the embedded default: rule-based, offline, seeded, and honest about its mistakes.

It is no language model. It sees the rendered prompt only, as any teacher does, and does one of two things:

* A prompt that names a rule (`Rule "why": …`) and a question (`Question: …`) asks for a probe. The tutor
  reads the problem back from its wording, explains it by that rule (`explanations.py`) and replies with the
  JSON object {question, rationale, answer}.
* Any other prompt that ends in a problem asks for its answer. The tutor works through it, and where an
  equation stated earlier in the prompt tells the result of a step, it believes that equation.

The second is what Eq. 1 of the paper does with a probe. At `slip_rate` the tutor gets one step of a problem's
chain wrong and carries the mistake on; asked the question again with that working before it, it arrives at a
wrong answer, so Eq. 1 rejects exactly the probes that slipped (`tests/specs/test_tutor.py`). At
`malformed_rate` its reply is cut off and no JSON, and is cut off again when it is sent back.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Mapping, Sequence

from exgrpo_specs.quickstart.explanations import EXPLAINERS, Chain, Explanation
from exgrpo_specs.quickstart.problems import Problem, calculate, parse_problem

_RULE = re.compile(r'^[ \t]*Rule "(\w+)":', re.MULTILINE)
_QUESTION = re.compile(r"^[ \t]*Question:[ \t]*(.+?)[ \t]*$", re.MULTILINE)
_EQUATION = re.compile(r"(\d+)([+*-])(\d+)=(-?\d+)")
LOST = "I can't read that as a word problem that I know."
"""The reply to a prompt that holds no problem of `problems.py`."""


class WordProblemTutor:
    """Entry point `word-problem-tutor` of the group `exgrpo.teachers`.

    Args:
        slip_rate: Share of the (question, rule) pairs whose explanation has a wrong step, 0..1.
        malformed_rate: Share of the (question, rule, sample) triples whose reply is cut off, 0..1.
        seed: Fixes which ones.

    Raises:
        ValueError: A rate is not a share from 0 to 1.
    """

    def __init__(self, slip_rate: float = 0.0, malformed_rate: float = 0.0, seed: int = 0) -> None:
        if not (0 <= slip_rate <= 1 and 0 <= malformed_rate <= 1):
            raise ValueError("word-problem-tutor: slip_rate and malformed_rate are shares from 0 to 1.")
        self.slip_rate = slip_rate
        self.malformed_rate = malformed_rate
        self.seed = seed

    def reply(self, messages: Sequence[Mapping[str, str]], sample: int = 0) -> str:
        """Answer a chat.

        Args:
            messages: Chat messages with `role` and `content`; the last one is the prompt, or asks to mend the reply to one.
            sample: Which of several replies to the same prompt; only a malformed reply depends on it.
        """
        prompt = _find_prompt(messages)
        rule, question = _RULE.search(prompt), _QUESTION.search(prompt)
        if rule is None or question is None:
            return answer_in_context(prompt)
        problem = parse_problem(question[1])
        if problem is None or rule[1] not in EXPLAINERS:
            return LOST
        explanation = self.explain(problem, rule[1])
        text = json.dumps(
            {
                "question": explanation.question,
                "rationale": explanation.rationale,
                "answer": str(explanation.answer),
            }
        )
        return text[: len(text) // 2] if self.is_malformed(question[1], rule[1], sample) else text

    def explain(self, problem: Problem, rule: str) -> Explanation:
        """Explain a problem by a rule, with a wrong step where this pair slips.

        Raises:
            KeyError: The tutor does not know the rule.
        """
        question = problem.tell_question()
        sound = EXPLAINERS[rule](Chain(problem, problem.counts))
        if not self.is_slip(question, rule):
            return sound
        rng = self._toss("where", question, rule)
        wrong = [EXPLAINERS[rule](Chain(problem, counts)) for counts in _list_slipped_counts(problem)]
        derailing = [one for one in wrong if one.answer > 0 and _derails(one, problem)]
        return rng.choice(derailing)

    def is_slip(self, question: str, rule: str) -> bool:
        """Whether the explanation of this question by this rule holds a wrong step."""
        return self._toss("slip", question, rule).random() < self.slip_rate

    def is_malformed(self, question: str, rule: str, sample: int = 0) -> bool:
        """Whether this reply is cut off in the middle."""
        return self._toss("malformed", question, rule, sample).random() < self.malformed_rate

    def _toss(self, *of: object) -> random.Random:
        # A text seed is hashed with SHA-512 by `random`, so the draw is the same in every process.
        return random.Random(repr((self.seed, *of)))


def _find_prompt(messages: Sequence[Mapping[str, str]]) -> str:
    """The latest message of the user that asks for a probe, else the last one."""
    asked = [message["content"] for message in messages if message["role"] == "user"]
    return next((text for text in reversed(asked) if _RULE.search(text)), messages[-1]["content"])


def answer_in_context(prompt: str) -> str:
    """Solve the problem that a prompt ends in, believing the equations stated before it."""
    working, _, question = prompt.rstrip().rpartition("\n\n")
    problem = parse_problem(question.strip())
    if problem is None:
        return LOST
    stated = {(int(a), sign, int(b)): int(c) for a, sign, b, c in _EQUATION.findall(working)}
    count, written = problem.start, []
    for step in problem.steps:
        believed = stated.get((count, step.operator, step.number))
        result = calculate(count, step.operator, step.number) if believed is None else believed
        written.append(f"{count}{step.operator}{step.number}={result}")
        count = result
    return f"{' '.join(written)}. The answer is {count}."


def _derails(explanation: Explanation, problem: Problem) -> bool:
    shown = (explanation.question, explanation.rationale, str(explanation.answer), problem.tell_question())
    return not answer_in_context("\n\n".join(shown)).endswith(f" {problem.answer}.")


def _list_slipped_counts(problem: Problem) -> Iterator[tuple[int, ...]]:
    """Counts with one step off by one or two and the rest worked out from there; all of them positive."""
    for wrong_step in range(len(problem.steps)):
        for error in (-2, -1, 1, 2):
            counts = [problem.start]
            for i, step in enumerate(problem.steps):
                slip = error if i == wrong_step else 0
                counts.append(calculate(counts[-1], step.operator, step.number) + slip)
            if min(counts) > 0:
                yield tuple(counts)
