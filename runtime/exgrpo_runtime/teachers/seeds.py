"""What the engines of local models share: the seed of a reply, and how long one is where nobody says."""

from __future__ import annotations

from typing import Final

from exgrpo_runtime.teachers.teacher import Request

DEFAULT_MAX_TOKENS: Final = 1024
"""Tokens of a reply where the spec does not say how many."""
_DIGITS = 12
"""Hexadecimal digits of a request's key that make its seed, which must fit 63 bits."""


def make_seed(request: Request) -> int:
    """The seed of a request's reply: another sample or another prompt has another one.

    The same request gives the same text again, whatever it is batched with.
    """
    return int(request.key[:_DIGITS], 16)
