"""What is found in a template, in offsets of its text: the same for every place where the same text stands."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from exgrpo_artifact.named import NamedTuple
from exgrpo_artifact.record import Record
from exgrpo_compiler.diagnostics import find_closest
from exgrpo_compiler.problems import LEAST_SAFE, is_one_slip


class Replacement(NamedTuple):
    """Text in the place of `length` characters."""

    start: int
    length: int
    text: str


class Remedy(NamedTuple):
    """What mends a mistake."""

    title: str
    edits: tuple[Replacement, ...]
    is_safe: bool = False


def suggest_word(start: int, name: str, known: Iterable[str]) -> Remedy | None:
    """The closest known name in place of the one at `start`, as `suggest_fix` does in a source."""
    names = set(known)
    closest = find_closest(name, names)
    if closest is None:
        return None
    is_safe = len(name) >= LEAST_SAFE and [one for one in names if is_one_slip(name, one)] == [closest]
    return Remedy(f"write `{closest}`", (Replacement(start, len(name), closest),), is_safe)


class Finding(Record):
    """A mistake. Where `is_placed`, the sentence goes on with the name of the template."""

    id: str
    start: int
    length: int
    message: str
    hint: str | None = None
    remedy: Remedy | None = None
    is_placed: bool = False
    is_warning: bool = False


class Step(NamedTuple):
    """A place that a value passed on its way, and a sentence about it."""

    start: int
    length: int
    text: str


class Read(Record):
    """A value that reaches the template's output: `root.attribute`, where that is shown, and how it came there.

    `how`: it is printed, or a condition on it or the number of its elements decides what is printed.
    """

    root: str
    attribute: str
    start: int
    length: int
    how: Literal["shown", "decides"]
    steps: tuple[Step, ...] = ()


class Clearance(Record):
    """A use of `declassify`: what it clears, why, and the reads in it."""

    start: int
    length: int
    what: str
    reason: str
    reads: tuple[Read, ...]


class Analysis(Record):
    """All that is known of a template's text, given the types of its names."""

    findings: tuple[Finding, ...]
    used: frozenset[str]
    reads: tuple[Read, ...] = ()
    clearances: tuple[Clearance, ...] = ()
