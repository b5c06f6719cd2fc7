"""Interval inference: what every node of a reward can come to, over all rows, rollouts and judges.

One pass in evaluation order computes each node from its arguments. Two things make it see what arguments have in common: the
branches of an `if` and the members of a `where` are computed under their condition, and nodes of few values that a term uses more than
once are tried value by value. Both are bounded by a budget of computed nodes; past it, the answer is wider, never wrong.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from exgrpo_artifact.graph import RewardGraph
from exgrpo_artifact.record import replace
from exgrpo_compiler.prove.facts import Facts
from exgrpo_compiler.prove.interval import (
    ANY_TEXT,
    ANYTHING,
    COUNT,
    EMPTY,
    NONE,
    ONE,
    ZERO,
    Interval,
    Nodes,
    join,
    make_empty,
    make_list,
    make_literal,
    make_set,
    make_texts,
    meet,
    with_gaps,
)
from exgrpo_compiler.prove.interval_aggregates import Members, aggregate
from exgrpo_compiler.prove.interval_functions import Call, apply_call
from exgrpo_compiler.prove.interval_operators import (
    OPERATORS,
    apply_operator,
    can_be_false,
    can_be_true,
    decide,
    may_refuse,
    negate,
)
from exgrpo_compiler.prove.plan import OUTSIDE, Plan
from exgrpo_compiler.prove.refine import Overrides, Truth, refine

_BUDGET: Final = 400
"""Nodes that are computed again under assumptions, in one inference."""
_MAX_CASES: Final = 64
_MAX_SPLIT: Final = 16
"""Values of a node up to which they are tried one by one."""
_MAX_DEPTH: Final = 4
"""Conditions within conditions up to which branches are computed under all of them."""
_MAX_ROUNDS: Final = 3
_MAX_KNOWN: Final = 4096

Values = list[Interval]


def infer(
    graph: RewardGraph, facts: Facts | None = None, assume: Mapping[str, Interval] | None = None
) -> Mapping[str, Interval]:
    """The interval of each node by id.

    Args:
        graph: a reward; it may stand for any task that trains by it.
        facts: what is known of its rows and rollouts.
        assume: nodes with what they are taken to be at the rollout (and turn) that is looked at; other rollouts of its group are free.
    """
    inference = Inference(graph, facts or Facts())
    return inference.assume(assume) if assume else inference.intervals


def write_intervals(graph: RewardGraph, facts: Facts) -> RewardGraph:
    """The graph with the interval of every number on its node, as the artifact holds it."""
    intervals = infer(graph, facts)
    nodes = (replace(node, interval=_get_ends(intervals[node.id])) for node in graph.nodes)
    return replace(graph, nodes=tuple(nodes))


def _get_ends(one: Interval) -> tuple[float | None, float | None] | None:
    if one.kind != "number" or one.is_empty:
        return None
    # Adding 0 turns -0.0 into 0.0.
    low, high = (float(end) + 0.0 for end in (one.low, one.high))
    return (low if math.isfinite(low) else None, high if math.isfinite(high) else None)


class Known:
    """Intervals of rewards that differ in literals only, under the same facts.

    What a node comes to depends on the literals below it and on the trail: which cases were tried before, and what is assumed.
    """

    def __init__(self, pick: Sequence[Callable[[Sequence[str]], Any] | None]) -> None:
        self._pick = pick
        """For each node of the plan: picks, of the graph's numbers, those that it is computed from."""
        self._found: dict[Any, tuple[Interval, int]] = {}
        self._trails: dict[Any, int] = {}
        self._count = itertools.count(1)

    def extend(self, trail: int, step: Any) -> int:
        """The number of a trail with one more step; it is never that of another one."""
        key = trail, step
        if key not in self._trails:
            if len(self._trails) >= _MAX_KNOWN:
                self._trails.clear()
            self._trails[key] = next(self._count)
        return self._trails[key]

    def identify(self, trail: int, at: int, numbers: Sequence[str]) -> Any:
        """All that an interval depends on."""
        pick = self._pick[at]
        return (trail, at) if pick is None else (trail, at, pick(numbers))

    def find(self, key: Any) -> tuple[Interval, int] | None:
        """An interval and how much of the budget it took."""
        return self._found.get(key)

    def keep(self, key: Any, one: Interval, spent: int) -> None:
        """Keeps an interval."""
        if len(self._found) >= _MAX_KNOWN:
            self._found.clear()
        self._found[key] = one, spent


