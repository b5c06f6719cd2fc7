"""Structured output: by schema where an endpoint offers it, else any JSON object, else by the prompt alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from exgrpo_artifact.manifest import Model

Mode = Literal["schema", "object", "none"]

REFUSALS = (400, 422, 501)
"""Statuses by which endpoints say that they do not know a response format."""

_NEXT: Mapping[Mode, Mode] = {"schema": "object", "object": "none"}


class JsonModes:
    """What one endpoint is known to take, schema by schema.

    Invariant: a mode is given up for good only when a weaker one has succeeded with what the stronger one was refused.
    """

    def __init__(self, model: Model) -> None:
        self._setting = model.json
        self._used: dict[str, Mode] = {}
        self._proven: set[str] = set()

    def choose(self, schema: Mapping[str, Any] | None) -> Mode:
        """The mode for a request with this schema."""
        if schema is None or self._setting == "off":
            return "none"
        if self._setting != "auto":
            return self._setting
        return self._used.get(_name(schema), "schema")

    def find_weaker(self, schema: Mapping[str, Any] | None, mode: Mode, status: int) -> Mode | None:
        """What to ask for after this status; None where the refusal is about the request itself."""
        if (
            schema is None
            or self._setting != "auto"
            or status not in REFUSALS
            or _name(schema) in self._proven
        ):
            return None
        return _NEXT.get(mode)

    def prove(self, schema: Mapping[str, Any] | None, mode: Mode) -> None:
        """The endpoint took a request in this mode."""
        if schema is not None and self._setting == "auto":
            name = _name(schema)
            if name not in self._proven:
                self._proven.add(name)
                self._used[name] = mode


def build_format(schema: Mapping[str, Any] | None, mode: Mode) -> dict[str, Any]:
    """The part of a request's body that asks for JSON."""
    if mode == "object":
        return {"response_format": {"type": "json_object"}}
    if mode == "schema" and schema is not None:
        named = {"name": "reply", "strict": True, "schema": schema}
        return {"response_format": {"type": "json_schema", "json_schema": named}}
    return {}


def _name(schema: Mapping[str, Any]) -> str:
    return json.dumps(schema, sort_keys=True)
