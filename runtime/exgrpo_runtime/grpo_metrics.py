"""Figures of a GRPO stage: one line per step, a file of rollouts to read, and the stage's summary.

No term of a reward is treated by its name; what is said of one is said of all. Invariant: a value that is
missing is counted nowhere, never taken as 0.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from exgrpo_artifact.evaluate import list_turn_values
from exgrpo_artifact.graph import RewardGraph
from exgrpo_artifact.manifest import EvaluateStage, GrpoStage, Manifest
from exgrpo_runtime.advantages import has_signal
from exgrpo_runtime.rollout_plans import TOO_LONG, VoidRollout
from exgrpo_runtime.rollouts import list_messages
from exgrpo_runtime.scoring import CHANGE, ScoredGroup
from exgrpo_runtime.training import clean_figures
from exgrpo_runtime.trl_adapter import StepFigures

MAX_GROUPS_KEPT = 200
"""Groups written to rollouts.jsonl over a stage, evenly spread."""
MAX_FAILED_GROUPS_KEPT = 100
"""Further groups written there, the first in which a rollout failed."""


def describe_step(
    groups_P: Sequence[ScoredGroup],
    advantages_PG: Sequence[Sequence[float]],
    changes: Mapping[str, Sequence[bool]],
    result: str,
    right_term: str | None = None,
    num_resampled: int = 0,
) -> dict[str, Any]:
    """What the rollouts of a step say, by scenario and by term.

    Args:
        groups_P: the step's groups.
        advantages_PG: of their trained rollouts.
        changes: term -> whether it changes an advantage, by group.
        result: the name of the total.
        right_term: 1 where an answer is right; None where no term says that.
        num_resampled: groups without an advantage that were sampled anew.
    """
    right, punished = _count_punished(groups_P, advantages_PG, right_term)
    voids: Counter[str] = Counter()
    dropped: Counter[str] = Counter()
    substituted: Counter[str] = Counter()
    truncated = 0
    for group in groups_P:
        for member in group.members:
            if isinstance(member, VoidRollout):
                if member.reason == TOO_LONG:
                    dropped[TOO_LONG] += 1
                else:
                    voids[member.scenario] += 1
        substituted.update(group.scores.substituted)
        dropped.update(reason for reason in group.scores.dropped if reason is not None)
        truncated += sum(member.num_truncated for member in group.sampled)
    return {
        "rollouts": sum(len(group.sampled) for group in groups_P),
        "voids": dict(voids),
        "dropped": dict(dropped),
        "substituted": dict(substituted),
        "truncated_turns": truncated,
        "groups": len(groups_P),
        "groups_without_signal": sum(not has_signal(advantages_G) for advantages_G in advantages_PG),
        "groups_resampled": num_resampled,
        "right": right,
        "right_punished": punished,
        "scenarios": _describe_scenarios(groups_P, result),
        "terms": {term: _describe_term(groups_P, term, changed) for term, changed in changes.items()},
    }


def find_right_term(manifest: Manifest, stage: GrpoStage, reward: RewardGraph) -> str | None:
    """The term that is 1 where an answer is right.

    The one that the compiler found, else the one that an evaluate stage scores with by the same reward.
    """
    if stage.signal is not None:
        return stage.signal.term
    scored = [
        other.term
        for other in manifest.stages
        if isinstance(other, EvaluateStage) and other.reward == stage.reward and other.term in reward.terms
    ]
    return scored[0] if scored else None


def _count_punished(
    groups_P: Sequence[ScoredGroup], advantages_PG: Sequence[Sequence[float]], right_term: str | None
) -> tuple[int | None, int | None]:
    """Trained rollouts that are right, and those of them whose advantage is negative."""
    if right_term is None:
        return None, None
    found: list[float] = []
    for group, advantages_G in zip(groups_P, advantages_PG, strict=True):
        values_G = group.spread(group.scores.terms[right_term])
        totals_G = group.spread_totals(group.scores)
        found += [
            advantage
            for value, total, advantage in zip(values_G, totals_G, advantages_G, strict=True)
            if value is not None and value >= 1 and total is not None
        ]
    return len(found), sum(advantage < -CHANGE for advantage in found)


def _describe_scenarios(groups_P: Sequence[ScoredGroup], result: str) -> dict[str, dict[str, float | None]]:
    """Scenario -> number of rollouts that have a total, its mean, and the mean of each term."""
    kept: dict[str, list[dict[str, float | None]]] = {}
    for group in groups_P:
        for place, member in enumerate(group.sampled):
            total = group.scores.totals[place]
            if total is not None:
                values = {
                    term: values[place] for term, values in group.scores.terms.items() if term != result
                }
                kept.setdefault(member.scenario, []).append({"total": total, **values})
    return {
        scenario: {
            "n": len(rollouts),
            **{name: compute_mean(r[name] for r in rollouts) for name in rollouts[0]},
        }
        for scenario, rollouts in kept.items()
    }


def _describe_term(
    groups_P: Sequence[ScoredGroup], term: str, changed: Sequence[bool]
) -> dict[str, float | None]:
    """`changed` is a share of all groups; `groups_changed` counts those in which the term also fired."""
    values_P = [group.scores.terms[term] for group in groups_P]
    fired = [any(value not in (None, 0.0) for value in values) for values in values_P]
    return {
        "mean": compute_mean(value for values in values_P for value in values),
        "fired": compute_mean(float(flag) for flag in fired),
        "changed": compute_mean(float(flag) for flag in changed),
        "groups_fired": sum(fired),
        "groups_changed": sum(a and b for a, b in zip(fired, changed, strict=True)),
    }


def join_figures(
    figures: StepFigures, tokens: int, seconds: Mapping[str, float], step: Mapping[str, Any]
) -> dict[str, Any]:
    """One line of metrics.jsonl.

    Args:
        figures: what the trainer measured.
        tokens: sampled in the step.
        seconds: by part; `all` is the whole step.
        step: what `describe_step` says.
    """
    return {
        "step": figures.step,
        "loss": figures.loss,
        "lr": figures.learning_rate,
        "kl": figures.kl,
        "clip_fraction": figures.clip_fraction,
        "aux_loss": figures.aux_loss,
        "grad_norm": figures.grad_norm,
        "tokens": tokens,
        "tokens_per_s": tokens / max(seconds["all"], 1e-9),
        "seconds": seconds["all"],
        "seconds_sampling": seconds["sampling"],
        "seconds_scoring": seconds["scoring"],
        **step,
    }


def compute_mean(values: Iterable[float | None]) -> float | None:
    """Mean of the values that are there; None where none is."""
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


class RolloutsLog:
    """rollouts.jsonl, one rollout a line, for people to read: the first group of a step, and groups in which a rollout failed."""

    def __init__(self, path: Path, stage: GrpoStage, reward: RewardGraph) -> None:
        self._stream = path.open("w", encoding="utf-8")
        self._stride = math.ceil(stage.steps / MAX_GROUPS_KEPT)
        self._reward = reward
        self._failed_left = MAX_FAILED_GROUPS_KEPT

    def write_step(
        self, step: int, groups_P: Sequence[ScoredGroup], advantages_PG: Sequence[Sequence[float]]
    ) -> None:
        """Appends what is kept of a step (from 1): both kinds of groups are bounded over the stage."""
        for place, (group, advantages_G) in enumerate(zip(groups_P, advantages_PG, strict=True)):
            if place == 0 and (step - 1) % self._stride == 0:
                self._write_group(step, group, advantages_G)
            elif self._failed_left and any(group.scores.dropped):
                self._failed_left -= 1
                self._write_group(step, group, advantages_G)
        self._stream.flush()

    def _write_group(self, step: int, group: ScoredGroup, advantages_G: Sequence[float]) -> None:
        turn_terms = list_turn_values(
            self._reward, group.question.row.fields, group.records, group.scores, group.judgements
        )
        advantages = iter(advantages_G)
        place = 0
        for member in group.members:
            advantage = next(advantages) if member.is_trained else None
            if isinstance(member, VoidRollout):
                continue
            line = {
                "step": step,
                "row": group.question.row.uid,
                "scenario": member.scenario,
                "trained": member.is_trained,
                "dialogue": list_messages(member),
                "terms": {
                    name: values[place]
                    for name, values in group.scores.terms.items()
                    if name != self._reward.result
                },
                "turn_terms": {name: list(values[place]) for name, values in turn_terms.items()},
                "total": group.scores.totals[place],
                "advantage": advantage,
                "truncated_turns": member.num_truncated,
                "dropped": group.scores.dropped[place],
            }
            self._stream.write(json.dumps(clean_figures(line), ensure_ascii=False, allow_nan=False) + "\n")
            place += 1

    def close(self) -> None:
        """Closes the file."""
        self._stream.close()


def summarize_stage(lines: Sequence[Mapping[str, Any]], seconds: float) -> dict[str, Any]:
    """The stage in a few figures, from its metrics lines.

    `first` and `last` hold the mean total and terms over the first and the last tenth of the steps; `terms`
    says in what share of the stage's groups each term fired, and changed an advantage.
    """
    tenth = max(1, len(lines) // 10)
    return {
        "steps": len(lines),
        "seconds": round(seconds, 3),
        "first": _average_terms(lines[:tenth]),
        "last": _average_terms(lines[-tenth:]),
        "terms": {
            term: {
                name: compute_mean(line["terms"][term][name] for line in lines)
                for name in ("fired", "changed")
            }
            for term in lines[0]["terms"]
        },
        "groups": sum(line["groups"] for line in lines),
        "groups_without_signal": sum(line["groups_without_signal"] for line in lines),
        "groups_resampled": sum(line["groups_resampled"] for line in lines),
        "right": sum(line["right"] or 0 for line in lines),
        "right_punished": sum(line["right_punished"] or 0 for line in lines),
        "rollouts": sum(line["rollouts"] for line in lines),
        "tokens": sum(line["tokens"] for line in lines),
        "truncated_turns": sum(line["truncated_turns"] for line in lines),
        "voids": _add_counts(line["voids"] for line in lines),
        "dropped": _add_counts(line["dropped"] for line in lines),
        "substituted": _add_counts(line["substituted"] for line in lines),
    }


def measure_signal(stage: GrpoStage, lines: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """How often answers were right, beside the range in which over half of the groups carry signal.

    `is_outside` is of the first tenth of the steps: a stage that leaves the range later has learned what it could.
    """
    if stage.signal is None or not lines:
        return None
    first = _average_terms(lines[: max(1, len(lines) // 10)]).get(stage.signal.term)
    last = _average_terms(lines[-max(1, len(lines) // 10) :]).get(stage.signal.term)
    if first is None:
        return None
    return {
        "term": stage.signal.term,
        "low": stage.signal.low,
        "high": stage.signal.high,
        "first": first,
        "last": last,
        "is_outside": not stage.signal.low <= first <= stage.signal.high,
    }


def _average_terms(lines: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    total_n = sum(scenario["n"] for line in lines for scenario in line["scenarios"].values())
    weighted = math.fsum(
        scenario["n"] * scenario["total"] for line in lines for scenario in line["scenarios"].values()
    )
    means = {term: compute_mean(line["terms"][term]["mean"] for line in lines) for term in lines[0]["terms"]}
    return {**means, "total": weighted / total_n if total_n else None}


def _add_counts(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    added: Counter[str] = Counter()
    for count in counts:
        added.update(count)
    return dict(added)
