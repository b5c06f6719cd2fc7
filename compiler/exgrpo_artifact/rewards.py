"""Evaluation of a reward over the rollouts of one item.

Invariants: pure; a failed term never becomes a number unless the reward says which (`on_failure = value(x)`); a rollout
that fails is dropped before any value of the group is computed, so it never counts in a mean that another sees.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from exgrpo_artifact.graph import RewardGraph
from exgrpo_artifact.record import Record
from exgrpo_artifact.reward_table import RewardTable, Rollout
from exgrpo_artifact.values import NOT_APPLICABLE, Failed, Value

__all__ = ["Rollout", "Scores", "evaluate_reward", "list_turn_values"]


class Scores(Record):
    """What a reward gives. Every tuple is aligned with the rollouts."""

    totals: tuple[float | None, ...]
    """None where the rollout was dropped."""
    terms: dict[str, tuple[float | None, ...]]
    """By term in source order, `total` last. A turn's term is the mean over the turns, a group's is repeated; None where
    it is not applicable, no number, or the rollout failed."""
    dropped: tuple[str | None, ...]
    """Why the rollout has no total; None where it has one."""
    substituted: tuple[str, ...] = ()
    """Of the whole group: why a term failed and took the value that the reward declares, once for each value."""


def evaluate_reward(
    reward: RewardGraph,
    item: Mapping[str, Any],
    rollouts: Sequence[Rollout],
    judgements: Mapping[str, Value] | None = None,
    neutralise: frozenset[str] = frozenset(),
) -> Scores:
    """Scores of the rollouts of one item, which form one group.

    Args:
        reward: the graph.
        item: fields of the row.
        rollouts: all that the group's means go over.
        judgements: by the keys of `collect_judgements`; one that is absent is failed.
        neutralise: terms taken as 0 wherever they have a value. A term that fails still drops its rollout.

    Raises:
        ArtifactError: the graph is malformed.
        MissingDependencyError: an outcome by `math.boxed` without math-verify.
    """
    substitute = reward.on_failure.value if reward.on_failure.action == "value" else None
    dropped: list[str | None] = [None] * len(rollouts)
    while True:
        is_active = [reason is None for reason in dropped]
        table = RewardTable(
            reward,
            item,
            rollouts,
            judgements or {},
            is_active=is_active,
            neutralise=neutralise,
            substitute=substitute,
        )
        failures = _find_failures(table)
        if not failures:
            return _collect_scores(table, dropped)
        if reward.on_failure.action == "drop_group":
            rollout, reason = next(iter(failures.items()))
            whole = f"the group was dropped: in rollout {rollout}, {reason}"
            failures = {place: failures.get(place, whole) for place in range(len(rollouts))}
        for place, reason in failures.items():
            dropped[place] = dropped[place] or reason


def list_turn_values(
    reward: RewardGraph,
    item: Mapping[str, Any],
    rollouts: Sequence[Rollout],
    scores: Scores,
    judgements: Mapping[str, Value] | None = None,
) -> dict[str, tuple[tuple[float | None, ...], ...]]:
    """Of each term that is said of a turn inside `for`: its values, rollout by rollout and turn by turn.

    Args:
        reward: the graph.
        item: fields of the row.
        rollouts: what was scored.
        scores: what `evaluate_reward` made of them.
        judgements: as they were then.

    Returns:
        Term -> for each rollout a value per turn; empty for a rollout that was dropped, None where a turn has no number.
    """
    substitute = reward.on_failure.value if reward.on_failure.action == "value" else None
    is_active = [reason is None for reason in scores.dropped]
    table = RewardTable(reward, item, rollouts, judgements or {}, is_active=is_active, substitute=substitute)
    return {
        term: tuple(
            tuple(_to_number(value) for value in table.list_turns(term, place)) if is_active[place] else ()
            for place in range(table.num_rollouts)
        )
        for term in reward.terms
        if table.places[term].level == "turn"
    }


def _find_failures(table: RewardTable) -> dict[int, str]:
    """Active rollouts that fail, with the reason, at the lowest stratum where any does.

    Whatever fails above it may do so only because these were still counted, so it is looked at again without them.
    """
    for stratum in range(table.num_strata):
        failures: dict[int, str] = {}
        for place in table.active:
            reason = table.find_failure(place, stratum)
            if reason is not None:
                failures[place] = reason
        if failures:
            return failures
    return {}


def _collect_scores(table: RewardTable, dropped: list[str | None]) -> Scores:
    reward = table.reward
    terms: dict[str, tuple[float | None, ...]] = {}
    for term in reward.terms:
        column = [
            None if dropped[place] else _to_number(table.summarize(term, place))
            for place in range(table.num_rollouts)
        ]
        terms[term] = tuple(column)
    totals: list[float | None] = []
    for place, reason in enumerate(dropped):
        value = NOT_APPLICABLE if reason else table.summarize(reward.result, place)
        total = _to_number(value)
        if reason is None and total is None:
            dropped[place] = _explain_total(value)
        totals.append(total)
    return Scores(tuple(totals), terms, tuple(dropped), tuple(table.substituted))


def _to_number(value: Value) -> float | None:
    if not isinstance(value, int | float):
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def _explain_total(value: Value) -> str:
    if isinstance(value, Failed):
        return f"the total failed: {value.reason}"
    if value is NOT_APPLICABLE:
        return (
            "the total is not applicable: it is computed from a turn that was left out or from an empty set"
        )
    return "the total is not a number"
