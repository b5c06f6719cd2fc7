"""What all calls to one model come to: tokens, dollars against its budget, and time against its limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from exgrpo_artifact.manifest import Model
from exgrpo_runtime.planning.calls import Calls, describe_range
from exgrpo_runtime.planning.held import ModelPast
from exgrpo_runtime.planning.prices import Priced
from exgrpo_runtime.planning.ranges import NOTHING, Range, add_up, exactly

MILLION = 1_000_000

Verdict = Literal["none", "held", "worst", "expected"]
"""`none`: no budget. Which end of the range exceeds it, if one does; an unknown worst counts as one that does."""


@dataclass(frozen=True, slots=True)
class Bill:
    """One model's part of a plan."""

    model: Model
    sent: Range
    prompt_tokens: Range
    completion_tokens: Range
    priced: Priced | None
    usd: Range | None
    """What is still to be paid; None where something is sent and the price is unknown."""
    spent_usd: float | None
    """What the store's replies of this model cost; None where the price is unknown."""
    seconds: Range | None
    """At the limits of the spec and the latency of stored replies; None where neither says anything."""
    is_timed: bool
    """Whether the latency is known; else `seconds` is what the limits alone take at least."""

    @property
    def verdict(self) -> Verdict:
        """How the model's budget stands to what was spent and will be; a cost that is unknown exceeds nothing."""
        budget = self.model.budget_usd
        if budget is None or self.usd is None or self.spent_usd is None:
            return "none"
        if self.spent_usd + self.usd.expected > budget:
            return "expected"
        if self.usd.worst is None or self.spent_usd + self.usd.worst > budget:
            return "worst"
        return "held"

    def to_json(self) -> dict[str, Any]:
        """The figures; null is unknown."""
        price = None
        if self.priced is not None:
            price = {
                "input": self.priced.price.input,
                "output": self.priced.price.output,
                "from": self.priced.source,
            }
        return {
            "model": self.model.name,
            "kind": self.model.kind,
            "id": self.model.id,
            "sent": describe_range(self.sent),
            "prompt_tokens": describe_range(self.prompt_tokens),
            "completion_tokens": describe_range(self.completion_tokens),
            "price": price,
            "usd": None if self.usd is None else describe_range(self.usd),
            "spent_usd": None if self.spent_usd is None else round(self.spent_usd, 6),
            "budget_usd": self.model.budget_usd,
            "budget_exceeded_by": self.verdict if self.verdict in ("worst", "expected") else None,
            "seconds": None if self.seconds is None else describe_range(self.seconds),
            "is_timed": self.is_timed,
        }


def make_bill(model: Model, calls: Sequence[Calls], priced: Priced | None, past: ModelPast) -> Bill:
    """The bill of all calls to a model.

    Args:
        model: who is asked.
        calls: to it alone.
        priced: its price; None: unknown.
        past: what the store says of it.
    """
    sent = add_up(one.sent for one in calls)
    prompt = add_up(one.prompt_tokens for one in calls)
    completion = add_up(one.completion_tokens for one in calls)
    # What asks for nothing costs nothing, at whatever price.
    usd = NOTHING if sent == NOTHING else None
    spent = None
    if priced is not None:
        price = priced.price
        usd = prompt.times(exactly(price.input / MILLION)).plus(
            completion.times(exactly(price.output / MILLION))
        )
        uncosted = past.uncosted_prompt_tokens * price.input + past.uncosted_completion_tokens * price.output
        spent = past.cost_usd + uncosted / MILLION
    seconds = _estimate_seconds(model, sent, prompt.plus(completion), past.latency_s)
    return Bill(
        model, sent, prompt, completion, priced, usd, spent, seconds, is_timed=past.latency_s is not None
    )


def _estimate_seconds(model: Model, sent: Range, tokens: Range, latency_s: float | None) -> Range | None:
    """The slowest of: requests per minute, tokens per minute, and stored replies' latency at the spec's concurrency.

    Departure: adaptive concurrency is taken to stand where the spec puts it, on each of the model's endpoints.
    """
    rates: list[Range] = []
    limits = model.limits
    if limits.requests is not None:
        rates.append(sent.times(exactly(60 / limits.requests)))
    if limits.tokens is not None:
        rates.append(tokens.times(exactly(60 / limits.tokens)))
    if latency_s is not None:
        at_once = limits.concurrency * (1 + len(model.more_urls))
        rates.append(sent.times(exactly(latency_s / at_once)))
    if not rates:
        return None
    worsts = [each.worst for each in rates]
    known = [worst for worst in worsts if worst is not None]
    return Range(
        max(each.low for each in rates),
        max(each.expected for each in rates),
        max(known) if len(known) == len(worsts) else None,
    )
