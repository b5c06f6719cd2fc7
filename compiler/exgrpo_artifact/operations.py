"""What each operation of a graph computes on plain values, with three-valued logic.

Invariant: total and pure. A failed argument makes the result failed, else a not-applicable one makes it
not-applicable; a result that is NaN or infinite is failed. The exceptions are those that make a gap irrelevant:
`if` and `default` take only the branch they need, `and` and `or` are decided by one known argument.
"""

from __future__ import annotations

import json
import math
import operator
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from exgrpo_artifact.answers import answer_matches, extract_answer
from exgrpo_artifact.errors import ArtifactError
from exgrpo_artifact.graph import Node
from exgrpo_artifact.manifest import AnswerSpec
from exgrpo_artifact.text_functions import FIELD_FUNCTIONS
from exgrpo_artifact.values import NOT_APPLICABLE, Failed, Value, clean_value, describe_value, find_gap

__all__ = [
    "EXTERNAL_FUNCTIONS",
    "FIELD_FUNCTIONS",
    "FUNCTIONS",
    "aggregate_list",
    "aggregate_values",
    "apply_operation",
    "draw_bernoulli",
    "draw_uniform",
    "is_external",
]

EXTERNAL_FUNCTIONS: Final = frozenset({"agrees", "solved", "judge.score", "judge.same"})
"""Calls whose value a model gives; the evaluator is told it from outside."""

Number = int | float


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
    function = _EAGER.get(op)
    if function is None:
        raise ArtifactError(
            f"the artifact uses the operation `{op}`, which this exgrpo does not know. Upgrade it."
        )
    return _guard(op, function, values)


def aggregate_values(fn: str, values: Sequence[Value]) -> Value:
    """`mean max min count any all` of the members of a set.

    A failed member makes the result failed. Not-applicable members do not belong to the set. Nothing is left of an
    empty set but its count, 0; the rest are not-applicable.
    """
    gap = find_gap(list(values))
    if isinstance(gap, Failed):
        return gap
    members = [value for value in values if value is not NOT_APPLICABLE and value is not None]
    if fn == "count":
        return len(members)
    if not members:
        return NOT_APPLICABLE
    if fn in ("any", "all"):
        truths = [_read_truth(member) for member in members]
        failed = next((truth for truth in truths if isinstance(truth, Failed)), None)
        return failed or (any(truths) if fn == "any" else all(truths))
    if fn not in ("mean", "max", "min"):
        raise ArtifactError(
            f"the artifact uses the aggregate `{fn}`, which this exgrpo does not know. Upgrade it."
        )
    for member in members:
        if not isinstance(member, int | float):
            return Failed(f"`{fn}` needs numbers, and one is {describe_value(member)}")
    return _guard(fn, _AGGREGATES[fn], [members])


def aggregate_list(fn: str, args: Sequence[Value]) -> Value:
    """An aggregate over the items of one list."""
    items = args[0]
    if isinstance(items, Failed) or items is NOT_APPLICABLE:
        return items
    if not isinstance(items, list | tuple):
        return Failed(f"`{fn}` goes over a list, and this is {describe_value(items)}")
    return aggregate_values(fn, [clean_value(item) for item in items])


def draw_bernoulli(p: Value, seed: str) -> Value:
    """1 with probability `p`, else 0; the same for the same seed on every machine."""
    p = clean_value(p)
    gap = find_gap([p])
    if gap is not None:
        return gap
    if not isinstance(p, int | float) or not 0 <= p <= 1:
        return Failed(f"`bernoulli` needs a probability from 0 to 1, and this is {describe_value(p)}")
    return int(random.Random(seed).random() < p)


def draw_uniform(low: Value, high: Value, rng: random.Random) -> Value:
    """A whole number from `low` to `high`, ends included, each as likely; `low` where `high` is below it.

    So `uniform(1, k - 1)` asks for one probe where one is at hand.
    """
    gap = find_gap([clean_value(low), clean_value(high)])
    if gap is not None:
        return gap
    ends = [end for end in (low, high) if isinstance(end, int | float) and float(end).is_integer()]
    if len(ends) < 2:
        return Failed("`uniform` needs whole numbers")
    first, last = map(int, ends)
    return rng.randint(first, max(first, last))


# --- logic ------------------------------------------------------------------------------------------------


def _read_truth(value: Value) -> bool | Failed:
    if isinstance(value, int | float):
        return value != 0
    return Failed(f"a condition is true or false, and this is {describe_value(value)}")


