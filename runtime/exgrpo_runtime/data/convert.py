"""Values to field types: strict, so that a row means what its spec says or is left out with a reason.

Text that wholly is a number converts to `number` and `int`, and `true`/`false` to `bool`, since CSV has no
other way to say them. Nothing else changes its kind: a number never becomes text, and null is never a value.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from exgrpo_artifact.manifest import FieldType

_NUMBER = re.compile(
    r"[+-]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:(?<=\d)\.?|\.(?=\d))\d*(?:[eE][+-]?\d{1,3})?", re.ASCII
)
_MAX_DIGITS = 300
"""Longer numerals overflow a float; nobody counts that far."""
_LARGEST = 10**300
_EXACT_INTEGERS = 2**53
"""Beyond this a float no longer tells neighbouring integers apart."""


@dataclass(frozen=True, slots=True)
class Misfit:
    """Why a value does not convert."""

    reason: str
    """Kebab-case id."""
    detail: str


def convert_value(value: Any, field_type: FieldType) -> Any:
    """The value as the type has it, or a Misfit.

    Whole numbers come back as `int` whatever they were written as, so a template prints 72 and never 72.0.

    >>> convert_value("1,200", FieldType(kind="number"))
    1200
    >>> convert_value(3, FieldType(kind="text")).reason
    'not-a-text'
    """
    if value is None:
        return Misfit("missing-value", "it is null")
    converter = _CONVERTERS[field_type.kind]
    return converter(value, field_type)


_SURROGATE = re.compile("[\ud800-\udfff]")


def show_value(value: Any) -> str:
    """The value as a message shows it: short, on one line."""
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."


def _convert_text(value: Any, _: FieldType) -> Any:
    if not isinstance(value, str):
        return Misfit("not-a-text", f"{show_value(value)} is not text")
    if not value.isascii() and _SURROGATE.search(value):
        return Misfit("not-unicode", "it holds half a surrogate pair")
    return value


def _convert_number(value: Any, _: FieldType) -> Any:
    if isinstance(value, bool):
        return Misfit("not-a-number", f"{value} is a truth value")
    if isinstance(value, Decimal):
        value = float(value)
    if isinstance(value, str):
        text = value.strip()
        if not text or len(text) > _MAX_DIGITS or not _NUMBER.fullmatch(text):
            return Misfit("not-a-number", f"{show_value(value)} is not a number")
        plain = text.replace(",", "")
        value = int(plain) if plain.lstrip("+-").isdigit() else float(plain)
    if isinstance(value, float):
        if not math.isfinite(value):
            return Misfit("not-finite", f"{value} is not a finite number")
        return int(value) if value.is_integer() and abs(value) <= _EXACT_INTEGERS else value
    if isinstance(value, int):
        # Arithmetic on rewards is in floats, which such an integer would overflow.
        return value if abs(value) < _LARGEST else Misfit("not-finite", "it is too large for arithmetic")
    return Misfit("not-a-number", f"{show_value(value)} is not a number")


def _convert_int(value: Any, field_type: FieldType) -> Any:
    number = _convert_number(value, field_type)
    if isinstance(number, float):
        return Misfit("not-an-int", f"{show_value(value)} is not a whole number")
    return number


def _convert_bool(value: Any, _: FieldType) -> Any:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    return Misfit("not-a-bool", f"{show_value(value)} is neither true nor false")


def _convert_choice(value: Any, field_type: FieldType) -> Any:
    if isinstance(value, str) and value in field_type.options:
        return value
    options = ", ".join(field_type.options)
    return Misfit("not-an-option", f"{show_value(value)} is none of {options}")


def _convert_list(value: Any, field_type: FieldType) -> Any:
    if not isinstance(value, (list, tuple)):
        return Misfit("not-a-list", f"{show_value(value)} is not a list")
    element = field_type.element or FieldType(kind="any")
    items = [convert_value(item, element) for item in value]
    for position, item in enumerate(items):
        if isinstance(item, Misfit):
            return Misfit(item.reason, f"element {position}: {item.detail}")
    return items


def _convert_record(value: Any, field_type: FieldType) -> Any:
    """Each declared field; what else the record holds is left out, as columns of the row are that no field names."""
    if not isinstance(value, dict):
        return Misfit("not-a-record", f"{show_value(value)} is not a record")
    fields: dict[str, Any] = {}
    for field in field_type.fields:
        name = field.name
        item = convert_value(value.get(name), field.type)
        if isinstance(item, Misfit):
            detail = "it is null" if name in value else "it is not there"
            return Misfit(item.reason, f"`{name}`: {detail if value.get(name) is None else item.detail}")
        fields[name] = item
    return fields


def _convert_any(value: Any, field_type: FieldType) -> Any:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _convert_text(value, field_type)
    if isinstance(value, (int, float, Decimal)):
        return _convert_number(value, field_type)
    if isinstance(value, (list, tuple)):
        return _convert_list(value, FieldType(kind="list"))
    if isinstance(value, dict):
        fields = {str(name): convert_value(item, field_type) for name, item in value.items()}
        for name, item in fields.items():
            if isinstance(item, Misfit):
                return Misfit(item.reason, f"`{name}`: {item.detail}")
        return fields
    return Misfit("not-plain", f"{show_value(value)} is neither text, number, truth value, list nor record")


_CONVERTERS = {
    "text": _convert_text,
    "number": _convert_number,
    "int": _convert_int,
    "bool": _convert_bool,
    "choice": _convert_choice,
    "list": _convert_list,
    "record": _convert_record,
    "any": _convert_any,
}
