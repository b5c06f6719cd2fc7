"""Calls of a filter's condition that reach outside: about what, with which arguments, and what they came to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from exgrpo_artifact.graph import Node
from exgrpo_artifact.values import Value
from exgrpo_runtime.records import Probe, Row


class Subject(NamedTuple):
    """What a condition is about: a probe, or a row with the probes left."""

    row: Row
    probe: Probe | None
    probes: Sequence[Probe]


class Call(NamedTuple):
    """One call for one subject; its arguments are all known."""

    subject: int
    """Place of the subject."""
    node: Node
    arguments: list[Value]


class Told(NamedTuple):
    """What a call came to, and how in words, for whoever reads why a probe was rejected."""

    value: Value
    note: str = ""


def name_kind(node: Node) -> str:
    """How a call is answered: by the student or a model in its place, by the texts themselves, or by asking."""
    fn = str(node.params["fn"])
    return fn if fn in ("solved", "duplicate", "similarity") else "asked"


def group_calls(calls: Sequence[Call], key: Callable[[Node], str]) -> Mapping[str, list[int]]:
    """Places of the calls by what `key` says of their node."""
    groups: dict[str, list[int]] = {}
    for place, call in enumerate(calls):
        groups.setdefault(key(call.node), []).append(place)
    return groups
