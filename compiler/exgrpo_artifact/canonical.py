"""Canonical JSON and hashes: the same value gives the same bytes on every machine.

`json` and `hashlib` are imported when they are used: checking uses neither, and is mostly imports.
"""

from __future__ import annotations

from typing import Any

from exgrpo_artifact.record import Record, get_fields


def to_plain(value: Any) -> Any:
    """The value with records replaced by JSON-ready dicts (`None` fields kept)."""
    if isinstance(value, Record):
        return {name: to_plain(getattr(value, name)) for name in get_fields(type(value))}
    if isinstance(value, dict):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    return value


def dump_canonical(value: Any, *, sort_keys: bool = True) -> str:
    r"""Readable canonical JSON: sorted keys, two-space indent, LF, one final newline, no NaN.

    Without `sort_keys` the keys keep the value's own order: where that order says something, as for splits that take shares of the
    rows one after the other, it is part of the value.

    >>> dump_canonical({"b": 1, "a": [1.5]})
    '{\n  "a": [\n    1.5\n  ],\n  "b": 1\n}\n'
    """
    import json

    return (
        json.dumps(to_plain(value), sort_keys=sort_keys, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    )


def hash_text(text: str) -> str:
    """sha256 of the UTF-8 bytes, as 64 hex digits."""
    import hashlib

    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def hash_value(value: Any) -> str:
    """sha256 of the compact canonical JSON of `value`."""
    import json

    return hash_text(
        json.dumps(
            to_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        )
    )
