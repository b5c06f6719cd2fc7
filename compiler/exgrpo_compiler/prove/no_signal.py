"""`no-signal`: groups in which every rollout earns the same teach nothing.

Also told: between which success rates over half of the groups teach something.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

from exgrpo_artifact.manifest import Signal
from exgrpo_artifact.named import NamedTuple
from exgrpo_compiler.diagnostics import Diagnostic, Label
from exgrpo_compiler.prove.affine import has_gaps
from exgrpo_compiler.prove.case import TrainCase
from exgrpo_compiler.prove.groups import Frame, get_frame, is_all_tried, looks_at_turns
from exgrpo_compiler.prove.memo import remember
from exgrpo_compiler.prove.model import FAILED, RewardModel
from exgrpo_compiler.prove.training import Training, build_training
from exgrpo_compiler.prove.worlds import Outcome, Sampling, list_pairs

NUM_KINDS = 32
HALF = 0.5
GRID = 64
TOLERANCE = 1e-12


class SignalRange(NamedTuple):
    """Success rates between which more than half of the groups carry signal, ends from 0 to 1."""

    low: float
    high: float


def is_constant(model: RewardModel, sampling: Sampling, baseline: str) -> bool:
    """Whether it is certain that no group has two different totals under one baseline.

    Certain where every kind of rollouts and every group was looked at; else it is left to the inference of ranges.
    """
    frame = get_frame(model.anatomy, sampling, NUM_KINDS)
    kinds = frame.kinds
    below = model.anatomy.below[model.anatomy.graph.result]
    varying = [atom for atom in model.anatomy.atoms if atom.id in below and atom.level != "const"]
    if not varying and len({kind.scenario for kind in kinds}) == 1 and not looks_at_turns(model.anatomy):
        return True
    if _finds_signal(model, frame, baseline):
        return False
    return _is_group_level(model) or (
        is_all_tried(model.anatomy, sampling, NUM_KINDS) and not has_gaps(model.anatomy)
    )


def _is_group_level(model: RewardModel) -> bool:
    result = model.anatomy.graph.result
    return all(node.level in ("group", "const") for node in model.anatomy.graph.nodes if node.id == result)


def _finds_signal(model: RewardModel, frame: Frame, baseline: str) -> bool:
    num_kinds = len(frame.kinds)
    for table, trained in frame.iterate_tables():
        totals = table.spread(model.anatomy.graph.result, model.anatomy)
        for number, places in enumerate(trained):
            start = number * num_kinds
            if _has_signal([(frame.kinds[at].scenario, totals[start + at]) for at in places], baseline):
                return True
    return False


def _has_signal(totals: Sequence[tuple[str, object]], baseline: str) -> bool:
    """Whether two totals under one baseline differ; a dropped rollout counts nowhere."""
    first: dict[str, float] = {}
    for scenario, total in totals:
        if total is None or total is FAILED or not isinstance(total, int | float):
            continue
        key = scenario if baseline == "scenario" else ""
        if abs(first.setdefault(key, total) - total) > TOLERANCE:
            return True
    return False


# --- success rates ----------------------------------------------------------------------------------------


def find_signal_range(
    model: RewardModel, outcome: Outcome, sampling: Sampling, baseline: str
) -> SignalRange | None:
    """Between which shares of right answers more than half of the groups have two different totals.

    Each rollout is right with the same probability p, by itself; all but the outcomes is held equal. P(signal) is the sum over
    the patterns of outcomes with signal of prod_s C(n_s, k_s) p^k_s (1 - p)^(n_s - k_s). None where it is never above one half.
    """
    pair = list_pairs(model, outcome, sampling)[0]
    if len(pair.splits) < math.prod(size + 1 for size in sampling.counts.values()):
        return None
    totals = pair.score(model.anatomy)
    # Patterns with the same number of right answers differ by a factor that p does not change.
    weights = [0.0] * (sum(sampling.counts.values()) + 1)
    for split, trained in zip(pair.splits, pair.trained, strict=True):
        if _has_signal([(one.scenario, totals[one.row]) for one in trained], baseline):
            weights[sum(split.right.values())] += split.number
    return _solve(tuple(weights))


@lru_cache(maxsize=256)
def _solve(weights: tuple[float, ...]) -> SignalRange | None:
    total = len(weights) - 1

    def measure(p: float) -> float:
        return sum(weight * p**k * (1 - p) ** (total - k) for k, weight in enumerate(weights) if weight)

    above = [at for at in range(GRID + 1) if measure(at / GRID) > HALF]
    if not above:
        return None
    return SignalRange(
        _bisect(measure, (above[0] - 1) / GRID, above[0] / GRID) if above[0] else 0.0,
        _bisect(measure, (above[-1] + 1) / GRID, above[-1] / GRID) if above[-1] < GRID else 1.0,
    )


def _bisect(measure: Callable[[float], float], below: float, above: float) -> float:
    for _ in range(40):
        middle = (below + above) / 2
        below, above = (below, middle) if measure(middle) > HALF else (middle, above)
    return above


# --- words ------------------------------------------------------------------------------------------------


@remember
def has_no_signal(training: Training) -> bool:
    """Whether all advantages of the stage are 0."""
    return is_constant(training.model, training.sampling, training.baseline)


@remember
def _find_range_in(training: Training) -> SignalRange | None:
    if training.outcome is None:
        return None
    return find_signal_range(training.model, training.outcome, training.sampling, training.baseline)


def prove_signal(training: TrainCase) -> Iterable[Diagnostic]:
    """`no-signal` of a stage: an error where no group can have any, a warning where a whole scenario never has."""
    group, baseline = training.stage.settings["group"], training.stage.settings["baseline"]
    yield from _report_empty(training)
    single = [name for name, size in group.items() if size == 1]
    if baseline == "scenario" and single:
        names = " and ".join(f"`{name}`" for name in single)
        yield Diagnostic(
            "no-signal",
            "error" if len(single) == len(group) else "warning",
            f"The only rollout of {names} is its own baseline, so its advantage is always 0.",
            training.span,
            hint="give the scenario at least two rollouts, or write baseline: group",
        )
        if len(single) == len(group):
            return
    if has_no_signal(build_training(training)):
        case = training.case
        yield Diagnostic(
            "no-signal",
            "error",
            "All rollouts of a group earn the same total, so every advantage is 0 and nothing is learned.",
            case.spans[case.graph.result],
            (Label(training.span, "trained on here"),),
            "let `total` depend on what a rollout says, as on matches(d.final, item.gold)",
        )


def _report_empty(training: TrainCase) -> Iterable[Diagnostic]:
    """Scenarios that no rollout can be of: a cut keeps a probe and leaves one out, and there is one."""
    settings, dialogue = training.stage.settings, training.case.dialogue
    if dialogue.count != 1:
        return
    for name in [*settings["group"], *(settings["compare"] or {})]:
        cut = dialogue.scenarios[name]
        if cut.kind == "all" or cut.count is None:
            continue
        if cut.count.op == "const" and cut.count.params["value"] <= 0:
            continue
        yield Diagnostic(
            "no-signal",
            "warning",
            f"No rollout is of scenario `{name}`: it keeps one probe and leaves one out, and only one is drawn.",
            training.span,
            hint="draw more, as sample(probes, 3), or take the scenario out of the stage",
        )


def measure_signal(training: TrainCase) -> SignalRange | None:
    """Success rates between which more than half of the stage's groups carry signal; None where that cannot be told."""
    return _find_range_in(build_training(training))


def find_signal(training: TrainCase) -> Signal | None:
    """The same with the term whose mean is the success rate; None too where that is no plain 0 or 1."""
    keyed = build_training(training)
    range_, outcome = measure_signal(training), keyed.value.outcome
    if range_ is None or outcome is None or not _is_plain(keyed.value, outcome):
        return None
    return Signal(term=outcome.term, low=round(range_.low, 6), high=round(range_.high, 6))


def _is_plain(training: Training, outcome: Outcome) -> bool:
    """Whether the term is one `matches` or the like, so that its mean is a share of right answers."""
    return any(
        outcome.term in atom.nodes and atom.values == (0.0, 1.0) for atom in training.model.anatomy.atoms
    )


def describe_signal(training: TrainCase) -> str | None:
    """The same as a sentence that explains itself, ending "… do so while 8.3 to 91.7% of the answers are right"."""
    range_ = measure_signal(training)
    if range_ is None:
        return None
    return (
        f"{training.task.name}: in `{training.stage.name}` a group teaches something only where its rollouts earn "
        f"differently: more than half of the groups do while {100 * range_.low:.1f} to {100 * range_.high:.1f}% "
        "of the answers are right"
    )
