"""The one repair turn: a reply that is not of the form asked for is sent back once, with what is wrong with it.

The repair is a request of its own, so it is stored, paid and resumed like any other; a reply that is malformed after it is rejected.
"""

from __future__ import annotations

from dataclasses import replace

from exgrpo_runtime.teachers.teacher import Message, Request

MOST_SHOWN = 8_000
"""Characters of the malformed reply that the teacher is shown again: a runaway reply is not paid for twice."""


def build_repair(request: Request, reply: str, problem: str) -> Request:
    """The same conversation, the reply, and what to mend in it.

    Args:
        request: what was asked.
        reply: what came.
        problem: what is wrong with it, as a clause: "the object lacks `answer`".
    """
    shown = reply if len(reply) <= MOST_SHOWN else reply[:MOST_SHOWN] + "…"
    messages = (
        *request.messages,
        # Endpoints refuse a message without content.
        Message(role="assistant", content=shown if shown.strip() else "(no text)"),
        Message(role="user", content=word_repair(problem)),
    )
    return replace(request, messages=messages)


def word_repair(problem: str) -> str:
    """What the teacher is told.

    >>> word_repair("the object lacks `answer`").splitlines()[0]
    'That reply cannot be read: the object lacks `answer`.'
    """
    return (
        f"That reply cannot be read: {problem}.\n"
        "Reply again with exactly one JSON object, in the form that was asked for, and nothing before or after it."
    )