def _choose(values: Sequence[Value]) -> Value:
    condition, then, otherwise = values
    if isinstance(condition, Failed):
        return condition
    # A condition that is not applicable is not met.
    truth = False if condition is NOT_APPLICABLE else _read_truth(condition)
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
        truth = _read_truth(value)
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


# --- arithmetic -------------------------------------------------------------------------------------------


def _guard(name: str, function: Callable[..., Any], values: Sequence[Value]) -> Value:
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


def _numeric(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def apply(*values: Value) -> Any:
        for value in values:
            if not isinstance(value, int | float):
                return Failed(f"`{name}` needs a number, and this is {describe_value(value)}")
        return function(*values)

    return apply


def _add(left: Value, right: Value) -> Value:
    if isinstance(left, str) and isinstance(right, str):
        return left + right
    return _numeric("+", operator.add)(left, right)  # type: ignore[no-any-return]


def _is_equal(left: Value, right: Value) -> bool:
    # A text never equals a number: "1" == 1 is a mistake that the compiler reports where it can.
    return left == right


def _is_different(left: Value, right: Value) -> bool:
    return left != right


def _negate(value: Value) -> bool | Failed:
    truth = _read_truth(value)
    return truth if isinstance(truth, Failed) else not truth


_EAGER: Final[Mapping[str, Callable[..., Any]]] = {
    "add": _add,
    "sub": _numeric("-", operator.sub),
    "mul": _numeric("*", operator.mul),
    "div": _numeric("/", operator.truediv),
    "neg": _numeric("-", operator.neg),
    "eq": _is_equal,
    "ne": _is_different,
    "lt": _numeric("<", operator.lt),
    "le": _numeric("<=", operator.le),
    "gt": _numeric(">", operator.gt),
    "ge": _numeric(">=", operator.ge),
    "not": _negate,
}


def _average(members: Sequence[Number]) -> float:
    return math.fsum(members) / len(members)


_AGGREGATES: Final[Mapping[str, Callable[..., Any]]] = {"mean": _average, "max": max, "min": min}


# --- functions --------------------------------------------------------------------------------------------


def _call(params: Mapping[str, Any], values: Sequence[Value]) -> Value:
    name = params.get("fn")
    if name in ("matches", "format"):
        spec = _read_spec(json.dumps(params["answer"], sort_keys=True))
        return _match(spec, *values) if name == "matches" else _has_format(spec, *values)
    function = FUNCTIONS.get(str(name))
    if function is None:
        raise ArtifactError(f"the artifact calls `{name}`, which this exgrpo does not know. Upgrade it.")
    return _guard(str(name), function, values)


@lru_cache(maxsize=256)
def _read_spec(text: str) -> AnswerSpec:
    return AnswerSpec.model_validate_json(text)


def _match(spec: AnswerSpec, text: Value, gold: Value) -> Value:
    if not isinstance(text, str):
        return Failed(f"`matches` reads a text, and this is {describe_value(text)}")
    if not isinstance(gold, str | int | float):
        return Failed(f"`matches` compares with one answer, and this is {describe_value(gold)}")
    return int(answer_matches(text, gold, spec))


def _has_format(spec: AnswerSpec, text: Value) -> Value:
    if not isinstance(text, str):
        return Failed(f"`format` reads a text, and this is {describe_value(text)}")
    return int(extract_answer(text, spec) is not None)


def _contains(text: Value, needle: Value) -> int | Failed:
    if not isinstance(text, str) or not isinstance(needle, str):
        wrong = needle if isinstance(text, str) else text
        return Failed(f"`contains` needs two texts, and one is {describe_value(wrong)}")
    return int(needle in text)


def _clip(x: Number, a: Number, b: Number) -> Number | Failed:
    return min(max(x, a), b) if a <= b else Failed(f"`clip` has nothing between {a} and {b}")


def _ramp(x: Number, start: Number, end: Number) -> float:
    """0 at `start`, 1 at `end`, linear between, clamped; `end` may lie below `start`."""
    return min(max((x - start) / (end - start), 0.0), 1.0)


FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    **FIELD_FUNCTIONS,
    "contains": _contains,
    "clip": _numeric("clip", _clip),
    "ramp": _numeric("ramp", _ramp),
    "abs": _numeric("abs", abs),
    "min": _numeric("min", min),
    "max": _numeric("max", max),
    "mod": _numeric("mod", operator.mod),
}
"""Functions of `call` nodes on plain values. `matches` and `format` also need their static params, `bernoulli` and
`uniform` a generator, and EXTERNAL_FUNCTIONS a model: those are not here."""
