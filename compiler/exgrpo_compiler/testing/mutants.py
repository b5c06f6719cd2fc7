"""Mutants of a reward: the same reward with one thing changed, as a slip of its author would.

    numbers         zeroed, negated, doubled; 0 becomes 1
    comparisons     turned round, made strict or not, `==` and `!=` exchanged
    choices         branches of an `if` exchanged, `and` and `or` exchanged, `not` left out
    arithmetic      + and -, * and / exchanged
    functions       `clip` left out, `min` and `max` exchanged, `matches format contains` always 0 or always 1
    aggregates      another one, `where` left out, `else` left out

Mutants are made on the typed trees, which know their places in the source; each is lowered like the reward itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from exgrpo_artifact.record import Record, replace
from exgrpo_compiler.ir import CheckedReward, Typed
from exgrpo_compiler.program import Key
from exgrpo_compiler.source import Span

_COMPARISONS = {
    "eq": ("ne",),
    "ne": ("eq",),
    "lt": ("le", "ge"),
    "le": ("lt", "gt"),
    "gt": ("ge", "le"),
    "ge": ("gt", "lt"),
}
_SIGNS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_EXCHANGES = {
    "and": ("or", "`and` became `or`"),
    "or": ("and", "`or` became `and`"),
    "add": ("sub", "`+` became `-`"),
    "sub": ("add", "`-` became `+`"),
    "mul": ("div", "`*` became `/`"),
    "div": ("mul", "`/` became `*`"),
}
_AGGREGATES = {
    "mean": ("max", "min"),
    "max": ("mean",),
    "min": ("mean",),
    "any": ("all",),
    "all": ("any",),
    "count": (),
}
_CALLS = {"min": "max", "max": "min"}
_READERS = ("matches", "format", "contains")
"""Functions that give 0 or 1."""


class Mutant(Record):
    """A changed reward."""

    reward: Key
    term: str
    span: Span
    """What was changed."""
    change: str
    """How: "`1.5` became 0"."""
    checked: CheckedReward


def make_mutants(key: Key, reward: CheckedReward) -> tuple[Mutant, ...]:
    """Every mutant, in source order. A node that stands in several places of a tree is changed in all of them."""
    found: list[Mutant] = []
    for term, tree in reward.terms.items():
        done: set[int] = set()
        for node in _walk(tree):
            if id(node) in done:
                continue
            done.add(id(node))
            for changed, change in _change(node):
                terms = {**reward.terms, term: _put(tree, node, changed, {})}
                found.append(Mutant(key, term, node.span, change, replace(reward, terms=terms)))
    return tuple(sorted(found, key=lambda mutant: (mutant.span.start, mutant.span.end)))


def _walk(tree: Typed) -> Iterator[Typed]:
    yield tree
    for arg in tree.args:
        yield from _walk(arg)


def _put(tree: Typed, old: Typed, new: Typed, memo: dict[int, Typed]) -> Typed:
    """The tree with `new` wherever it has the object `old`; what was shared stays shared."""
    if tree is old:
        return new
    if id(tree) not in memo:
        args = tuple(_put(arg, old, new, memo) for arg in tree.args)
        is_same = all(a is b for a, b in zip(args, tree.args, strict=True))
        memo[id(tree)] = tree if is_same else replace(tree, args=args)
    return memo[id(tree)]


def _change(node: Typed) -> Iterator[tuple[Typed, str]]:
    if node.op == "const":
        yield from _change_number(node)
    elif node.op in _COMPARISONS:
        for op in _COMPARISONS[node.op]:
            yield replace(node, op=op), f"`{_SIGNS[node.op]}` became `{_SIGNS[op]}`"
    elif node.op in _EXCHANGES:
        op, told = _EXCHANGES[node.op]
        if not any(arg.type.is_text and arg.type.kind != "any" for arg in node.args):
            yield replace(node, op=op), told
    elif node.op == "if":
        condition, then, otherwise = node.args
        yield replace(node, args=(condition, otherwise, then)), "the two branches changed places"
    elif node.op == "not":
        yield node.args[0], "`not` was left out"
    elif node.op == "neg":
        yield node.args[0], "`-` was left out"
    elif node.op == "default":
        yield node.args[0], "`else` was left out"
    elif node.op == "aggregate":
        yield from _change_aggregate(node)
    elif node.op == "call":
        yield from _change_call(node)


def _change_number(node: Typed) -> Iterator[tuple[Typed, str]]:
    value = node.params["value"]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    text = f"{value:g}"
    for changed in (0, -value, 2 * value) if value else (1,):
        yield _with_params(node, {"value": changed}), f"`{text}` became {changed:g}"


def _change_aggregate(node: Typed) -> Iterator[tuple[Typed, str]]:
    fn = node.params["fn"]
    for other in _AGGREGATES.get(fn, ()):
        yield _with_params(node, {**node.params, "fn": other}), f"`{fn}` became `{other}`"
    if len(node.args) > 1:
        yield replace(node, args=node.args[:1]), "`where` was left out"


def _change_call(node: Typed) -> Iterator[tuple[Typed, str]]:
    fn = node.params.get("fn")
    if fn == "clip":
        yield node.args[0], "`clip` was left out"
    elif fn in _READERS:
        for value in (0, 1):
            yield replace(node, op="const", args=(), params={"value": value}), f"`{fn}(…)` became {value}"
    elif fn in _CALLS:
        yield _with_params(node, {**node.params, "fn": _CALLS[fn]}), f"`{fn}` became `{_CALLS[fn]}`"


def _with_params(node: Typed, params: Mapping[str, object]) -> Typed:
    return replace(node, params=params)
