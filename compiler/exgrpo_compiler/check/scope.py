"""Names that stand for something at run time: rows, columns, probes, rollouts, terms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from exgrpo_compiler.check.context import Context
from exgrpo_compiler.ir import CheckedDialogue, Typed
from exgrpo_compiler.source import Span
from exgrpo_compiler.value_types import Type

Place = Literal["field", "when", "filter", "cut", "reward"]
"""Where an expression stands; it decides which builtins there are."""

PLACE_TITLES = {
    "field": "a field mapping",
    "when": "`applies_when`",
    "filter": "a filter",
    "cut": "a scenario",
    "reward": "a reward",
}


@dataclass(frozen=True, slots=True)
class Columns:
    """`row` in a field mapping: any name is a column, of unknown type."""


@dataclass(frozen=True, slots=True)
class RecordName:
    """A row (`op` item) or a probe (`op` probe), by field; the artifact's node has the field in `params`."""

    op: Literal["item", "probe"]
    type: Type


@dataclass(frozen=True, slots=True)
class FieldName:
    """A rule's parameter: the field itself."""

    field: str
    type: Type


@dataclass(frozen=True, slots=True)
class PlainName:
    """A name that is one node: `probes`, `k`."""

    op: Literal["probes", "k"]
    type: Type


@dataclass(frozen=True, slots=True)
class RolloutName:
    """The rollout in a reward."""

    dialogue: CheckedDialogue
    title: str


Meaning = Columns | RecordName | FieldName | PlainName | RolloutName


@dataclass(frozen=True, slots=True)
class Scope:
    """What an expression may name besides declarations."""

    context: Context
    place: Place
    names: Mapping[str, Meaning]
    find_term: Callable[[str, Span], Typed | None] | None = None
    """In a reward: the checked term of a name."""
    term_names: tuple[str, ...] = ()
    notes: dict[str, Span] = field(default_factory=dict)
    """In a reward: scenarios that a `where` compares with, and where it stands."""
    in_where: bool = False
    find_student: bool = False
    """Whether `student` is the task's student."""
