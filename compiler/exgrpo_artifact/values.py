"""Values of expressions: a plain value, not-applicable, or failed. The last two never become numbers by themselves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import Any


class NotApplicable(Enum):
    """The question does not arise: a turn that was left out, a mean over no rollout."""

    VALUE = "not-applicable"

    def __repr__(self) -> str:
        return "NOT_APPLICABLE"


NOT_APPLICABLE = NotApplicable.VALUE


@dataclass(frozen=True, slots=True)
class Failed:
    """The value should be there and could not be had."""

    reason: str


Value = float | int | bool | str | list[Any] | dict[str, Any] | None | NotApplicable | Failed


def is_true(value: Value) -> bool:
    """Whether a known value counts as true; not-applicable and failed do not."""
    return not isinstance(value, NotApplicable | Failed) and bool(value)


def is_number(value: object) -> bool:
    """Whether the value is a finite number (truth values are 0 and 1)."""
    return isinstance(value, int | float) and math.isfinite(value)
