"""Functions on texts and lists: field pipes, template filters, and the same names in expressions.

Each takes plain values and returns a plain value or Failed; none raises, so a row that does not fit is rejected with
the reason. All are linear in the length of the text, and deterministic.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from exgrpo_artifact.numbers import parse_number, simplify_number
from exgrpo_artifact.values import NOT_APPLICABLE, Failed, Value, clean_value, describe_value

MAX_ROUND = 15
"""Decimals beyond which rounding a float says nothing."""

_STOPS = r"[.!?\u2026]+[\"'\u2019\u201d)\]]*"


def take_before(text: Any, mark: Any) -> Value:
    """The text before the first `mark`; a failure where it has none."""
    return _split_at(text, mark, 0)


def take_after(text: Any, mark: Any) -> Value:
    """The text after the first `mark`; a failure where it has none."""
    return _split_at(text, mark, 2)


def strip_text(text: Any) -> Value:
    """The text without surrounding blanks."""
    return text.strip() if isinstance(text, str) else _refuse("strip", "a text", text)


def lower_text(text: Any) -> Value:
    """The text in lower case."""
    return text.lower() if isinstance(text, str) else _refuse("lower", "a text", text)


def count_words(text: Any) -> Value:
    """How many words, as separated by blanks."""
    return len(text.split()) if isinstance(text, str) else _refuse("words", "a text", text)


def count_sentences(text: Any) -> Value:
    """How many sentences: pieces that end in `.`, `!` or `?` before a blank or the end. "Mr. Hill" counts as two.

    >>> count_sentences("It costs 3.50 dollars. Why?")
    2
    """
    if not isinstance(text, str):
        return _refuse("sentences", "a text", text)
    count, start = 0, 0
    for match in re.finditer(_STOPS, text):
        end = match.end()
        if (end == len(text) or text[end].isspace()) and any(map(str.isalnum, text[start : match.start()])):
            count, start = count + 1, end
    return count + any(map(str.isalnum, text[start:]))


def count_lines(text: Any) -> Value:
    """How many lines; a final line end adds none."""
    if not isinstance(text, str):
        return _refuse("lines", "a text", text)
    return text.count("\n") + (not text.endswith("\n") and text != "")


def convert_number(x: Any) -> Value:
    """The number that the whole text is: an int where it is whole. Numbers stay as they are.

    >>> convert_number("1,234"), convert_number("0.50")
    (1234, 0.5)
    """
    if isinstance(x, int | float) and not isinstance(x, bool):
        return clean_value(x)
    number = parse_number(x) if isinstance(x, str) else None
    simple = None if number is None else simplify_number(number)
    return Failed(f"{describe_value(x)} is not a number") if simple is None else simple


def take_first(items: Any) -> Value:
    """The first item; not applicable where there is none."""
    if not isinstance(items, list | tuple):
        return _refuse("first", "a list", items)
    return clean_value(items[0]) if items else NOT_APPLICABLE


def take_last(items: Any) -> Value:
    """The last item; not applicable where there is none."""
    if not isinstance(items, list | tuple):
        return _refuse("last", "a list", items)
    return clean_value(items[-1]) if items else NOT_APPLICABLE


def parse_json(text: Any) -> Value:
    """What the text says as strict JSON: no NaN, no infinity."""
    if not isinstance(text, str):
        return _refuse("json", "a text", text)
    import json  # here: checking runs none of it, and is mostly imports

    try:
        return clean_value(json.loads(text, parse_constant=_refuse_constant))
    except (ValueError, RecursionError) as error:
        reason = "it nests too deeply" if isinstance(error, RecursionError) else str(error)
        return Failed(f"{describe_value(text)} is not JSON: {reason}")


def round_number(x: Any, digits: Any = 0) -> Value:
    """`x` rounded to `digits` decimals, halves away from zero, as it prints: 2.675 to two digits is 2.68.

    An int where `digits` is 0. Conditions are 0 and 1 here, as in all arithmetic.
    """
    if not isinstance(x, int | float) or isinstance(clean_value(x), Failed):
        return _refuse("round", "a number", x)
    if not isinstance(digits, int | float) or digits not in range(MAX_ROUND + 1):
        return _refuse("round", f"digits from 0 to {MAX_ROUND}", digits)
    if isinstance(x, int):
        return int(x)
    from decimal import ROUND_HALF_UP, Context, Decimal  # here: few specs round

    digits = int(digits)
    # The exponent of a float is at most 308; the default context would refuse that many digits.
    rounded = Decimal(repr(x)).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP, Context(prec=400))
    return int(rounded) if digits == 0 else float(rounded)


def shuffle_list(items: Any, seed: Any) -> Value:
    """The items in an order that depends on the seed only."""
    if not isinstance(items, list | tuple):
        return _refuse("shuffle", "a list", items)
    if isinstance(seed, bool) or not isinstance(seed, int):
        return _refuse("shuffle", "an integer seed", seed)
    # Of all that `random` has, `random()` alone is promised to stay the same in later versions of Python.
    import random

    rng = random.Random(seed)
    keys = [rng.random() for _ in items]
    return [items[place] for place in sorted(range(len(items)), key=keys.__getitem__)]


def _split_at(text: Any, mark: Any, part: int) -> Value:
    if not isinstance(text, str):
        return _refuse("after" if part else "before", "a text", text)
    if not isinstance(mark, str) or not mark:
        return _refuse("after" if part else "before", "a mark of at least one character", mark)
    pieces = text.partition(mark)
    return pieces[part] if pieces[1] else Failed(f"{describe_value(text)} does not contain {mark!r}")


def _refuse(name: str, due: str, value: Any) -> Failed:
    return Failed(f"`{name}` needs {due}, and this is {describe_value(value)}")


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


FIELD_FUNCTIONS: Final[Mapping[str, Callable[..., Value]]] = {
    "before": take_before,
    "after": take_after,
    "strip": strip_text,
    "lower": lower_text,
    "words": count_words,
    "sentences": count_sentences,
    "lines": count_lines,
    "number": convert_number,
    "first": take_first,
    "last": take_last,
    "json": parse_json,
    "round": round_number,
    "shuffle": shuffle_list,
}
"""Field pipes and template filters by name."""
