"""Accuracy where a student answers each question several times: mean@n, pass@k, majority@n, with 95 % intervals over questions.

pass@k is the unbiased estimate of Chen et al. 2021 (arXiv 2107.03374, eq. 1): of n answers c are right, and
pass@k = 1 - C(n - c, k) / C(n, k), the chance that k of them taken without replacement hold a right one. An answer is right where
its score is at least a half. Intervals treat questions as drawn, not answers: n answers to one question are no n questions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from exgrpo_artifact.answers import extract_answer, same_answer
from exgrpo_artifact.errors import UndecidedError
from exgrpo_artifact.manifest import AnswerSpec
from exgrpo_runtime.evaluation import Completion
from exgrpo_runtime.intervals import score_interval

RIGHT = 0.5
"""The least score of a right answer."""


class Estimate(NamedTuple):
    """A mean over questions."""

    name: str
    """`greedy`, `mean@8`, `pass@4`, `majority@8`."""
    mean: float
    low: float
    high: float
    """95 % interval of the mean."""
    n: int
    """Questions that it is a mean of."""


def estimate_pass(total: int, right: int, k: int) -> float:
    """The chance that `k` of `total` answers, `right` of which are right, hold a right one; eq. 1 of Chen et al. 2021.

    Raises:
        ValueError: `k` is not between 1 and `total`.
    """
    if not 1 <= k <= total:
        raise ValueError(f"pass@{k} of {total} answers cannot be told")
    return 1 - math.comb(total - right, k) / math.comb(total, k)


def vote(texts: Sequence[str], scores: Sequence[float], spec: AnswerSpec) -> float:
    """The chance that the answer given most often is right, where ties are broken by lot; 0 where no text gives an answer.

    Args:
        texts: of one question.
        scores: of these texts.
        spec: how an answer is read out of a text. Texts that give none do not vote.
    """
    votes: list[tuple[str, list[float]]] = []
    for text, score in zip(texts, scores, strict=True):
        answer = extract_answer(text, spec)
        if answer is None:
            continue
        held = next((given for known, given in votes if _is_same(answer, known, spec)), None)
        if held is None:
            votes.append((answer, [score]))
        else:
            held.append(score)
    most = max((len(given) for _, given in votes), default=0)
    winners = [given for _, given in votes if len(given) == most]
    return sum(_is_right(given) for given in winners) / len(winners) if winners else 0.0


def list_estimates(completions: Sequence[Completion], spec: AnswerSpec | None) -> list[Estimate]:
    """Every figure that the completions allow, those of a question standing together.

    A single answer each gives `greedy`. pass@k is told for 1, 2, 4, … and all, over the questions with that many scored answers;
    the majority where `spec` says how answers are read.
    """
    questions = [list(group) for _, group in groupby(completions, key=lambda entry: entry.row)]
    scored = [[entry for entry in group if entry.score is not None] for group in questions]
    scored = [group for group in scored if group]
    if not scored:
        return []
    most = max(len(group) for group in questions)
    scores = [[float(entry.score or 0) for entry in group] for group in scored]
    means = [math.fsum(values) / len(values) for values in scores]
    if most == 1:
        return [_summarise("greedy", means)]
    found = [_summarise(f"mean@{most}", means)]
    for k in _list_sizes(most):
        values = [
            estimate_pass(len(group), sum(score >= RIGHT for score in group), k)
            for group in scores
            if len(group) >= k
        ]
        found += [_summarise(f"pass@{k}", values)] if values else []
    if spec is not None:
        votes = [
            vote([entry.completion for entry in group], values, spec)
            for group, values in zip(scored, scores, strict=True)
        ]
        found.append(_summarise(f"majority@{most}", votes))
    return found


def _summarise(name: str, values: Sequence[float]) -> Estimate:
    interval = score_interval(values)
    assert interval is not None, "there is a value"
    return Estimate(name, math.fsum(values) / len(values), *interval, len(values))


def _list_sizes(most: int) -> list[int]:
    """1, 2, 4, … and `most`."""
    return sorted({*(2**power for power in range(most.bit_length())), most})


def _is_right(scores: Sequence[float]) -> bool:
    """Whether one answer is right that was given several times."""
    return math.fsum(scores) / len(scores) >= RIGHT


def _is_same(answer: str, other: str, spec: AnswerSpec) -> bool:
    if answer == other:
        return True
    try:
        return spec.kind == "math.boxed" and same_answer(answer, other, spec)
    except UndecidedError:  # too much to compare: then they count as two answers
        return False
