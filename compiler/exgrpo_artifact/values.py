"""What an expression can come to: a plain value, not-applicable, or failed.

Invariant: neither not-applicable nor failed ever turns into a number by itself. Not-applicable means that there was
nothing to compute from (a turn left out, a mean over nothing); failed means that there was and it went wrong.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import Enum
from typing import Any, Final, TypeAlias

from exgrpo_artifact.record import Record


class NotApplicable(Enum):
    """The type of NOT_APPLICABLE; an enum, so that copying and pickling keep the one instance."""

    NOT_APPLICABLE = "not-applicable"

    def __repr__(self) -> str:
        return "NOT_APPLICABLE"


NOT_APPLICABLE: Final = NotApplicable.NOT_APPLICABLE
"""There was nothing to compute from."""


class Failed(Record):
    """A value that should be there and is not."""

    reason: str
    """One clause for the user, without a final period."""


Value: TypeAlias = (
    float | int | bool | str | list[Any] | tuple[Any, ...] | dict[str, Any] | NotApplicable | Failed | None
)
"""Result of a node. `None` (null in the data) is read as not-applicable wherever a node takes it in."""


def is_known(value: Value) -> bool:
    """Whether it is a plain value: neither failed nor not-applicable nor null."""
    return value is not None and value is not NOT_APPLICABLE and not isinstance(value, Failed)


def find_gap(values: list[Value] | tuple[Value, ...]) -> Failed | NotApplicable | None:
    """What an operation on all of `values` comes to because of a gap among them; None where there is none.

    The first failure wins over any not-applicable.
    """
    gap: NotApplicable | None = None
    for value in values:
        if isinstance(value, Failed):
            return value
        if value is None or value is NOT_APPLICABLE:
            gap = NOT_APPLICABLE
    return gap


def read_path(fields: Mapping[str, Any], path: str) -> Any:
    """The value of a field, `a.b` being field b of the record a; None where there is none."""
    value: Any = fields
    for name in path.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


def clean_value(value: Any) -> Value:
    """The value as nodes take it in: null is not-applicable, NaN and infinities are failures."""
    if value is None:
        return NOT_APPLICABLE
    if isinstance(value, float) and not math.isfinite(value):
        return Failed(f"{value} is not a finite number")
    return value  # type: ignore[no-any-return]


def describe_value(value: Any) -> str:
    """The value as a message shows it: its type and at most 40 characters.

    >>> describe_value("1,2")
    "the text '1,2'"
    """
    if isinstance(value, str):
        shown = value if len(value) <= 40 else value[:37] + "..."
        return f"the text {shown!r}"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"the number {value}" if isinstance(value, float) or abs(value) < 10**40 else "a huge number"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    return "a record" if isinstance(value, dict) else f"a value of type {type(value).__name__}"


def read_truth(value: Value) -> bool | Failed:
    """Whether a known value counts as true: a number other than 0. Of a text or a list there is no truth."""
    if isinstance(value, int | float):
        return value != 0
    return Failed(f"a condition is true or false, and this is {describe_value(value)}")
