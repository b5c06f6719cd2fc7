"""Teacher replies to typed fields: one JSON object with just the yielded keys, whatever stands around it.

Code fences, a preamble and a reasoning model's `<think>` block are read over. What the object itself says is
taken strictly: a missing, unknown or repeated key, a wrong type or an empty text make the reply malformed. Where rules
are asked together, such an object stands under each rule's name in one more object, and each is read by itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from exgrpo_artifact.manifest import Yield
from exgrpo_runtime.data.convert import Misfit, convert_value

MALFORMED = "malformed-reply"
MOST_CHARACTERS = 200_000
"""A longer reply is no probe."""
_MOST_STARTS = 500
"""Braces tried as the beginning of an object; a reply with more of them is no probe either."""

_THINKING = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)


_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
"""What JSON makes of LaTeX whose backslashes were not doubled: `\\frac` begins with a form feed."""


class _RepeatedKeyError(ValueError):
    pass


Fields = dict[str, Any]


def parse_reply(text: str, yields: Sequence[Yield]) -> Fields | Misfit:
    """The fields that the reply states, in the order of `yields`, or why there are none."""
    names = [field.name for field in yields]
    value = _find_one(text, names, lambda found: set(found) == set(names))
    return value if isinstance(value, Misfit) else _convert_fields(value, yields)


def parse_replies(text: str, yields: Sequence[Yield], rules: Sequence[str]) -> dict[str, Fields | Misfit]:
    """Rule -> the fields under its name, or why there are none. What else the reply holds is left alone."""
    value = _find_one(text, rules, lambda found: any(rule in found for rule in rules))
    if isinstance(value, Misfit):
        return dict.fromkeys(rules, value)
    return {rule: _read_member(value, rule, yields) for rule in rules}


def _read_member(value: Fields, rule: str, yields: Sequence[Yield]) -> Fields | Misfit:
    names = [field.name for field in yields]
    member = value.get(rule)
    if rule not in value:
        return Misfit(MALFORMED, f"the object lacks `{rule}`")
    if not isinstance(member, dict):
        return Misfit(MALFORMED, f"what stands under `{rule}` is no object")
    if set(member) != set(names):
        return Misfit(MALFORMED, f"under `{rule}` {_describe_misses([member], names, [])}")
    fields = _convert_fields(member, yields)
    return Misfit(MALFORMED, f"under `{rule}` {fields.detail}") if isinstance(fields, Misfit) else fields


def _find_one(text: str, names: Sequence[str], fits: Callable[[Fields], bool]) -> Fields | Misfit:
    """The object of the reply that fits; several that fit are the same."""
    if len(text) > MOST_CHARACTERS:
        return Misfit(MALFORMED, f"the reply has {len(text)} characters")
    problems: list[str] = []
    try:
        objects = list(_find_objects(_THINKING.sub("", text, count=1), problems))
    except _RepeatedKeyError as error:
        return Misfit(MALFORMED, str(error))
    fitting = [value for value in objects if fits(value)]
    if not fitting:
        return Misfit(MALFORMED, _describe_misses(objects, names, problems))
    if any(value != fitting[0] for value in fitting):
        return Misfit(MALFORMED, f"the reply holds {len(fitting)} different objects; one is due")
    return fitting[0]


def _convert_fields(value: Fields, yields: Sequence[Yield]) -> Fields | Misfit:
    fields: Fields = {}
    for field in yields:
        converted = convert_value(value[field.name], field.type)
        if isinstance(converted, Misfit):
            return Misfit(MALFORMED, f"`{field.name}`: {converted.detail}")
        if isinstance(converted, str) and not converted.strip():
            return Misfit(MALFORMED, f"`{field.name}` is empty")
        if isinstance(converted, str) and _CONTROL.search(converted):
            return Misfit(MALFORMED, f"`{field.name}` holds a control character (a backslash not doubled?)")
        fields[field.name] = converted.strip() if isinstance(converted, str) else converted
    return fields


def _find_objects(text: str, problems: list[str]) -> Iterator[dict[str, Any]]:
    """The JSON objects in a text that stand in no other object, in order; what was none goes to `problems`."""
    # Teachers put raw line breaks into strings, which strict JSON forbids and nobody can misread.
    decoder = json.JSONDecoder(object_pairs_hook=_build_object, parse_constant=_refuse_constant, strict=False)
    position = text.find("{")
    for _ in range(_MOST_STARTS):
        if position < 0:
            return
        try:
            value, end = decoder.raw_decode(text, position)
            yield value
        except _RepeatedKeyError:
            raise
        except (ValueError, RecursionError) as error:
            problems.append(error.msg if isinstance(error, json.JSONDecodeError) else str(error))
            end = position + 1
        position = text.find("{", end)


def _build_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise _RepeatedKeyError(f"`{repeated}` is given twice")
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _describe_misses(objects: Sequence[dict[str, Any]], names: Sequence[str], problems: Sequence[str]) -> str:
    if not objects:
        return "the reply holds no JSON object" + (f" ({problems[0]})" if problems else "")
    given = objects[-1]
    missing = [f"`{name}`" for name in names if name not in given]
    unknown = [f"`{name}`" for name in given if name not in names]
    parts = [f"lacks {', '.join(missing)}"] if missing else []
    parts += [f"has the unknown {', '.join(unknown)[:100]}"] if unknown else []
    return f"the object {' and '.join(parts)}"
