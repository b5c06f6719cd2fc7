"""Failures of a template that are certain: what is computed of literals alone comes to the same for every row."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from exgrpo_artifact.values import Failed, NotApplicable
from exgrpo_compiler.template.findings import Finding
from exgrpo_compiler.template.nodes import Chosen, Computed, Constant, Filtered, Joined, Listed, Value

UNKNOWN: Final = object()
"""A value that depends on the row."""

_OPERATORS: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
}


def find_certain_failure(node: Computed | Filtered) -> Finding | None:
    """What goes wrong with an operation for every row, or None. Its parts are right by themselves, and of the right types."""
    if isinstance(node, Filtered):
        return _find_failed_filter(node)
    if node.sign == "/" and _fold(node.right) == 0:
        message = "This divides by zero."
        return _report(node, node.right, message, "divide by another number")
    value = _fold(node)
    if isinstance(value, float) and not math.isfinite(value):
        return _report(node, node, "This is too large for a number.", "write smaller numbers")
    return None


def _report(node: Computed, place: Value, message: str, hint: str) -> Finding:
    return Finding("invalid-value", place.start, place.end - place.start, message, hint)


def _find_failed_filter(node: Filtered) -> Finding | None:
    result = _run(node)
    if not isinstance(result, Failed | NotApplicable):
        return None
    reason = f": {result.reason}" if isinstance(result, Failed) else ""
    message = f"`{node.name}` gives no value for this{reason}."
    return Finding("invalid-value", node.at, len(node.name), message, "apply it to what has one")


def _fold(node: Value) -> Any:
    """The value of an expression of literals; None where it has none, UNKNOWN where it depends on the row."""
    match node:
        case Constant():
            return node.value
        case Listed():
            return _fold_all(node.items)
        case Joined():
            parts = _fold_all(node.items)
            return parts if parts is UNKNOWN or parts is None else "".join(map(str, parts))
        case Chosen():
            test = _fold(node.test)
            return UNKNOWN if test is UNKNOWN else _fold(node.then if test else node.otherwise)
        case Computed():
            return _compute(node)
        case Filtered():
            return _apply(node)
        case _:
            return UNKNOWN


def _fold_all(nodes: tuple[Value, ...]) -> Any:
    values = [_fold(node) for node in nodes]
    if any(value is UNKNOWN for value in values):
        return UNKNOWN
    return None if any(value is None for value in values) else values


def _compute(node: Computed) -> Any:
    operands = _fold_all((node.right,) if node.left is None else (node.left, node.right))
    if operands is UNKNOWN or operands is None:
        return operands
    if len(operands) == 1:
        return -operands[0] if node.sign == "-" else operands[0]
    try:
        return _OPERATORS[node.sign](*operands)
    except OverflowError:
        return math.inf
    except ZeroDivisionError:
        return None


def _apply(node: Filtered) -> Any:
    result = _run(node)
    return None if isinstance(result, Failed | NotApplicable) else result


def _run(node: Filtered) -> Any:
    """What the filter gives, as at run time; UNKNOWN where that depends on the row."""
    given = _fold_all((node.value, *(argument.value for argument in node.arguments if not argument.name)))
    named = {argument.name: _fold(argument.value) for argument in node.arguments if argument.name}
    if (
        given is UNKNOWN
        or given is None
        or any(value is UNKNOWN or value is None for value in named.values())
    ):
        return UNKNOWN
    from exgrpo_artifact.operations import FUNCTIONS  # here: few templates apply a filter to a literal

    return FUNCTIONS[node.name](*given, **named)
