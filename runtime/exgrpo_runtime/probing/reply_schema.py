"""The JSON Schema of a teacher's reply, for endpoints that enforce one.

It stays within what such endpoints have in common: every property is required and no other is allowed. What it cannot say (a text is
not empty, a field of any type) is told in the prompt and read by `probing.replies`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from exgrpo_artifact.manifest import FieldType, Yield

_KINDS = {"text": "string", "number": "number", "int": "integer", "bool": "boolean"}


def build_schema(yields: Sequence[Yield], rules: Sequence[str] | None = None) -> dict[str, Any]:
    """The schema of one object with the yielded fields; with `rules`, of one object with such an object under each rule's name."""
    probe = _describe_object({field.name: _describe_type(field.type) for field in yields})
    return probe if rules is None else _describe_object(dict.fromkeys(rules, probe))


def _describe_object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _describe_type(type_: FieldType) -> dict[str, Any]:
    if type_.kind == "choice":
        return {"type": "string", "enum": list(type_.options)}
    if type_.kind == "list":
        return {"type": "array", "items": _describe_type(type_.element or FieldType(kind="any"))}
    if type_.kind == "record":
        return _describe_object({field.name: _describe_type(field.type) for field in type_.fields})
    if type_.kind == "any":
        return {"type": ["string", "number", "boolean"]}
    return {"type": _KINDS[type_.kind]}
