"""The teacher of a new spec: no model, only templates around the row's own question and worked solution.

It lets a new spec run offline from end to end, so that its data, dialogues and rewards are seen at work before anything is paid
for. It knows nothing: a probe of it asks for the first step of the worked solution, in the words of the rule, and its rationale
is that step. A student learns from it what the rows say and no more.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

_LABELS = re.compile(r'^[ \t]*(?:(Question|Worked solution|Correct answer):|Rule "(\w+)":)', re.MULTILINE)
_STEP = re.compile(r".+?[.!?](?=\s|$)", re.DOTALL)

_ASKS = {
    "why": "Why is the first step towards the answer the right one to begin with?",
    "cause_effect": "What follows directly from what is given first?",
    "process": "Which steps lead to the answer? Give the first of them.",
    "counterfactual": "If nothing were changed, what would the first step be?",
    "contrast": "What tells the first step from one that only looks right?",
    "hypothesis": "Someone says that the first step is easy to see. What is it?",
    "challenge": "Check the first step: what should it come to?",
    "decompose": "Which smaller question comes first, and what is its answer?",
    "assumption": "What does the first step rely on, and what does it say?",
    "reversal": "Which step would be the last one on the way back?",
}
_OTHER = "What is the first step towards the answer?"
LOST = "The prompt names no question, worked solution and rule."
"""The reply to a prompt of another form."""


class WorkedExampleTutor:
    """Entry point `worked-example-tutor` of the group `exgrpo.teachers`."""

    concurrent = True

    def reply(self, messages: Sequence[Mapping[str, str]], sample: int = 0) -> str:
        """The probe as a JSON object {question, rationale, answer}, the same for every `sample`.

        Args:
            messages: Chat messages; the last prompt of the user holds lines `Question:`, `Worked solution:` and `Rule "NAME":`.
            sample: Which of several replies to the same prompt; all are equal.
        """
        said = [message["content"] for message in messages if message["role"] == "user"]
        parts = read_parts(next((text for text in reversed(said) if _LABELS.search(text)), ""))
        question, solution = parts.get("Question", ""), parts.get("Worked solution", "")
        if not question or not solution or "rule" not in parts:
            return LOST
        step = take_first_step(solution)
        asked = f"{question} {_ASKS.get(parts['rule'], _OTHER)}"
        return json.dumps({"question": asked, "rationale": step, "answer": step})


def read_parts(prompt: str) -> dict[str, str]:
    """The texts after the labels of a prompt, and the name of the rule as `rule`."""
    found = list(_LABELS.finditer(prompt))
    parts: dict[str, str] = {}
    for label, following in zip(found, [*found[1:], None], strict=True):
        if label[2]:
            parts["rule"] = label[2]
        else:
            end = len(prompt) if following is None else following.start()
            parts[label[1]] = prompt[label.end() : end].strip()
    return parts


def take_first_step(solution: str) -> str:
    """The first sentence of a worked solution, or all of it where it is one.

    >>> take_first_step("3 * 2.5 = 7.5 apples. Then 1 is eaten.")
    '3 * 2.5 = 7.5 apples.'
    """
    match = _STEP.match(solution.strip())
    return match[0] if match else solution.strip()
