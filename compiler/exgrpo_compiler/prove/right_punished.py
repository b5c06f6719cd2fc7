"""`right-punished`: a right rollout below the baseline of its group, all but the outcomes held equal.

Found by enumerating how many rollouts of each scenario are right. The sign of an advantage does not depend on what divides it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from exgrpo_artifact.record import Record
from exgrpo_compiler.diagnostics import Diagnostic, Label
from exgrpo_compiler.prove.advantages import centre_totals, compute_advantages
from exgrpo_compiler.prove.case import TrainCase
from exgrpo_compiler.prove.memo import remember
from exgrpo_compiler.prove.model import RewardModel
from exgrpo_compiler.prove.training import Training, build_training
from exgrpo_compiler.prove.wordings import format_figure, list_counts
from exgrpo_compiler.prove.worlds import Outcome, Sampling, Split, Trained, list_pairs

TOLERANCE = 1e-9


class Punished(Record):
    """A pattern of outcomes, and the right rollouts that come off badly in it."""

    right: Mapping[str, int]
    """Right rollouts by scenario."""
    scenario: str
    total: float
    advantage: float


def find_punished(
    model: RewardModel, outcome: Outcome, sampling: Sampling, baseline: str, scale: str
) -> Punished | None:
    """The worst advantage of a right rollout where one is negative."""
    worst: Punished | None = None
    for pair in list_pairs(model, outcome, sampling):
        totals = pair.score(model.anatomy)
        for split, trained in zip(pair.splits, pair.trained, strict=True):
            if not _may_punish(trained, totals, baseline):
                continue
            found = _find_in_pattern(split, trained, totals, baseline, scale)
            if found is not None and (worst is None or found.advantage < worst.advantage - TOLERANCE):
                worst = found
    return worst


def _may_punish(trained: Sequence[Trained], totals: Sequence[float | None], baseline: str) -> bool:
    """Whether a right rollout earns less than another one under its baseline; where not, it is at least at the mean."""
    most: dict[str, float] = {}
    least: dict[str, float] = {}
    for row, _, scenario, is_right in trained:
        total = totals[row]
        if total is None:
            return False
        key = scenario if baseline == "scenario" else ""
        if key not in most or total > most[key]:
            most[key] = total
        if is_right and (key not in least or total < least[key]):
            least[key] = total
    return any(total < most[key] for key, total in least.items())


def _find_in_pattern(
    split: Split, trained: Sequence[Trained], totals: Sequence[float | None], baseline: str, scale: str
) -> Punished | None:
    kept = [total for one in trained if (total := totals[one.row]) is not None]
    numbers, names = [one.number for one in trained], [one.scenario for one in trained]
    centred = centre_totals(kept, numbers, names, baseline)
    size = max((abs(total) for total in kept), default=0.0) + 1e-12
    punished = [i for i, one in enumerate(trained) if one.is_right and centred[i] < -TOLERANCE * size]
    if not punished:
        return None
    advantages = compute_advantages(kept, numbers, names, baseline, "none" if scale == "none" else "group")
    at = min(punished, key=lambda i: advantages[i])
    return Punished(dict(split.right), names[at], kept[at], advantages[at])


# --- words ------------------------------------------------------------------------------------------------


@remember
def _find_in(training: Training) -> tuple[Punished, bool] | None:
    """The worst case, and whether `baseline: scenario` cures it."""
    if training.outcome is None:
        return None
    parts = (training.model, training.outcome, training.sampling)
    found = find_punished(*parts, training.baseline, training.scale)
    if found is None:
        return None
    return found, training.baseline != "scenario" and find_punished(
        *parts, "scenario", training.scale
    ) is None


def prove_right_punished(training: TrainCase) -> Iterable[Diagnostic]:
    """`right-punished` of a stage."""
    keyed = build_training(training)
    worst = _find_in(keyed)
    if worst is None:
        return
    found, is_curable = worst
    sampling = keyed.value.sampling
    yield Diagnostic(
        "right-punished",
        "warning",
        f"Where {list_counts(found.right, sampling.counts)} rollouts are right, a right {found.scenario} rollout earns "
        f"{format_figure(found.total)} and gets the advantage {format_figure(found.advantage)}.",
        training.span,
        (Label(training.case.term_spans["total"], "all parts but the outcome are taken as equal"),),
        "write baseline: scenario, which subtracts each scenario's own mean"
        if is_curable
        else "pay a right rollout no less than a wrong one of its own scenario, whatever the others do",
    )
