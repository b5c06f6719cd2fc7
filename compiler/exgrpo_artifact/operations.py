"""What each operation of a graph computes on plain values, with three-valued logic.

Invariant: total and pure. A failed argument makes the result failed, else a not-applicable one makes it
not-applicable; a result that is NaN or infinite is failed. The exceptions are those that make a gap irrelevant:
`if` and `default` take only the branch they need, `and` and `or` are decided by one known argument.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from exgrpo_artifact.answers import answer_matches, extract_answer
from exgrpo_artifact.arithmetic import OPERATORS, guard_result, require_numbers
from exgrpo_artifact.errors import ArtifactError, UndecidedError
from exgrpo_artifact.graph import Node
from exgrpo_artifact.manifest import AnswerSpec, read_answer_spec
from exgrpo_artifact.text_functions import FIELD_FUNCTIONS
from exgrpo_artifact.values import (
    NOT_APPLICABLE,
    Failed,
    Value,
    clean_value,
    describe_value,
    find_gap,
    read_truth,
)

__all__ = ["EXTERNAL_FUNCTIONS", "FIELD_FUNCTIONS", "FUNCTIONS", "apply_operation", "is_external"]

EXTERNAL_FUNCTIONS: Final = frozenset(
    {"agrees", "solved", "majority", "duplicate", "similarity", "judge.score", "judge.same"}
)
"""Calls whose value a model gives; the evaluator is told it from outside."""


def is_external(node: Node) -> bool:
    """Whether a model gives the node's value."""
    return node.op == "call" and node.params.get("fn") in EXTERNAL_FUNCTIONS


def apply_operation(op: str, args: Sequence[Value], params: Mapping[str, Any]) -> Value:
    """The value of one operation.

    Args:
        op: any op of exgrpo_artifact.graph but the leaves and `aggregate`.
        args: its arguments' values in order; a lazy op ignores those that it does not need.
        params: the node's params. `call` looks its function up in FUNCTIONS by `fn`.

    Raises:
        ArtifactError: an unknown op or function, or a wrong number of arguments.
        MissingDependencyError: `matches` by `math.boxed` without math-verify.
    """
    values = [clean_value(arg) for arg in args]
    lazy = _LAZY.get(op)
    if lazy is not None:
        return lazy(values)
    gap = find_gap(values)
    if gap is not None:
        return gap
    if op == "list":
        return values
    if op == "call":
        return _call(params, values)
    if op not in OPERATORS:
        raise ArtifactError(
            f"the artifact uses the operation `{op}`, which this exgrpo does not know. Upgrade it."
        )
    symbol, function = OPERATORS[op]
    return guard_result(symbol, function, values)


# --- logic ------------------------------------------------------------------------------------------------


def _choose(values: Sequence[Value]) -> Value:
    condition, then, otherwise = values
    if isinstance(condition, Failed):
        return condition
    # A condition that is not applicable is not met.
    truth = False if condition is NOT_APPLICABLE else read_truth(condition)
    if isinstance(truth, Failed):
        return truth
    return then if truth else otherwise


def _default(values: Sequence[Value]) -> Value:
    value, otherwise = values
    return otherwise if value is NOT_APPLICABLE else value


def _decide(values: Sequence[Value], deciding: bool) -> Value:
    gaps: list[Value] = []
    for value in values:
        if isinstance(value, Failed) or value is NOT_APPLICABLE:
            gaps.append(value)
            continue
        truth = read_truth(value)
        if truth is deciding:
            return deciding
        if isinstance(truth, Failed):
            gaps.append(truth)
    gap = find_gap(gaps)
    return (not deciding) if gap is None else gap


_LAZY: Final[Mapping[str, Callable[[Sequence[Value]], Value]]] = {
    "if": _choose,
    "default": _default,
    "and": lambda values: _decide(values, False),
    "or": lambda values: _decide(values, True),
}


# --- functions --------------------------------------------------------------------------------------------


def _call(params: Mapping[str, Any], values: Sequence[Value]) -> Value:
    name = params.get("fn")
    if name in ("matches", "format"):
        spec = read_answer_spec(params["answer"])
        return _match(spec, *values) if name == "matches" else _has_format(spec, *values)
    function = FUNCTIONS.get(str(name))
    if function is None:
        raise ArtifactError(f"the artifact calls `{name}`, which this exgrpo does not know. Upgrade it.")
    return guard_result(str(name), function, values)


def _match(spec: AnswerSpec, text: Value, gold: Value) -> Value:
    if not isinstance(text, str):
        return Failed(f"`matches` reads a text, and this is {describe_value(text)}")
    if not isinstance(gold, str | int | float):
        return Failed(f"`matches` compares with one answer, and this is {describe_value(gold)}")
    try:
        return int(answer_matches(text, gold, spec))
    except UndecidedError as error:
        return Failed(str(error))


def _has_format(spec: AnswerSpec, text: Value) -> Value:
    if not isinstance(text, str):
        return Failed(f"`format` reads a text, and this is {describe_value(text)}")
    return int(extract_answer(text, spec) is not None)


def _contains(text: Value, needle: Value) -> int | Failed:
    if not isinstance(text, str) or not isinstance(needle, str):
        wrong = needle if isinstance(text, str) else text
        return Failed(f"`contains` needs two texts, and one is {describe_value(wrong)}")
    return int(needle in text)


def _clip(x: float, a: float, b: float) -> float | Failed:
    return min(max(x, a), b) if a <= b else Failed(f"`clip` has nothing between {a} and {b}")


def _ramp(x: float, start: float, end: float) -> float:
    """0 at `start`, 1 at `end`, linear between, clamped; `end` may lie below `start`."""
    return min(max((x - start) / (end - start), 0.0), 1.0)


def declassify(value: Any, reason: str = "") -> Any:
    """The value: what a student may see is settled by the compiler, and the reason is for those who read the spec."""
    return value


FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    **FIELD_FUNCTIONS,
    "declassify": declassify,
    "contains": _contains,
    "clip": require_numbers("clip", _clip),
    "ramp": require_numbers("ramp", _ramp),
    "abs": require_numbers("abs", abs),
    "min": require_numbers("min", min),
    "max": require_numbers("max", max),
    "mod": require_numbers("mod", operator.mod),
}
"""Functions of `call` nodes on plain values. `matches` and `format` also need their static params, `bernoulli` and
`uniform` a generator, and EXTERNAL_FUNCTIONS a model: those are not here."""
