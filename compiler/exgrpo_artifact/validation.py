"""Reading records from plain values, and describing them: the one place where pydantic meets the contract.

pydantic converts what JSON cannot tell apart (a tuple from a list, 1.0 from 1) and refuses everything else, unknown keys included.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")


class MalformedError(ValueError):
    """A value does not have the shape of the record; says where and why: "at `stages.0.kind`: …"."""


def validate_plain(cls: type[T], value: Any) -> T:
    """The record that a plain value stands for.

    Raises:
        MalformedError: it is none.
    """
    record: T = _read(_adapt(cls).validate_python, value)
    return record


def validate_json(cls: type[T], text: str) -> T:
    """The record that a JSON text stands for.

    Raises:
        MalformedError: it is none.
    """
    record: T = _read(_adapt(cls).validate_json, text)
    return record


def describe_schema(cls: type) -> dict[str, Any]:
    """The JSON Schema of a record."""
    return _adapt(cls).json_schema()


def _read(read: Callable[[Any], Any], value: Any) -> Any:
    try:
        return read(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise MalformedError(f"at `{where}`: {first['msg']}") from error


@cache
def _build_adapter(cls: type) -> TypeAdapter[Any]:
    return TypeAdapter(cls)


def _adapt(cls: Any) -> TypeAdapter[Any]:
    return _build_adapter(cls)
