"""The automaton's steps for `straight`: what a symbol becomes when it is known what follows, and how a rule is reduced."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from exgrpo_compiler.ast import Name, Ref
from exgrpo_compiler.source import Span
from exgrpo_compiler.syntax.automaton import END, GRAMMAR_RULES, SYMBOLS, TERMINAL_COUNT, Rule, get_row
from exgrpo_compiler.syntax.build_ast import TreeBuilder
from exgrpo_compiler.syntax.build_expressions import STATEMENT_NAMES
from exgrpo_compiler.syntax.grammar_tables import TERMINALS
from exgrpo_compiler.syntax.tree import Token

TERMINAL = TERMINAL_COUNT
STATE = TERMINAL_COUNT * len(SYMBOLS)
"""A step's key is one number: `state * STATE + symbol * TERMINAL + following`."""

Make = Callable[[TreeBuilder, Any, int, int], Any]
"""Value from the text of a token, or from a value, with its offsets."""
Reduction = tuple[int, int, Callable[[list[Any]], Any], Callable[[TreeBuilder, Span, Any], Any] | None]
"""Origin (times TERMINAL), number of parts, what collects their values, what builds a node of them."""
Step = tuple[int, Make | None, int, Reduction | None]
"""State (times STATE) after a symbol, what makes its value, the levels that adds, and what to reduce then."""

_UNUSED = frozenset(
    SYMBOLS[name]
    for name in SYMBOLS
    if name.startswith(("LEFT_", "RIGHT_")) or name in ("COLON", "EQUALS", "ARROW", "RANGE", "PIPE", "WHERE")
)
"""Terminals that no rule keeps, as a test verifies."""


def find_step(key: int) -> Step | None:
    """What a symbol takes a state to when it is known what follows; None if it has no place or that has none."""
    state, rest = divmod(key, STATE)
    symbol, following = divmod(rest, TERMINAL)
    terminal = symbol if symbol < TERMINAL_COUNT else -1
    climbed: list[Rule] = []
    here = get_row(state)
    while True:
        target = here.get(symbol, -1)
        if target < 0:
            return None
        row = get_row(target)
        number = row.get(following)
        if number is None:
            if row or following != END:
                return None
            break
        rule = GRAMMAR_RULES[~number] if number < 0 else None
        if rule is None or rule.parts not in ("k", "s"):
            break
        if rule.action != "=":
            climbed.append(rule)
        symbol = rule.origin
    levels = sum(rule.action != "*" for rule in climbed)
    reduction = find_reduction(0 if number is None else number)
    return target * STATE, _find_make(terminal, climbed), levels, reduction


_reductions: dict[int, Reduction] = {}


def find_reduction(number: int) -> Reduction | None:
    """How to reduce by the rule `~number`; None if it is no rule."""
    if number >= 0:
        return None
    if number not in _reductions:
        rule = GRAMMAR_RULES[~number]
        build = None if rule.action in "=*" else getattr(TreeBuilder, f"_build_{rule.action}")
        _reductions[number] = (rule.origin * TERMINAL, len(rule.parts), _find_collect(rule), build)
    return _reductions[number]


def _find_collect(rule: Rule) -> Callable[[list[Any]], Any]:
    """What takes a rule's kept parts from the end of the values."""
    size = len(rule.parts)
    kept = [index - size for index, part in enumerate(rule.parts) if part != "."]
    if rule.action == "=":
        (only,) = kept
        return lambda values: values[only]
    if "s" not in rule.parts:
        if not kept:
            return lambda values: []
        if len(kept) == size:
            return lambda values: values[-size:]
        if len(kept) == 1:
            (first,) = kept
            return lambda values: [values[first]]
        if len(kept) == 2:
            first, second = kept
            return lambda values: [values[first], values[second]]
        return lambda values: [values[index] for index in kept]
    first, *others = kept
    rest = [(index, rule.parts[index] == "s") for index in others]
    return _collect_onto_list(first, rest) if rule.parts[first] == "s" else _collect_after_one(first, rest)


def _collect_onto_list(first: int, rest: Sequence[tuple[int, bool]]) -> Callable[[list[Any]], Any]:
    """The list at `first`, taken over so that a long one is never copied, with the others put to it."""

    def collect(values: list[Any]) -> list[Any]:
        found: list[Any] = values[first]
        for index, is_list in rest:
            if is_list:
                found.extend(values[index])
            else:
                found.append(values[index])
        return found

    return collect


def _collect_after_one(first: int, rest: Sequence[tuple[int, bool]]) -> Callable[[list[Any]], Any]:
    def collect(values: list[Any]) -> list[Any]:
        found = [values[first]]
        for index, is_list in rest:
            if is_list:
                found.extend(values[index])
            else:
                found.append(values[index])
        return found

    return collect


# --- values of symbols that climb


def _find_make(terminal: int, climbed: Sequence[Rule]) -> Make | None:
    actions = tuple(rule.action for rule in climbed)
    if terminal < 0:
        return _chain(climbed) if climbed else None
    if not climbed:
        return None if terminal in _UNUSED else _make_token(TERMINALS[terminal])
    if actions == ("name",):
        return _build_name
    if actions == ("name", "reference"):
        return _build_reference
    token, chain = _make_token(TERMINALS[terminal]), _chain(climbed)
    return lambda builder, text, start, end: chain(builder, token(builder, text, start, end), start, end)


def _make_token(kind: str) -> Make:
    return lambda builder, text, start, end: Token(kind, text, start, end)


def _chain(climbed: Sequence[Rule]) -> Make:
    """The value after several rules of one part; all their nodes have the same span."""
    methods = [
        (None if rule.action == "*" else getattr(TreeBuilder, f"_build_{rule.action}"), rule.parts == "s")
        for rule in climbed
    ]

    def make(builder: TreeBuilder, value: Any, start: int, end: int) -> Any:
        span = Span(builder.source, start, end)
        for build, is_list in methods:
            children = value if is_list else [value]
            value = children if build is None else build(builder, span, children)
        return value

    return make


def _build_name(builder: TreeBuilder, text: str, start: int, end: int) -> Name:
    return Name(text, Span(builder.source, start, end))


def _build_reference(builder: TreeBuilder, text: str, start: int, end: int) -> Ref:
    span = Span(builder.source, start, end)
    if text in STATEMENT_NAMES:
        builder.report_statement_word(text, span)
    return Ref(text, span)
