"""A total written as a sum: which parts it has, and what each comes to.

Sums are followed through `+`, `-`, `if` (whose branches are parts under a condition), named terms, and through products
and quotients of a sum.
Invariant: the parts of a total add up to it wherever it has a value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from exgrpo_artifact.graph import Node
from exgrpo_artifact.named import NamedTuple
from exgrpo_compiler.prove.model import FAILED, Bound, Column


class Part(NamedTuple):
    """sign * node * factors / divisors, where all guards hold; else 0."""

    node: str
    sign: int = 1
    guards: tuple[tuple[str, bool], ...] = ()
    factors: tuple[str, ...] = ()
    divisors: tuple[str, ...] = ()


MAX_PARTS = 64
"""A total of more parts is looked at as it is written and no finer: terms that use each other twice have exponentially many."""


def split_part(part: Part, nodes: Mapping[str, Node]) -> tuple[Part, ...]:
    """The parts that it is the sum of; empty where it is no sum."""
    node = nodes[part.node]
    args = node.args
    if node.op in ("add", "sub"):
        right_sign = part.sign if node.op == "add" else -part.sign
        return _change(part, args[0]), _change(part, args[1], sign=right_sign)
    if node.op == "neg":
        return (_change(part, args[0], sign=-part.sign),)
    if node.op == "if":
        return (
            _change(part, args[1], guards=(*part.guards, (args[0], True))),
            _change(part, args[2], guards=(*part.guards, (args[0], False))),
        )
    if node.op == "div":
        return (_change(part, args[0], divisors=(*part.divisors, args[1])),)
    if node.op == "mul":
        for one, other in ((args[0], args[1]), (args[1], args[0])):
            if _is_sum(nodes[one], nodes):
                return (_change(part, one, factors=(*part.factors, other)),)
    if node.op == "default" and args[0] == args[1]:  # a term that is just another term
        return (_change(part, args[0]),)
    return ()


def _change(part: Part, node: str, **changes: Any) -> Part:
    return part._replace(node=node, **changes)


def _is_sum(node: Node, nodes: Mapping[str, Node]) -> bool:
    """Whether there is a sum in it that a factor can be multiplied into."""
    seen: set[str] = set()
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if one.op in ("add", "sub", "if"):
            return True
        if one.op in ("neg", "div", "mul"):
            waiting += [nodes[arg] for arg in one.args if arg not in seen]
            seen.update(one.args)
    return False


def iterate_parts(root: Part, nodes: Mapping[str, Node]) -> Iterator[tuple[Part, ...]]:
    """Sums that the total is, from the coarsest to the finest: every next one splits each part that can be split."""
    parts: tuple[Part, ...] = (root,)
    while True:
        finer = tuple(child for part in parts for child in (split_part(part, nodes) or (part,)))
        if finer == parts or len(finer) > MAX_PARTS:
            return
        parts = finer
        yield parts


def compute_part(part: Part, columns: Mapping[str, Column], bound: Bound) -> list[float | None]:
    """What the part comes to in each kind of rollouts; None where it has no value."""
    return compute_rows(part, lambda node: bound.spread(columns[node]))


def compute_rows(part: Part, read: Callable[[str], Sequence[Any]]) -> list[float | None]:
    """What the part comes to wherever `read` gives what its nodes come to."""
    spread = [read(id_) for id_ in (part.node, *part.factors, *part.divisors)]
    guards = [(read(id_), due) for id_, due in part.guards]
    num_factors = 1 + len(part.factors)
    if len(spread) == 1:
        sign = float(part.sign)
        values = [sign * one if isinstance(one, _NUMBER) else None for one in spread[0]]
    else:
        values = [
            combine_part(part.sign, row[:num_factors], row[num_factors:]) for row in zip(*spread, strict=True)
        ]
    for column, due in guards:
        values = [
            value if met is FAILED or bool(met) is due else 0.0
            for value, met in zip(values, column, strict=True)
        ]
    return values


_NUMBER = (int, float)


def combine_part(sign: int, factors: Sequence[Any], divisors: Sequence[Any]) -> float | None:
    """The product with factors and divisors; None where that has no value."""
    value = float(sign)
    for factor in factors:
        if not isinstance(factor, int | float):
            return None
        value *= factor
    for divisor in divisors:
        if not isinstance(divisor, int | float) or divisor == 0:
            return None
        value /= divisor
    return value
