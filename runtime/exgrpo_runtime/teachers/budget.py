"""A model's budget in US dollars, kept by setting aside the most that each request in flight can cost.

Departures from exactness: a prompt's tokens are estimated before it is sent, and an endpoint that counts no
tokens is charged by the estimate. Without a `price` a budget cannot be kept; the stage's summary says so.
"""

from __future__ import annotations

from typing import NoReturn

from exgrpo_artifact.errors import TeacherError
from exgrpo_artifact.manifest import Model
from exgrpo_runtime.teachers.store import Usage
from exgrpo_runtime.teachers.teacher import Reply, Request

BYTES_PER_TOKEN = 3
"""Fewer than any common tokenizer needs for English, so the estimate errs on the dear side."""
_MILLION = 1_000_000


class Budget:
    """What one model may still cost.

    Args:
        model: its declaration; without `budget_usd` and `price` everything is allowed.
        usage: what was used before, in earlier runs in the same directory too.
    """

    def __init__(self, model: Model, usage: Usage) -> None:
        self._model = model
        self._reserved: dict[int, float] = {}
        self.spent_usd = self._price(usage.prompt_tokens, usage.completion_tokens)

    @property
    def is_kept(self) -> bool:
        """Whether the model has both a budget and a price."""
        return self._model.budget_usd is not None and self._model.price is not None

    def to_json(self) -> dict[str, object]:
        """What a summary says: the limit, what is spent (None without a price), and whether the limit is kept."""
        spent = None if self._model.price is None else round(self.spent_usd, 6)
        return {"limit_usd": self._model.budget_usd, "spent_usd": spent, "is_kept": self.is_kept}

    def reserve(self, request: Request) -> bool:
        """Sets aside the most that the request can cost; False where the budget does not hold it now."""
        if not self.is_kept:
            return True
        most = self._price(_estimate_prompt(request), request.used_sampling.max_tokens or 0)
        if self.spent_usd + sum(self._reserved.values()) + most > (self._model.budget_usd or 0.0):
            return False
        self._reserved[id(request)] = most
        return True

    def settle(self, request: Request, reply: Reply) -> None:
        """Charges what the reply really used."""
        if not self.is_kept:
            return
        del self._reserved[id(request)]
        prompt = reply.prompt_tokens
        completion = reply.completion_tokens
        if reply.text is not None:
            prompt = _estimate_prompt(request) if prompt is None else prompt
            completion = _estimate_tokens(reply.text) if completion is None else completion
        self.spent_usd += self._price(prompt or 0, completion or 0)

    def refuse(self) -> NoReturn:
        """Stops the stage.

        Raises:
            TeacherError: always; the budget does not hold one more request.
        """
        raise TeacherError(
            f"the budget of model `{self._model.name}` ({self._model.budget_usd:g} usd) is used up: "
            f"{self.spent_usd:.4f} usd are spent and the next request may exceed it. "
            "Replies so far are stored: raise `budget` and go on with --resume."
        )

    def _price(self, prompt_tokens: int, completion_tokens: int) -> float:
        price = self._model.price
        if price is None:
            return 0.0
        return (prompt_tokens * price.input + completion_tokens * price.output) / _MILLION


def _estimate_prompt(request: Request) -> int:
    return sum(_estimate_tokens(message["content"]) for message in request.messages)


def _estimate_tokens(text: str) -> int:
    return -(-len(text.encode("utf-8", "replace")) // BYTES_PER_TOKEN)
