"""What each scalar op and function computes, three-valued: failed wins over not-applicable, which wins over values.

Aggregates, references and `if` are evaluated in exgrpo_artifact.evaluate; here is what needs no context.
"""

from __future__ import annotations

import json as json_module
import math
import random
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from exgrpo_artifact.answers import answer_matches, extract_answer, read_number
from exgrpo_artifact.manifest import AnswerSpec
from exgrpo_artifact.values import NOT_APPLICABLE, Failed, NotApplicable, Value, is_number, is_true

EXTERNAL_FUNCTIONS = frozenset({"agrees", "solved", "judge.score", "judge.same"})
"""Functions of `call` nodes that need a model; their values are given to the evaluator."""

MAX_JSON = 1_000_000
"""Longest text, in characters, that `json` reads."""


def apply_operation(op: str, args: Sequence[Value], params: Mapping[str, Any]) -> Value:
    """The value of a node whose arguments are known.

    Raises:
        ValueError: the op or function does not exist.
    """
    if op in _LOGIC:
        return _LOGIC[op](args)
    for arg in args:
        if isinstance(arg, Failed):
            return arg
    if any(arg is NOT_APPLICABLE for arg in args):
        return NOT_APPLICABLE
    if op == "list":
        return list(args)
    if op in _ARITHMETIC:
        return _check(_ARITHMETIC[op](*args))
    if op == "call":
        return _call(params, args)
    raise ValueError(f"unknown operation {op!r}")


def _call(params: Mapping[str, Any], args: Sequence[Value]) -> Value:
    name = params["fn"]
    if name in _ANSWER_FUNCTIONS:
        return _ANSWER_FUNCTIONS[name](AnswerSpec.model_validate(params["answer"]), *args)
    if name not in FUNCTIONS:
        raise ValueError(f"unknown function {name!r}")
    try:
        return _check(FUNCTIONS[name](*args))
    except TypeError:
        return Failed(f"`{name}` cannot take {', '.join(type(arg).__name__ for arg in args)}")


def _check(value: Value) -> Value:
    if isinstance(value, float) and not math.isfinite(value):
        return Failed("the result is not a finite number")
    return value


# --- logic ------------------------------------------------------------------------------------------------


def _conjoin(args: Sequence[Value]) -> Value:
    """Kleene's and: a known false decides."""
    return _connect(args, deciding=False)


def _disjoin(args: Sequence[Value]) -> Value:
    """Kleene's or: a known true decides."""
    return _connect(args, deciding=True)


def _connect(args: Sequence[Value], *, deciding: bool) -> Value:
    known = [arg for arg in args if not isinstance(arg, NotApplicable | Failed)]
    if any(bool(arg) is deciding for arg in known):
        return int(deciding)
    failed = next((arg for arg in args if isinstance(arg, Failed)), None)
    if failed is not None:
        return failed
    return int(not deciding) if len(known) == len(args) else NOT_APPLICABLE


def _choose(args: Sequence[Value]) -> Value:
    """`then if condition else otherwise`: a condition that is not-applicable is not met."""
    condition, then, otherwise = args
    if isinstance(condition, Failed):
        return condition
    return then if is_true(condition) else otherwise


def _default(args: Sequence[Value]) -> Value:
    value, otherwise = args
    return otherwise if value is NOT_APPLICABLE else value


_LOGIC: Mapping[str, Callable[[Sequence[Value]], Value]] = {
    "and": _conjoin,
    "or": _disjoin,
    "if": _choose,
    "default": _default,
}


# --- arithmetic -------------------------------------------------------------------------------------------


def _on_numbers(name: str, function: Callable[..., Any]) -> Callable[..., Value]:
    def compute(*args: Any) -> Value:
        for arg in args:
            if not is_number(arg):
                return Failed(f"`{name}` needs numbers, not {_describe(arg)}")
        try:
            result: Value = function(*args)
        except (ZeroDivisionError, OverflowError) as error:
            return Failed(f"`{name}`: {error}")
        return result

    return compute


def _describe(value: Any) -> str:
    if isinstance(value, float):
        return repr(value)
    return {str: "a text", list: "a list", dict: "a record", type(None): "null"}.get(
        type(value), type(value).__name__
    )


def _add(left: Any, right: Any) -> Value:
    if isinstance(left, str) and isinstance(right, str):
        return left + right
    return _on_numbers("+", lambda a, b: a + b)(left, right)


def _equal(left: Any, right: Any) -> int:
    if is_number(left) and is_number(right):
        return int(left == right)
    return int(type(left) is type(right) and left == right)


_ARITHMETIC: Mapping[str, Callable[..., Value]] = {
    "add": _add,
    "sub": _on_numbers("-", lambda a, b: a - b),
    "mul": _on_numbers("*", lambda a, b: a * b),
    "div": _on_numbers("/", lambda a, b: a / b),
    "neg": _on_numbers("-", lambda a: -a),
    "eq": _equal,
    "ne": lambda left, right: 1 - _equal(left, right),
    "lt": _on_numbers("<", lambda a, b: int(a < b)),
    "le": _on_numbers("<=", lambda a, b: int(a <= b)),
    "gt": _on_numbers(">", lambda a, b: int(a > b)),
    "ge": _on_numbers(">=", lambda a, b: int(a >= b)),
    "not": lambda value: int(not value),
}


