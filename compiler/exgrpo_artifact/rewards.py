"""Evaluating a reward over the rollouts of one item: levels, aggregates, the failure policy.

Levels: a `turn` value is a list over the probes of each rollout, a `rollout` value one per rollout, a `group` or `const` value one
for all. Coarser values are repeated where finer ones are due; an aggregate lifts exactly one level.

Sources: Eq. 5 and 6 of arXiv 2603.19266 are one reward that can be written this way; nothing here knows them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from exgrpo_artifact.graph import Node, OnFailure, RewardGraph
from exgrpo_artifact.operations import EXTERNAL_FUNCTIONS, apply_operation
from exgrpo_artifact.values import NOT_APPLICABLE, Failed, NotApplicable, Value, is_number, is_true


@dataclass(frozen=True, slots=True)
class Rollout:
    """What a reward sees of a sampled dialogue."""

    scenario: str
    turns: Mapping[str, str | tuple[str, ...] | None]
    """Text of each assistant turn; a tuple for turns inside `for`; None for one that was left out."""
    tokens: int
    """Tokens that the student sampled."""
    num_turns: int
    """Assistant turns that it wrote."""
    seed: int
    """Of `bernoulli`."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A question to a judge: the arguments of one external node for one rollout (and turn)."""

    key: str
    node: str
    rollout: int
    turn: int | None
    fn: str
    params: Mapping[str, Any]
    arguments: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Scores:
    """A scored group, aligned with its rollouts. None is never a score of 0: it is no score."""

    totals: tuple[float | None, ...]
    terms: Mapping[str, tuple[float | None, ...]]
    """Named term -> its value; turn terms as the mean over turns, group terms repeated."""
    dropped: tuple[str | None, ...]
    """Why a rollout has no total."""


def evaluate_reward(
    reward: RewardGraph,
    item: Mapping[str, Any],
    rollouts: Sequence[Rollout],
    judgements: Mapping[str, Value] | None = None,
    neutralise: frozenset[str] = frozenset(),
) -> Scores:
    """Scores of the rollouts of one item.

    Args:
        reward: the compiled reward.
        item: the row's fields.
        rollouts: all of the group, compared ones included.
        judgements: what judges said, by `Judgement.key`; an answer that is absent is a failed one.
        neutralise: named terms that are taken as 0, to see what they change.

    A rollout whose term failed is dropped, or drops its group, or gets a value, as `on_failure` says; it is out before any group term
    is computed. A total that is not-applicable drops its rollout.
    """
    alive = [True] * len(rollouts)
    reasons: list[str | None] = [None] * len(rollouts)
    while True:
        pass_ = _Pass(reward, item, rollouts, alive, judgements or {}, neutralise)
        failures = pass_.find_failures()
        if not failures:
            break
        for index, reason in failures.items():
            alive[index], reasons[index] = False, reason
    return _settle(reward, pass_, alive, reasons)


def collect_judgements(
    reward: RewardGraph, item: Mapping[str, Any], rollouts: Sequence[Rollout]
) -> tuple[Judgement, ...]:
    """Everything that judges must be asked before the reward can be evaluated."""
    pass_ = _Pass(reward, item, rollouts, [True] * len(rollouts), {}, frozenset())
    return tuple(pass_.asked)


def aggregate_values(fn: str, pairs: Sequence[tuple[Value, Value]]) -> Value:
    """The aggregate of values under their conditions.

    Values and conditions that are not-applicable are left out; one that failed makes the whole fail. Over nothing, `count` and
    `any` are 0, `all` is 1, the others not-applicable.
    """
    kept: list[Value] = []
    for value, condition in pairs:
        if isinstance(condition, Failed):
            return condition
        if not is_true(condition) or value is NOT_APPLICABLE:
            continue
        if isinstance(value, Failed):
            return value
        kept.append(value)
    if fn == "count":
        return len(kept)
    if fn in ("any", "all"):
        return int((any if fn == "any" else all)(bool(value) for value in kept))
    numbers = [float(value) for value in kept if is_number(value)]  # type: ignore[arg-type]
    if len(numbers) != len(kept):
        return Failed(f"`{fn}` needs numbers")
    if not numbers:
        return NOT_APPLICABLE
    if fn == "mean":
        return _mean(numbers)
    return max(numbers) if fn == "max" else min(numbers)


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers)


