"""Expression graphs: the one form in which field mappings, filters, cuts and rewards reach the runtime.

A graph is a tuple of nodes in evaluation order; a node's arguments always stand before it. Nothing in a graph
is code: `op` comes from a closed set and `params` are plain JSON.

Ops and their `params` (arguments in brackets):

    const      value                            a literal: number, text, bool, null or list of them
    column     name                             a column of the source row (field graphs only)
    item       field                            a field of the row; `a.b` is field b of the record a
    probe      field                            a field of the probe at hand (`keep probe` conditions only)
    probes     -                                the probes of the row left so far (filters only)
    k          -                                number of probes sampled (cuts only)
    turn       name                             text of an assistant turn; a list when it stands inside `for`
    scenario tokens num_turns                   attributes of the rollout
    list       -                                [x, y, …] as one list
    add sub mul div neg                         arithmetic; `add` of two texts concatenates
    eq ne lt le gt ge  and or not               0/1 valued; `eq` works on numbers, texts and bools
    if         -                                [condition, then, otherwise]; lazy
    default    -                                [x, otherwise]: otherwise where x is not-applicable
    aggregate  fn: mean|max|min|count|any|all   [value] or [value, where]; lifts exactly one level
    call       fn: name, plus static parameters [arguments]; see exgrpo_artifact.operations

Levels: `turn` < `rollout` < `group`; `const` marks nodes that need no rollout at all (literals, row fields).
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, dataclass_transform

from exgrpo_artifact.record import Record, field

Level = Literal["const", "turn", "rollout", "group"]


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
class Frozen(Record, kw_only=True):
    """Base of every artifact model: immutable, fields by keyword, and no unknown key is ever accepted when it is read.

    Types are verified where an artifact is read or written (`exgrpo_artifact.validation`), not at construction.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}


class Node(Frozen):
    """One operation."""

    id: str
    """Unique in the graph: the term's name where it has one, else `_0`, `_1`, …"""
    op: str
    args: tuple[str, ...] = ()
    params: dict[str, Any] = field(default_factory=dict)
    level: Level = "const"
    interval: tuple[float | None, float | None] | None = None
    """Attainable values, `None` as an end meaning unbounded; `None` as a whole: not inferred."""


class Graph(Frozen):
    """Nodes in evaluation order and the one whose value is the graph's."""

    nodes: tuple[Node, ...]
    result: str


class OnFailure(Frozen):
    """What happens to a rollout one of whose terms failed."""

    action: Literal["drop_rollout", "drop_group", "value"] = "drop_rollout"
    value: float | None = None


class RewardGraph(Frozen):
    """A compiled `reward` declaration. `result` is the node of `total`."""

    name: str
    dialogue: str
    dataset: str
    range: tuple[float, float]
    nodes: tuple[Node, ...]
    terms: tuple[str, ...]
    """Names of the terms in source order, `total` last; each is the id of a node."""
    result: str
    on_failure: OnFailure = OnFailure()


class RewardFile(Frozen):
    """Content of reward.json."""

    format: int = 1
    rewards: dict[str, RewardGraph]
