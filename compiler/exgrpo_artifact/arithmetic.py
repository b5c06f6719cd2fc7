"""Operators on plain values: arithmetic, comparison, `not`.

Invariant: none raises for any values, and none gives NaN or infinity; what cannot be computed is Failed with its reason.
"""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from exgrpo_artifact.errors import ArtifactError
from exgrpo_artifact.values import Failed, Value, describe_value, read_truth


def guard_result(name: str, function: Callable[..., Any], values: Sequence[Value]) -> Value:
    """The function's result; whatever arithmetic refuses or cannot represent is a failure with its reason."""
    try:
        result = function(*values)
    except ZeroDivisionError:
        return Failed(f"`{name}` divides by zero")
    except OverflowError:
        return Failed(f"`{name}` gives a number that is too large")
    except TypeError as error:
        raise ArtifactError(
            f"the artifact gives `{name}` {len(values)} arguments: {error}. Compile again."
        ) from error
    if isinstance(result, float) and not math.isfinite(result):
        return Failed(f"`{name}` gives {result}")
    if isinstance(result, int) and abs(result) > sys.float_info.max:
        return Failed(f"`{name}` gives a number that is too large")
    return result  # type: ignore[no-any-return]


def require_numbers(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, with Failed for arguments of which one is no number. `name` is what the reason calls it."""

    def apply(*values: Value) -> Any:
        for value in values:
            if not isinstance(value, int | float):
                return Failed(f"`{name}` needs a number, and this is {describe_value(value)}")
        return function(*values)

    return apply


def _add(left: Value, right: Value) -> Value:
    if isinstance(left, str) and isinstance(right, str):
        return left + right
    return require_numbers("+", operator.add)(left, right)  # type: ignore[no-any-return]


def _is_equal(left: Value, right: Value) -> bool:
    # A text never equals a number: "1" == 1 is a mistake that the compiler reports where it can.
    return left == right


def _is_different(left: Value, right: Value) -> bool:
    return left != right


def _negate(value: Value) -> bool | Failed:
    truth = read_truth(value)
    return truth if isinstance(truth, Failed) else not truth


OPERATORS: Final[Mapping[str, tuple[str, Callable[..., Any]]]] = {
    "add": ("+", _add),
    "sub": ("-", require_numbers("-", operator.sub)),
    "mul": ("*", require_numbers("*", operator.mul)),
    "div": ("/", require_numbers("/", operator.truediv)),
    "neg": ("-", require_numbers("-", operator.neg)),
    "eq": ("==", _is_equal),
    "ne": ("!=", _is_different),
    "lt": ("<", require_numbers("<", operator.lt)),
    "le": ("<=", require_numbers("<=", operator.le)),
    "gt": (">", require_numbers(">", operator.gt)),
    "ge": (">=", require_numbers(">=", operator.ge)),
    "not": ("not", _negate),
}
"""Op -> how it is written, and what it computes."""