_DEPTH = {"const": 0, "group": 0, "rollout": 1, "turn": 2}


class _Pass:
    """One evaluation of every node, over the rollouts that are alive."""

    def __init__(
        self,
        reward: RewardGraph,
        item: Mapping[str, Any],
        rollouts: Sequence[Rollout],
        alive: Sequence[bool],
        judgements: Mapping[str, Value],
        neutralise: frozenset[str],
    ) -> None:
        self.reward, self.item, self.rollouts = reward, item, rollouts
        self.alive, self.judgements = alive, judgements
        self.asked: list[Judgement] = []
        self.depths: dict[str, int] = {}
        self.values: dict[str, Any] = {}
        self.lifted: list[tuple[str, ...]] = []
        """Arguments of the aggregates over rollouts."""
        for node in reward.nodes:
            depth, value = self._evaluate(node)
            if node.id in neutralise:
                value = self._map_value(lambda _: 0, value, depth)
            self.depths[node.id], self.values[node.id] = depth, value

    def find_failures(self) -> dict[int, str]:
        """Rollouts still alive that must go: those that fail a group aggregate or whose own total failed."""
        failures: dict[int, str] = {}
        for index, is_alive in enumerate(self.alive):
            if not is_alive:
                continue
            own = [self._find_contribution(args, index) for args in self.lifted]
            own.append(self.get(self.reward.result, index))
            failed = next((value for value in own if isinstance(value, Failed)), None)
            if failed is not None:
                failures[index] = failed.reason
        return failures

    def _find_contribution(self, args: tuple[str, ...], index: int) -> Value:
        """What the rollout brings into an aggregate: nothing where its condition is not met."""
        condition = self.get(args[1], index) if len(args) > 1 else 1
        if isinstance(condition, Failed):
            return condition
        value: Value = self.get(args[0], index) if is_true(condition) else NOT_APPLICABLE
        return value

    def get(self, node: str, index: int) -> Any:
        """The node's value for one rollout; a list at turn level."""
        value = self.values[node]
        return value if self.depths[node] == 0 else value[index]

    # --- nodes --------------------------------------------------------------------------------------------

    def _evaluate(self, node: Node) -> tuple[int, Any]:
        if node.op == "const":
            return 0, node.params["value"]
        if node.op == "item":
            return 0, self.item.get(node.params["field"], NOT_APPLICABLE)
        if node.op == "turn":
            return self._read_turn(node)
        if node.op in ("scenario", "tokens", "num_turns"):
            return 1, [getattr(rollout, node.op) for rollout in self.rollouts]
        if node.op == "aggregate":
            return self._aggregate(node)
        if node.op == "call" and node.params["fn"] in EXTERNAL_FUNCTIONS:
            return self._look_up_judgements(node)
        if node.op == "call" and node.params["fn"] == "bernoulli":
            return 1, [self._toss(node, index) for index in range(len(self.rollouts))]
        depth = max((self.depths[arg] for arg in node.args), default=0)
        return depth, self._zip(
            node.args, depth, lambda args, _i, _t: apply_operation(node.op, args, node.params)
        )

    def _read_turn(self, node: Node) -> tuple[int, Any]:
        depth = _DEPTH[node.level]
        texts = [rollout.turns.get(node.params["name"]) for rollout in self.rollouts]
        if depth == 1:
            return 1, [NOT_APPLICABLE if text is None else text for text in texts]
        return 2, [list(text) if isinstance(text, tuple | list) else [] for text in texts]

    def _aggregate(self, node: Node) -> tuple[int, Any]:
        depth = max(self.depths[arg] for arg in node.args)
        fn = node.params["fn"]
        if depth == 2:
            pairs = self._zip(node.args, 2, lambda args, _i, _t: (args[0], args[1] if len(args) > 1 else 1))
            return 1, [aggregate_values(fn, turns) for turns in pairs]
        if depth == 0:
            value = self.values[node.args[0]]
            where = self.values[node.args[1]] if len(node.args) > 1 else 1
            return 0, aggregate_values(fn, [(value, where)])
        self.lifted.append(node.args)
        rows = [
            [self.get(arg, index) for arg in node.args]
            for index, is_alive in enumerate(self.alive)
            if is_alive
        ]
        return 0, aggregate_values(fn, [(row[0], row[1] if len(row) > 1 else 1) for row in rows])

    def _look_up_judgements(self, node: Node) -> tuple[int, Any]:
        # A judgement of what does not depend on the rollout is still asked once per rollout: keys are the same shape.
        depth = max(1, *(self.depths[arg] for arg in node.args))

        def look_up(args: list[Value], index: int, turn: int | None) -> Value:
            for arg in args:
                if isinstance(arg, Failed | NotApplicable):
                    return arg
            key = f"{node.id}:{index}" + (f":{turn}" if turn is not None else "")
            judgement = Judgement(key, node.id, index, turn, node.params["fn"], node.params, tuple(args))
            self.asked.append(judgement)
            return self.judgements.get(key, Failed(f"`{node.params['fn']}` was not asked"))

        return depth, self._zip(node.args, depth, look_up)

    def _toss(self, node: Node, index: int) -> Value:
        probability = self.get(node.args[0], index)
        if isinstance(probability, Failed | NotApplicable):
            return probability
        if not is_number(probability):
            return Failed("`bernoulli` needs a number")
        return int(random.Random(f"{self.rollouts[index].seed} {node.id}").random() < probability)

    # --- levels -------------------------------------------------------------------------------------------

    def _zip(
        self, args: Sequence[str], depth: int, compute: Callable[[list[Value], int, int | None], Any]
    ) -> Any:
        """`compute(arguments, rollout, turn)` at every place of a level, coarser arguments repeated."""
        if depth == 0:
            return compute([self.values[arg] for arg in args], 0, None)
        if depth == 1:
            return [
                compute([self.get(arg, index) for arg in args], index, None)
                for index in range(len(self.rollouts))
            ]
        return [self._zip_turns(args, index, compute) for index in range(len(self.rollouts))]

    def _zip_turns(
        self, args: Sequence[str], index: int, compute: Callable[[list[Value], int, int | None], Any]
    ) -> list[Any]:
        columns = [(self.get(arg, index), self.depths[arg] == 2) for arg in args]
        length = max((len(value) for value, is_list in columns if is_list), default=0)

        def at(value: Any, is_list: bool, turn: int) -> Value:
            if not is_list:
                return value  # type: ignore[no-any-return]
            return value[turn] if turn < len(value) else NOT_APPLICABLE

        return [
            compute([at(value, is_list, turn) for value, is_list in columns], index, turn)
            for turn in range(length)
        ]

    def _map_value(self, change: Callable[[Any], Any], value: Any, depth: int) -> Any:
        if depth == 0:
            return change(value)
        return [self._map_value(change, part, depth - 1) for part in value]


