"""A model's budget in US dollars: what is spent, and the most that a request can cost.

Departures from exactness: a prompt's tokens are estimated before it is sent; a reply without `max_tokens` is taken to be no longer
than twice the longest so far; an endpoint that counts no tokens is charged by the estimate. Without a `price` a budget cannot be kept;
the stage's summary says so.
"""

from __future__ import annotations

from typing import NoReturn

from exgrpo_artifact.errors import TeacherError
from exgrpo_artifact.manifest import Model
from exgrpo_runtime.teachers.teacher import Request
from exgrpo_runtime.teachers.usage import BYTES_PER_TOKEN, Usage

LIKELY_LONGEST = 1024
"""Completion tokens that are reserved for a request without `max_tokens` while few replies, or longer ones, were seen."""
ENOUGH_REPLIES = 20
"""After so many replies twice the longest of them is reserved."""
_MILLION = 1_000_000


class Budget:
    """What one model may still cost.

    Args:
        model: its declaration; without `budget_usd` and `price` everything is allowed.
        usage: what the store says was used so far, by every process and in earlier runs too.
    """

    def __init__(self, model: Model, usage: Usage) -> None:
        self._model = model
        likely = 2 * usage.longest
        self._longest = likely if usage.replies >= ENOUGH_REPLIES else max(LIKELY_LONGEST, likely)
        uncosted = self._price(usage.uncosted_prompt_tokens, usage.uncosted_completion_tokens)
        self.spent_usd = usage.cost_usd + uncosted

    @property
    def is_kept(self) -> bool:
        """Whether the model has both a budget and a price."""
        return self._model.budget_usd is not None and self._model.price is not None

    @property
    def left_usd(self) -> float:
        """What may still be reserved; infinite where no budget is kept."""
        return (self._model.budget_usd or 0.0) - self.spent_usd if self.is_kept else float("inf")

    def to_json(self) -> dict[str, object]:
        """What a summary says: the limit, what is spent (None without a price), and whether the limit is kept."""
        spent = None if self._model.price is None else round(self.spent_usd, 6)
        return {"limit_usd": self._model.budget_usd, "spent_usd": spent, "is_kept": self.is_kept}

    def estimate_most(self, request: Request) -> float:
        """The most that the request can cost; 0 where no budget is kept."""
        if not self.is_kept:
            return 0.0
        limit = request.used_sampling.max_tokens
        return self._price(_estimate_prompt(request), self._longest if limit is None else limit)

    def refuse(self, most_usd: float) -> NoReturn:
        """Stops the stage, whose next request may cost so much.

        Raises:
            TeacherError: always; the budget does not hold one more request.
        """
        raise TeacherError(
            f"the budget of model `{self._model.name}` ({self._model.budget_usd:g} usd) is used up: "
            f"{self.spent_usd:.4f} usd are spent and the next request may cost {most_usd:.4f}. "
            "Replies so far are stored: raise `budget` and go on with --resume."
        )

    def _price(self, prompt_tokens: int, completion_tokens: int) -> float:
        price = self._model.price
        if price is None:
            return 0.0
        return (prompt_tokens * price.input + completion_tokens * price.output) / _MILLION


def _estimate_prompt(request: Request) -> int:
    return sum(
        -(-len(message["content"].encode("utf-8", "replace")) // BYTES_PER_TOKEN)
        for message in request.messages
    )
