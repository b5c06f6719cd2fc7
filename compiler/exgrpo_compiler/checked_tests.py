"""Checked `test` declarations: a row, a group of rollouts in words, and what their rewards must come to.

Everything is converted: a test that stands here can be run without another look at the program's syntax.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from exgrpo_artifact.record import Record
from exgrpo_artifact.values import Value
from exgrpo_compiler.program import Key
from exgrpo_compiler.source import Span

OperandOp = Literal[
    "term",
    "number",
    "values",
    "add",
    "sub",
    "mul",
    "div",
    "neg",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "and",
    "or",
    "not",
    "aggregate",
    "call",
]


class Operand(Record):
    """A part of an expectation. It has one value for each rollout.

    term: params reward (Key), term · number: params value · values: params values, one for each rollout, None for `_` ·
    aggregate: params fn, over all rollouts · call: params fn, one of abs min max.
    """

    op: OperandOp
    args: tuple[Operand, ...]
    params: Mapping[str, Any]
    unit: str | None
    span: Span


class CheckedExpect(Record):
    """`expect condition`: true where the condition is true at every rollout."""

    condition: Operand
    span: Span


class CheckedRollout(Record):
    """A rollout in words. `judgements`: term -> what its judge answers, once or once for each turn inside `for`."""

    scenario: str
    turns: Mapping[str, str | tuple[str, ...] | None]
    tokens: int
    num_turns: int
    judgements: Mapping[str, tuple[Value, ...]]
    span: Span


class CheckedTest(Record):
    """A `test`. `rewards` are those that its expectations name, in order."""

    title: str
    rewards: tuple[Key, ...]
    item: Mapping[str, Any]
    group: tuple[CheckedRollout, ...]
    expects: tuple[CheckedExpect, ...]
    span: Span
    name_span: Span


def list_terms(operand: Operand) -> tuple[tuple[Key, str], ...]:
    """The (reward, term) pairs that a part of an expectation names, each once, in order."""
    found: dict[tuple[Key, str], None] = {}
    if operand.op == "term":
        found[operand.params["reward"], operand.params["term"]] = None
    for arg in operand.args:
        found.update(dict.fromkeys(list_terms(arg)))
    return tuple(found)