# --- results ----------------------------------------------------------------------------------------------


def _settle(
    reward: RewardGraph, pass_: _Pass, alive: Sequence[bool], reasons: Sequence[str | None]
) -> Scores:
    count = len(alive)
    totals: list[float | None] = []
    dropped: list[str | None] = []
    for index in range(count):
        total, reason = _settle_total(
            pass_.get(reward.result, index), alive[index], reasons[index], reward.on_failure
        )
        totals.append(total)
        dropped.append(reason)
    failed = next((reason for reason in reasons if reason is not None), None)
    if failed is not None and reward.on_failure.action == "drop_group":
        totals, dropped = [None] * count, [failed] * count
    terms = {
        term: tuple(_flatten(pass_.get(term, index), pass_.depths[term]) for index in range(count))
        for term in reward.terms
    }
    return Scores(tuple(totals), terms, tuple(dropped))


def _settle_total(
    value: Value, is_alive: bool, reason: str | None, on_failure: OnFailure
) -> tuple[float | None, str | None]:
    if not is_alive:
        return (on_failure.value, None) if on_failure.action == "value" else (None, reason)
    if value is NOT_APPLICABLE:
        return None, "the total is not applicable"
    if not is_number(value):
        return None, "the total is not a number"
    return float(value), None  # type: ignore[arg-type]


def _flatten(value: Any, depth: int) -> float | None:
    if depth == 2:
        numbers = [float(part) for part in value if is_number(part)]
        return _mean(numbers) if numbers else None
    return float(value) if is_number(value) else None
