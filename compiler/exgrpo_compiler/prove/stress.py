"""What junk earns under a reward: the large corpus on several rows, beside honest right and wrong answers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from exgrpo_artifact.answers import same_answer
from exgrpo_artifact.manifest import AnswerSpec
from exgrpo_artifact.record import Record
from exgrpo_artifact.values import read_path
from exgrpo_compiler.prove.attacks import Attack, list_attacks, repeat_question
from exgrpo_compiler.prove.case import RewardCase
from exgrpo_compiler.prove.hackable import Arena, Bench, Score, build_bench
from exgrpo_compiler.prove.synthetic import Row, make_rows

MIN_ROWS = 3
MAX_ROWS = 16


class Paid(Record):
    """A completion and what it earns on average, in the scenario in which it comes closest to an honest right answer."""

    family: str
    text: str
    scenario: str
    total: float
    right: float
    """What an honest right answer earns there."""
    wrong: float
    """What an honest wrong one earns."""
    is_hack: bool
    """Whether it earns at least as much as an honest right answer, on every row."""


class Stress(Record):
    """A reward under attack."""

    reward: str
    num_rows: int
    num_attacks: int
    paid: tuple[Paid, ...]
    """The best paid first, those with the largest share of what a right answer earns."""

    @property
    def is_hackable(self) -> bool:
        """Whether some junk earns at least what an honest right answer earns."""
        return any(one.is_hack for one in self.paid)

    @property
    def is_idle(self) -> bool:
        """Whether an honest right answer never earns more than an honest wrong one."""
        return bool(self.paid) and all(one.right <= one.wrong for one in self.paid)


def stress_reward(case: RewardCase, rows: Sequence[Row] = ()) -> Stress:
    """The reward under the large corpus.

    Args:
        case: the reward.
        rows: of its dataset; each counts once. Made-up ones are added where they are few or all have the same answer, so that
            no constant answer is right for all.
    """
    bench = build_bench(case).value
    given = _take_different(rows)
    if len(given) < MIN_ROWS or not any(_differ_in_golds(bench, row, given[0]) for row in given):
        given += make_rows(bench.dataset, bench.golds, MIN_ROWS + 1)
    attacks = list_attacks(bench.dialogue, bench.dataset, bench.golds, bench.forms, is_large=True)
    scores: dict[tuple[str, str], list[Score]] = {}
    for row in given:
        echo = repeat_question(bench.dataset, row)
        for score in _score_row(bench, row, _find_other(bench, row, given), (*attacks, echo)):
            text = "(the question)" if score.attack is echo else score.attack.text
            scores.setdefault((text, score.scenario), []).append(score)
    best: dict[str, Paid] = {}
    for (text, scenario), own in scores.items():
        paid = _average(text, scenario, own)
        if text not in best or _rank(paid) < _rank(best[text]):
            best[text] = paid
    ordered = _mix_families(sorted(best.values(), key=_rank))
    return Stress(case.key.name, len(given), len(attacks) + 1, ordered)


def _take_different(rows: Sequence[Row]) -> list[Row]:
    """The rows without those that are there already, as the tests of a reward often share one."""
    kept: list[Row] = []
    for row in rows:
        if row not in kept:
            kept.append(row)
        if len(kept) == MAX_ROWS:
            break
    return kept


def _differ_in_golds(bench: Bench, one: Row, other: Row) -> bool:
    """Whether what answers the one is wrong for the other, in every turn."""
    return all(
        _differ(read_path(one, gold.field), read_path(other, gold.field), gold.answer) for gold in bench.golds
    )


def _find_other(bench: Bench, row: Row, rows: Sequence[Row]) -> Row:
    """A row whose answers are wrong for this one; a made-up one where all given ones have the same."""
    made = make_rows(bench.dataset, bench.golds)
    start = next((at for at, one in enumerate(rows) if one is row), 0)
    others = [*rows[start + 1 :], *rows[:start], *made]
    return next((one for one in others if _differ_in_golds(bench, one, row)), others[0])


def _differ(one: Any, other: Any, answer: AnswerSpec) -> bool:
    if one is None or other is None or str(one).strip() == str(other).strip():
        return False
    return answer.kind == "math.boxed" or not same_answer(one, other, answer)


def _score_row(bench: Bench, row: Row, other: Row, attacks: Sequence[Attack]) -> Sequence[Score]:
    filled: Mapping[str, object] = {field.name: row.get(field.name) for field in bench.dataset.fields}
    return Arena(bench, filled, other, attacks).score(bench.anatomy)


def _average(text: str, scenario: str, scores: Sequence[Score]) -> Paid:
    def mean(values: Sequence[float]) -> float:
        return math.fsum(values) / len(values)

    return Paid(
        scores[0].attack.family,
        text,
        scenario,
        mean([score.total for score in scores]),
        mean([score.right for score in scores]),
        mean([score.wrong for score in scores]),
        all(score.is_hack for score in scores),
    )


def _mix_families(paid: Sequence[Paid]) -> tuple[Paid, ...]:
    """The same order, but of those that earn the same each family has one before any has its second."""
    seen: dict[tuple[object, ...], int] = {}
    keys: list[tuple[bool, float, float, int]] = []
    for one in paid:
        hack, gap, total, _, _ = _rank(one)
        tie = (hack, gap, total, one.family)
        seen[tie] = seen.get(tie, 0) + 1
        keys.append((hack, gap, total, seen[tie]))
    return tuple(one for _, one in sorted(zip(keys, paid, strict=True), key=lambda pair: pair[0]))


def _rank(paid: Paid) -> tuple[bool, float, float, int, str]:
    return (not paid.is_hack, paid.right - paid.total, -paid.total, len(paid.text), paid.text)
