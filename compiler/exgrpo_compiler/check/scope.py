"""Names that stand for something at run time: rows, columns, probes, rollouts, terms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from exgrpo_artifact.record import Record, field
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


class Columns(Record):
    """`row` in a field mapping: any name is a column, of unknown type."""


class RecordName(Record):
    """A row (`op` item) or a probe (`op` probe), by field; the artifact's node has the field in `params`."""

    op: Literal["item", "probe"]
    type: Type


class FieldName(Record):
    """A rule's parameter: the field itself."""

    field: str
    type: Type


class PlainName(Record):
    """A name that is one node: `probes`, `k`."""

    op: Literal["probes", "k"]
    type: Type


class RolloutName(Record):
    """The rollout in a reward."""

    dialogue: CheckedDialogue
    title: str


Meaning = Columns | RecordName | FieldName | PlainName | RolloutName


class Scope(Record):
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
    shown: tuple[str, ...] = ()
    """In a filter: fields of the probe that are `open`."""
    find_student: bool = False
    """Whether `student` is the task's student."""
