"""Requests of one purpose to one model, and what is assumed of what nobody has measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from exgrpo_artifact.manifest import Model
from exgrpo_runtime.planning.held import ReplyLengths
from exgrpo_runtime.planning.ranges import Range

MALFORMED = 0.05
"""Expected share of replies that cannot be read, each of which is asked for once more."""
SURVIVING = 0.75
"""Expected share of probes, or of rows, that a filter lets pass."""
REPLY_TOKENS: Final[Mapping[str, tuple[int, int]]] = {
    "probe": (40, 200),
    "answer": (5, 150),
    "verdict": (1, 4),
}
"""Completion tokens, least and expected, where the store has no reply to tell by: a probe of one rule, a worked answer, a judge's
number or yes."""
REPAIR_TOKENS = 60
"""What the request to mend a malformed reply adds to the prompt and the reply that it repeats."""


@dataclass(frozen=True, slots=True)
class Calls:
    """What a stage asks one model for one purpose."""

    stage: str
    what: str
    """`probes`, `repairs`, the name of a filter, or of a reward's node."""
    model: str
    planned: Range
    """Requests, each counted once."""
    held: int
    """Of them already answered in the store."""
    sent: Range
    """What goes out: without what is held; the worst has every try of every request."""
    prompt_tokens: Range
    completion_tokens: Range
    """Of all that is sent. The worst is None where the model has no `max_tokens`."""

    def to_json(self) -> dict[str, Any]:
        """The figures, each of low, expected and worst."""
        return {
            "stage": self.stage,
            "what": self.what,
            "model": self.model,
            "planned": describe_range(self.planned),
            "held": self.held,
            "sent": describe_range(self.sent),
            "prompt_tokens": describe_range(self.prompt_tokens),
            "completion_tokens": describe_range(self.completion_tokens),
        }


def count_calls(
    stage: str,
    what: str,
    model: Model,
    planned: Range,
    *,
    prompt: Range,
    completion: Range,
    held: int = 0,
) -> Calls:
    """The calls with their totals.

    Args:
        stage: who asks.
        what: what for.
        model: who is asked; its `tries` make the worst.
        planned: requests.
        prompt: tokens of the prompt of one.
        completion: tokens of the reply to one.
        held: requests that need not be sent.
    """
    once = planned.minus(held)
    tries = model.tries if model.kind == "openai" else 1
    sent = Range(once.low, once.expected, None if once.worst is None else once.worst * tries)
    return Calls(stage, what, model.name, planned, held, sent, sent.times(prompt), sent.times(completion))


def expect_reply(kind: str, model: Model, stored: ReplyLengths | None = None, share: float = 1.0) -> Range:
    """Completion tokens of one reply: by the stored ones of its kind, else by `REPLY_TOKENS`; the worst is `max_tokens`.

    Args:
        kind: a key of `REPLY_TOKENS`.
        model: who replies.
        stored: replies to requests like it.
        share: probes that one reply holds, where nothing is stored.
    """
    most = model.sampling.max_tokens
    if stored is not None and stored.num:
        low, expected = float(stored.least), stored.total / stored.num
    else:
        low, expected = (each * share for each in REPLY_TOKENS[kind])
    if most is not None:
        low, expected = min(low, most), min(expected, most)
    return Range(low, expected, most)


def describe_range(figure: Range) -> dict[str, float | None]:
    """Low, expected and worst, rounded; null is unknown."""
    return {
        name: None if value is None else round(value, 4)
        for name, value in zip(Range._fields, figure, strict=True)
    }