class Inference:
    """Inference over one graph, for several questions about it."""

    def __init__(
        self,
        graph: RewardGraph,
        facts: Facts,
        plan: Plan | None = None,
        known: Known | None = None,
        numbers: Sequence[str] = (),
    ) -> None:
        self.plan = plan or Plan(graph)
        self.facts = facts
        self._known = known
        self._numbers = numbers
        self._trail = 0
        self._budget = _BUDGET
        self._caps: Overrides = {}
        self._values = self._solve()
        self._solved = self._trail

    @property
    def intervals(self) -> Mapping[str, Interval]:
        """The interval of each node by id."""
        return self._name(self._values)

    def assume(self, assumed: Mapping[str, Interval]) -> Mapping[str, Interval]:
        """The intervals where these nodes are within these intervals; all empty where they cannot be."""
        self._budget = _BUDGET
        overrides = {
            at: meet(self._values[at], one)
            for node, one in assumed.items()
            if (at := self.plan.index.get(node)) is not None
        }
        self._trail = self._solved
        self._extend_trail(tuple(overrides.items()))
        values = self._recompute(range(self.plan.size), overrides, self._values, OUTSIDE, 0, is_on_trail=True)
        if values is None:
            return dict.fromkeys(self.plan.index, EMPTY)
        finest = min((self.plan.levels[at] for at in overrides), default=OUTSIDE)
        return self._name(self._split(values, finest))

    def _name(self, values: Values) -> Mapping[str, Interval]:
        return {node: values[at] for node, at in self.plan.index.items()}

    # --- passes ---------------------------------------------------------------------------------------------

    def _solve(self) -> Values:
        members = {
            arg for at, args in enumerate(self.plan.args) if self.plan.members[at] is not None for arg in args
        }
        for number in range(_MAX_ROUNDS):
            self._extend_trail(number)
            plain: Values = [ANYTHING] * self.plan.size
            for at in range(self.plan.size):
                one = self._look_up(at, plain, OUTSIDE, None)
                plain[at] = meet(one, self._caps[at]) if at in self._caps else one
            values = self._split(plain, OUTSIDE)
            narrowed = {at: values[at] for at in members if values[at] != plain[at]}
            if not narrowed:
                break
            self._caps.update(narrowed)
        return values

    def _extend_trail(self, step: Any) -> None:
        if self._known is not None:
            self._trail = self._known.extend(self._trail, step)

    def _look_up(self, at: int, values: Values, finest: int, bounds: Values | None) -> Interval:
        """A node on the trail, as it was computed of the same literals before; within `bounds`, where there are any."""
        if self._known is None:
            return self._compute_within(at, values, finest, bounds)
        key = self._known.identify(self._trail, at, self._numbers)
        found = self._known.find(key)
        if found is not None and self._budget > found[1]:
            self._budget -= found[1]
            return found[0]
        before = self._budget
        one = self._compute_within(at, values, finest, bounds)
        # Once the budget is spent, what is computed depends on what was computed before.
        if self._budget > 0:
            self._known.keep(key, one, before - self._budget)
        return one

    def _compute_within(self, at: int, values: Values, finest: int, bounds: Values | None) -> Interval:
        if bounds is None:
            return self._compute(at, values, finest, 0)
        self._budget -= 1
        return meet(self._compute(at, values, finest, 1), bounds[at])

    def _recompute(
        self,
        wanted: Iterable[int],
        overrides: Overrides,
        values: Values,
        finest: int,
        depth: int,
        *,
        is_on_trail: bool = False,
    ) -> Values | None:
        """The values of all `wanted` nodes that see an override; None where the overrides cannot be."""
        bits = 0
        for at, one in overrides.items():
            if one.is_empty and not one.missing and not one.failing:
                return None
            bits |= 1 << at
            finest = min(finest, self.plan.levels[at])
        found = values.copy()
        for at, one in overrides.items():
            found[at] = one
        for at in wanted:
            # `bits` are the nodes that changed.
            if at in overrides or not self.plan.inputs[at] & bits:
                continue
            if is_on_trail:
                one = self._look_up(at, found, finest, values)
            else:
                self._budget -= 1
                one = meet(self._compute(at, found, finest, depth + 1), values[at])
            if one != values[at]:
                found[at] = one
                bits |= 1 << at
        return found

    def _compute_under(
        self, at: int, condition: int, truth: Truth, values: Values, finest: int, depth: int
    ) -> Interval:
        """A node where a condition is met, or unmet; empty where it cannot be."""
        if self.plan.ops[at] == "const" or self._budget <= 0 or depth >= _MAX_DEPTH:
            return values[at]
        overrides = refine(self.plan, values, condition, truth)
        if not overrides:
            return values[at]
        seen = self.plan.below[at]
        wanted = [one for one in range(min(overrides), at + 1) if seen >> one & 1]
        found = self._recompute(wanted, overrides, values, finest, depth)
        return EMPTY if found is None else found[at]

    # --- cases ----------------------------------------------------------------------------------------------

    def _split(self, values: Values, finest: int) -> Values:
        """The values, narrowed by trying the values of nodes that are used more than once."""
        for is_of_turns in (False, True):
            chosen = self._choose_splits(values, is_of_turns)
            if chosen:
                values = self._try_cases(chosen, values, finest, is_of_turns)
        return values

    def _try_cases(self, chosen: Sequence[int], values: Values, finest: int, is_of_turns: bool) -> Values:
        """The values joined over all cases of the chosen nodes.

        A rollout may have no turn, and then none of a turn's cases: they say nothing of what is not a turn's itself.
        """
        columns = [_list_cases(values[at]) for at in chosen]
        bits = sum(1 << at for at in chosen)
        affected = [
            at
            for at, below in enumerate(self.plan.below)
            if below & bits and at not in chosen and not (is_of_turns and self.plan.levels[at])
        ]
        joined: dict[int, Interval] = {}
        start = self._trail
        for case in itertools.product(*columns):
            self._trail = start
            self._extend_trail((tuple(chosen), case))
            overrides = dict(zip(chosen, case, strict=True))
            found = self._recompute(affected, overrides, values, finest, 0, is_on_trail=True)
            if found is None:
                continue
            for at in affected:
                joined[at] = join(joined[at], found[at]) if at in joined else found[at]
        self._trail = start
        self._extend_trail(tuple(chosen))
        narrowed = values.copy()
        for at, one in joined.items():
            narrowed[at] = meet(values[at], one)
        return narrowed

    def _choose_splits(self, values: Values, is_of_turns: bool) -> list[int]:
        chosen: list[int] = []
        bits, cases = 0, 1
        for at, one in enumerate(values):
            users = self.plan.users[at]
            if users & (users - 1) == 0 or (self.plan.levels[at] == 0) is not is_of_turns:
                continue
            if one.values is None or not 2 <= len(one.values) <= _MAX_SPLIT or self.plan.same[at] & bits:
                continue
            if not any((users & self.plan.same[root]).bit_count() > 1 for root in self.plan.roots):
                continue
            more = cases * len(_list_cases(one))
            touched = sum(1 for seen in self.plan.same if seen & (bits | 1 << at))
            if more > _MAX_CASES or more * touched > self._budget:
                continue
            chosen.append(at)
            bits, cases = bits | 1 << at, more
        return chosen

    # --- nodes ----------------------------------------------------------------------------------------------

    def _compute(self, at: int, values: Values, finest: int, depth: int) -> Interval:
        """A node from its arguments, a term's failure replaced where the reward says by what."""
        op = self.plan.ops[at]
        args = self.plan.args[at]
        if op in OPERATORS:
            one = self._operate(at, op, args, values)
        elif op == "if":
            one = self._choose(at, values, finest, depth)
        elif op == "aggregate":
            one = self._aggregate(at, values, finest, depth)
        elif op == "call":
            call = Call(self.plan.ids[at], self.plan.params[at], self.facts.scales)
            one = apply_call(call, [values[arg] for arg in args])
        elif op in ("and", "or"):
            one = self._decide(at, op, values, finest, depth)
        elif op == "not":
            one = negate(values[args[0]], self.plan.ids[at])
        elif op == "default":
            one = _fill(values[args[0]], values[args[1]])
        else:
            one = self._read_leaf(at, op, values)
        substitute = self.plan.substitute
        if one.failing and substitute is not None and self.plan.is_term(at):
            return join(with_gaps(one, one.missing, NONE), make_set([substitute]))
        return one

    def _operate(self, at: int, op: str, args: Sequence[int], values: Values) -> Interval:
        if len(args) == 2 and args[0] == args[1] and op in _SELF and values[args[0]].kind == "number":
            own = values[args[0]]
            return with_gaps(_SELF[op], own.missing, own.failing) if not own.is_empty else own
        return apply_operator(op, [values[arg] for arg in args], self.plan.ids[at])

    def _decide(self, at: int, op: str, values: Values, finest: int, depth: int) -> Interval:
        args = self.plan.args[at]
        one = decide(op, [values[arg] for arg in args], self.plan.ids[at])
        if one.values != (0, 1) or len(args) != 2:
            return one
        # `and` holds where both do, so the second is looked at where the first does; `or` fails where both do.
        truth: Truth = "met" if op == "and" else "unmet"
        second = self._compute_under(args[1], args[0], truth, values, finest, depth)
        if op == "and" and not can_be_true(second):
            return with_gaps(ZERO, one.missing, one.failing)
        if op == "or" and not can_be_false(second):
            return with_gaps(ONE, one.missing, one.failing)
        return one

    def _choose(self, at: int, values: Values, finest: int, depth: int) -> Interval:
        condition, then, otherwise = self.plan.args[at]
        given = values[condition]
        failing = given.failing | {self.plan.ids[at]} if may_refuse(given) else given.failing
        result = EMPTY
        if can_be_true(given):
            result = self._compute_under(then, condition, "met", values, finest, depth)
        if can_be_false(given) or given.missing:
            result = join(result, self._compute_under(otherwise, condition, "unmet", values, finest, depth))
        return with_gaps(result, result.missing, result.failing | failing)

    def _aggregate(self, at: int, values: Values, finest: int, depth: int) -> Interval:
        args, members = self.plan.args[at], self.plan.members[at]
        fn, node = str(self.plan.params[at]["fn"]), self.plan.ids[at]
        if members is None:
            return _aggregate_list(fn, values[args[0]], node)
        if finest <= members:
            return self._aggregate_here(at, values)
        value, where = values[args[0]], ONE
        if len(args) > 1:
            where = values[args[1]]
            value = self._compute_under(args[0], args[1], "met", values, finest, depth)
        if members == 0:
            turns = self.facts.count_probes(self._get_scenario(values))
            low, high = (0 if self.facts.may_leave_out_turns else turns.low), turns.high
        else:
            low, high = 1, self.facts.max_rollouts
        return aggregate(fn, node, Members(value, where, low, high))

    def _aggregate_here(self, at: int, values: Values) -> Interval:
        """An aggregate as one of its members sees it.

        What is assumed of the place holds for that member only, so the value is what it is without assumptions. But where the place
        itself is a member, the set is not empty.
        """
        args, one, node = self.plan.args[at], values[at], self.plan.ids[at]
        where = values[args[1]] if len(args) > 1 else ONE
        if node in one.missing and not Members(values[args[0]], where, 1, 1).can_be_none:
            return with_gaps(one, one.missing - {node}, one.failing)
        return one

    def _get_scenario(self, values: Values) -> Interval:
        return values[self.plan.scenario] if self.plan.scenario is not None else ANY_TEXT

    def _read_leaf(self, at: int, op: str, values: Values) -> Interval:
        node: Nodes = frozenset({self.plan.ids[at]})
        if op == "const":
            value = self.plan.params[at]["value"]
            return make_literal(value) if value is not None else make_empty(node)
        if op == "item":
            return self.facts.get_field(str(self.plan.params[at]["field"]))
        if op == "turn":
            return with_gaps(ANY_TEXT, node if self.facts.may_leave_out_turns else NONE, NONE)
        if op == "scenario":
            return make_texts(self.facts.scenarios or None)
        if op == "tokens":
            return COUNT
        if op == "num_turns":
            return self.facts.count_turns(self._get_scenario(values))
        if op == "list":
            args = [values[arg] for arg in self.plan.args[at]]
            element = None
            for arg in args:
                element = arg if element is None else join(element, arg)
            missing = frozenset[str]().union(*(arg.missing for arg in args))
            failing = frozenset[str]().union(*(arg.failing for arg in args))
            return with_gaps(make_list(element and with_gaps(element, NONE, NONE)), missing, failing)
        return with_gaps(ANYTHING, node, node)


def _fill(one: Interval, otherwise: Interval) -> Interval:
    if not one.missing:
        return one
    return join(with_gaps(one, NONE, one.failing), otherwise)


def _aggregate_list(fn: str, one: Interval, node: str) -> Interval:
    element = one.element if one.kind == "list" and one.element is not None else ANYTHING
    result = aggregate(fn, node, Members(element, ONE, 0, math.inf))
    refusal = {node} if one.kind != "list" and not one.is_empty else frozenset[str]()
    result = with_gaps(result, result.missing | one.missing, result.failing | one.failing | refusal)
    return make_empty(result.missing, result.failing) if one.is_empty else result


def _list_cases(one: Interval) -> list[Interval]:
    """Each value by itself, and all gaps as one case."""
    cases = [make_literal(value) for value in one.values or ()]
    return [*cases, make_empty(one.missing, one.failing)] if one.missing or one.failing else cases


_SELF: Final[Mapping[str, Interval]] = {
    "sub": ZERO,
    "eq": ONE,
    "le": ONE,
    "ge": ONE,
    "ne": ZERO,
    "lt": ZERO,
    "gt": ZERO,
}
"""Operators of a number and itself."""