# --- functions --------------------------------------------------------------------------------------------


def _on_text(name: str, function: Callable[..., Any]) -> Callable[..., Value]:
    def compute(text: Any, *rest: Any) -> Value:
        if not isinstance(text, str):
            return Failed(f"`{name}` needs a text, not {_describe(text)}")
        result: Value = function(text, *rest)
        return result

    return compute


def _before(text: str, mark: str) -> Value:
    """What stands before the first `mark`."""
    head, found, _ = text.partition(mark)
    return head if found else Failed(f"the text has no {mark!r}")


def _after(text: str, mark: str) -> Value:
    """What stands after the first `mark`."""
    _, found, tail = text.partition(mark)
    return tail if found else Failed(f"the text has no {mark!r}")


def _number(value: Any) -> Value:
    """The number that a text is, thousands separators and currency signs aside; a number stays what it is."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return Failed(f"{_describe(value)} is not a number")
    if not isinstance(value, str):
        return value
    number = read_number(value)
    if number is None:
        return Failed(f"{value.strip()[:40]!r} is not a number")
    return int(number) if number.denominator == 1 else float(number)


def _pick(name: str, place: int) -> Callable[[Any], Value]:
    def pick(items: Any) -> Value:
        if not isinstance(items, list | tuple):
            return Failed(f"`{name}` needs a list, not {_describe(items)}")
        return items[place] if items else NOT_APPLICABLE

    return pick


def _json(text: str) -> Value:
    """The value that a JSON text spells."""
    if len(text) > MAX_JSON:
        return Failed(f"the text is longer than {MAX_JSON} characters")
    try:
        value: Value = json_module.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return Failed("the text is not JSON")
    return value


def _refuse_constant(name: str) -> float:
    raise ValueError(name)


def _round(value: float, digits: int = 0) -> float:
    """Half away from zero, as people round: 2.5 -> 3."""
    scale = 10.0 ** int(digits)
    rounded = math.copysign(math.floor(abs(value) * scale + 0.5) / scale, value)
    return int(rounded) if digits <= 0 else rounded


def _shuffle(items: Any, seed: Any) -> Value:
    if not isinstance(items, list | tuple):
        return Failed(f"`shuffle` needs a list, not {_describe(items)}")
    shuffled = list(items)
    random.Random(f"shuffle {seed}").shuffle(shuffled)
    return shuffled


def _clip(x: float, low: float, high: float) -> float:
    return min(max(x, low), high)


def _ramp(x: float, start: float, end: float) -> float:
    """0 up to `start`, 1 from `end`, a straight line between; descending where end < start."""
    return _clip((x - start) / (end - start), 0.0, 1.0)


_SENTENCE_END = re.compile(r"[.!?]+(?=\s|$)")


def _count_sentences(text: str) -> int:
    stripped = text.strip()
    ends = len(_SENTENCE_END.findall(stripped))
    return ends + int(bool(stripped) and stripped[-1] not in ".!?")


FIELD_FUNCTIONS: Mapping[str, Callable[..., Value]] = {
    "before": _on_text("before", _before),
    "after": _on_text("after", _after),
    "strip": _on_text("strip", str.strip),
    "lower": _on_text("lower", str.lower),
    "words": _on_text("words", lambda text: len(text.split())),
    "sentences": _on_text("sentences", _count_sentences),
    "lines": _on_text("lines", lambda text: len(text.splitlines())),
    "number": _number,
    "first": _pick("first", 0),
    "last": _pick("last", -1),
    "json": _on_text("json", _json),
    "round": _on_numbers("round", _round),
    "shuffle": _shuffle,
}
"""Functions that field mappings and templates may pipe through. `words`, `sentences` and `lines` count."""

FUNCTIONS: Mapping[str, Callable[..., Value]] = {
    **FIELD_FUNCTIONS,
    "contains": _on_text("contains", lambda text, needle: int(needle in text)),
    "clip": _on_numbers("clip", _clip),
    "ramp": _on_numbers("ramp", _ramp),
    "abs": _on_numbers("abs", abs),
    "min": _on_numbers("min", min),
    "max": _on_numbers("max", max),
    "mod": _on_numbers("mod", lambda a, b: a % b),
}


def _matches(answer: AnswerSpec, text: Any, gold: Any) -> Value:
    """1 where the answer that the text gives is the gold one, else 0; a text without an answer is wrong."""
    if not isinstance(text, str):
        return Failed(f"`matches` needs a text, not {_describe(text)}")
    return int(answer_matches(text, gold, answer))


def _format(answer: AnswerSpec, text: Any) -> Value:
    """1 where an answer can be read from the text, else 0."""
    if not isinstance(text, str):
        return Failed(f"`format` needs a text, not {_describe(text)}")
    return int(extract_answer(text, answer) is not None)


_ANSWER_FUNCTIONS: Mapping[str, Callable[..., Value]] = {"matches": _matches, "format": _format}
