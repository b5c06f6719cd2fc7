"""The parts of the SARIF 2.1.0 schema (OASIS, errata 01) that a linter's log is made of, written out from the standard.

As in the official schema nothing else may stand in an object, except that parts which exgrpo has no use for are left out here.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple
from urllib.parse import urlsplit


class Shape(NamedTuple):
    """An object: what each key holds, and which keys there must be (of each group, one)."""

    keys: dict[str, Any]
    required: tuple[tuple[str, ...], ...] = ()


LEVELS = ("none", "note", "warning", "error")
_URI_CHARACTERS = re.compile(r"(?:[A-Za-z0-9._~:/?#@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*")

SHAPES = {
    "sarifLog": Shape({"$schema": "uri", "version": ("2.1.0",), "runs": ["run"]}, (("version",), ("runs",))),
    "run": Shape(
        {
            "tool": "tool",
            "columnKind": ("utf16CodeUnits", "unicodeCodePoints"),
            "invocations": ["invocation"],
            "results": ["result"],
        },
        (("tool",),),
    ),
    "tool": Shape({"driver": "toolComponent"}, (("driver",),)),
    "toolComponent": Shape(
        {"name": str, "version": str, "informationUri": "absolute", "rules": ["reportingDescriptor"]},
        (("name",),),
    ),
    "reportingDescriptor": Shape(
        {
            "id": str,
            "helpUri": "absolute",
            "shortDescription": "multiformatMessageString",
            "fullDescription": "multiformatMessageString",
            "help": "multiformatMessageString",
            "defaultConfiguration": "reportingConfiguration",
        },
        (("id",),),
    ),
    "multiformatMessageString": Shape({"text": str, "markdown": str}, (("text",),)),
    "reportingConfiguration": Shape({"level": LEVELS}),
    "invocation": Shape({"executionSuccessful": bool}, (("executionSuccessful",),)),
    "result": Shape(
        {
            "ruleId": str,
            "ruleIndex": 0,
            "level": LEVELS,
            "message": "message",
            "locations": ["location"],
            "relatedLocations": ["location"],
            "fixes": ["fix"],
        },
        (("message",),),
    ),
    "message": Shape({"text": str, "markdown": str, "id": str}, (("text", "id"),)),
    "location": Shape({"id": 0, "physicalLocation": "physicalLocation", "message": "message"}),
    "physicalLocation": Shape(
        {"artifactLocation": "artifactLocation", "region": "region"}, (("artifactLocation", "address"),)
    ),
    "artifactLocation": Shape({"uri": "uri", "uriBaseId": str, "index": 0}),
    "region": Shape({"startLine": 1, "startColumn": 1, "endLine": 1, "endColumn": 1}),
    "fix": Shape({"description": "message", "artifactChanges": ["artifactChange"]}, (("artifactChanges",),)),
    "artifactChange": Shape(
        {"artifactLocation": "artifactLocation", "replacements": ["replacement"]},
        (("artifactLocation",), ("replacements",)),
    ),
    "replacement": Shape(
        {"deletedRegion": "region", "insertedContent": "artifactContent"}, (("deletedRegion",),)
    ),
    "artifactContent": Shape({"text": str}),
}
NOT_EMPTY = {"artifactChanges", "replacements"}
UNIQUE = {"rules", "relatedLocations", "fixes", "artifactChanges"}


def find_violations(log: Any) -> list[str]:
    """Where a parsed log is not what the standard asks for, and the cross references that do not hold."""
    found = _check("sarifLog", log, "$")
    for run in log.get("runs", ()):
        rules = [rule["id"] for rule in run["tool"]["driver"].get("rules", ())]
        for result in run.get("results", ()):
            if rules[result["ruleIndex"]] != result["ruleId"]:
                found.append(f"rule {result['ruleIndex']} is not {result['ruleId']}")
    return found


def _check(shape: Any, value: Any, path: str) -> list[str]:
    if isinstance(shape, list):
        return _check_list(shape[0], value, path)
    if isinstance(shape, tuple):
        return [] if value in shape else [f"{path}: {value!r} is none of {shape}"]
    if isinstance(shape, type):
        return [] if isinstance(value, shape) else [f"{path}: {value!r} is no {shape.__name__}"]
    if isinstance(shape, int):
        is_right = isinstance(value, int) and not isinstance(value, bool) and value >= shape
        return [] if is_right else [f"{path}: {value!r} is no whole number from {shape} on"]
    if shape in ("uri", "absolute"):
        return _check_uri(value, path, is_absolute=shape == "absolute")
    return _check_object(SHAPES[shape], value, path)


def _check_list(shape: Any, value: Any, path: str) -> list[str]:
    if not isinstance(value, list):
        return [f"{path}: {value!r} is no array"]
    key = path.rpartition(".")[2]
    found = [f"{path} is empty"] if key in NOT_EMPTY and not value else []
    if key in UNIQUE and any(one == other for index, one in enumerate(value) for other in value[:index]):
        found.append(f"{path} holds something twice")
    return found + [
        line for index, item in enumerate(value) for line in _check(shape, item, f"{path}[{index}]")
    ]


def _check_uri(value: Any, path: str, is_absolute: bool) -> list[str]:
    if not isinstance(value, str) or not _URI_CHARACTERS.fullmatch(value):
        return [f"{path}: {value!r} is no URI reference"]
    return [] if not is_absolute or urlsplit(value).scheme else [f"{path}: {value!r} is not absolute"]


def _check_object(shape: Shape, value: Any, path: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{path}: {value!r} is no object"]
    found = [f"{path}.{key} is not in the standard" for key in value if key not in shape.keys]
    found += [f"{path} lacks {' or '.join(group)}" for group in shape.required if not set(group) & set(value)]
    for key, part in value.items():
        if key in shape.keys:
            found += _check(shape.keys[key], part, f"{path}.{key}")
    return found
