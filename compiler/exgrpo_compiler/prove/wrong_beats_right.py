"""`wrong-beats-right`: the best that a wrong answer can earn reaches the worst that a right one can earn.

Right means that the term which an evaluation scores by is at its maximum, wrong that it is at its minimum. The totals under either
are inferred as intervals, cases split on conditions. Where the intervals overlap and everything that the reward reads has few values,
all of them are tried, so that no overlap is reported that cannot be.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from exgrpo_artifact.record import Record, replace
from exgrpo_compiler.diagnostics import Diagnostic, Label
from exgrpo_compiler.prove.atoms import find_implied
from exgrpo_compiler.prove.case import TrainCase
from exgrpo_compiler.prove.groups import count_groups, get_frame
from exgrpo_compiler.prove.infer import Inference
from exgrpo_compiler.prove.inferred import find_facts, identify_inference, infer_reward
from exgrpo_compiler.prove.interval import ONE, Interval, make_set
from exgrpo_compiler.prove.memo import Keyed, remember
from exgrpo_compiler.prove.model import FAILED, RewardModel
from exgrpo_compiler.prove.no_signal import has_no_signal
from exgrpo_compiler.prove.training import build_training, find_scales
from exgrpo_compiler.prove.wordings import format_figure
from exgrpo_compiler.prove.worlds import MAX_PATTERNS, Sampling, find_outcome

NUM_KINDS = 32
MAX_LABELS = 3


class Setting(Record):
    """What the claim is about."""

    model: RewardModel
    sampling: Sampling
    inference: Inference
    term: str


class Overlap(Record):
    """Ranges of the total that meet."""

    term: str

    wrong: tuple[float, float]
    right: tuple[float, float]
    parts: tuple[tuple[str, float, float], ...]
    """Terms that vary while the outcome does not, the widest first: name, least, greatest."""


def find_overlap(setting: Setting) -> Overlap | None:
    """Where a wrong answer reaches a right one; None where it never does."""
    graph = setting.model.anatomy.graph
    inference = setting.inference
    scored = inference.intervals[setting.term]
    if not scored.is_bounded or scored.is_empty or scored.low == scored.high or setting.term == graph.result:
        return None
    assumed_right = {setting.term: make_set([scored.high]), **_assume_implied(setting)}
    assumed_wrong = {setting.term: make_set([scored.low])}
    right, wrong = inference.assume(assumed_right), inference.assume(assumed_wrong)
    ends = [wrong[graph.result], right[graph.result]]
    if any(one.is_empty or one.kind != "number" for one in ends) or ends[0].high < ends[1].low:
        return None
    narrowed = _narrow(setting, assumed_wrong, assumed_right, (ends[0].high, ends[1].low))
    if narrowed is None:
        return None
    exact = _try_all(setting, scored)
    if exact is not None:
        low, high = exact
        if low[1] < high[0]:
            return None
        ends = [make_set(low), make_set(high)]
        narrowed = low[1], high[0]
    parts = _find_parts(setting, wrong, right)
    return Overlap(setting.term, (ends[0].low, narrowed[0]), (narrowed[1], ends[1].high), parts)


def _narrow(
    setting: Setting, wrong: Mapping[str, Interval], right: Mapping[str, Interval], ends: tuple[float, float]
) -> tuple[float, float] | None:
    """The most a wrong answer earns and the least a right one does; None where the first is less."""
    from exgrpo_compiler.prove.narrow import build_question, narrow_ends  # here: few intervals overlap

    question = build_question(setting.model.anatomy, setting.inference)
    return ends if question is None else narrow_ends(question, wrong, right, ends)


def _assume_implied(setting: Setting) -> dict[str, Interval]:
    """What a right answer has besides: a text from which the answer is read has its format."""
    anatomy = setting.model.anatomy
    outcome = find_outcome(anatomy, setting.term)
    if outcome is None:
        return {}
    surely = frozenset(
        id_ for id_, value in outcome.right[0].items() if all(row[id_] == value == 1 for row in outcome.right)
    )
    ids = find_implied(anatomy, surely)
    return {id_: ONE for atom in anatomy.atoms if atom.id in ids for id_ in atom.nodes}


def _find_parts(
    setting: Setting, wrong: Mapping[str, Interval], right: Mapping[str, Interval]
) -> tuple[tuple[str, float, float], ...]:
    graph = setting.model.anatomy.graph
    parts = [
        (term, min(wrong[term].low, right[term].low), max(wrong[term].high, right[term].high))
        for term in graph.terms
        if term not in (graph.result, setting.term)
        and max(wrong[term].width, right[term].width) > 0
        and wrong[term].is_bounded
        and right[term].is_bounded
    ]
    return tuple(sorted(parts, key=lambda part: part[1] - part[2])[:MAX_LABELS])


def _try_all(setting: Setting, scored: Interval) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """Least and greatest total of wrong and of right rollouts over all groups; None where there are too many."""
    model, sampling = setting.model, setting.sampling
    varying = [atom for atom in model.anatomy.atoms if atom.level != "const"]
    if not all(atom.is_finite for atom in model.anatomy.atoms):
        return None
    if math.prod(len(atom.values) for atom in varying) > NUM_KINDS:
        return None
    frame = get_frame(model.anatomy, sampling, NUM_KINDS)
    if count_groups(frame.kinds, sampling) > MAX_PATTERNS:
        return None
    found: dict[bool, list[float]] = {False: [], True: []}
    for table, _ in frame.iterate_tables():
        totals = table.spread(model.anatomy.graph.result, model.anatomy)
        scores = table.spread(setting.term, model.anatomy)
        sizes = [count for counts in table.groups for count in counts]
        for total, score, count in zip(totals, scores, sizes, strict=True):
            if count and total is not None and total is not FAILED and score in (scored.low, scored.high):
                found[score == scored.high].append(float(total))
    if not found[False] or not found[True]:
        return None
    return (min(found[False]), max(found[False])), (min(found[True]), max(found[True]))


# --- words ------------------------------------------------------------------------------------------------


@remember
def _find_in(setting: Setting | None) -> Overlap | None:
    return None if setting is None else find_overlap(setting)


def prove_wrong_beats_right(training: TrainCase) -> Iterable[Diagnostic]:
    """`wrong-beats-right` of the reward of a stage: an error where even the best right answer earns no more."""
    keyed = build_training(training)
    if has_no_signal(keyed):
        return
    case = training.case

    facts = find_facts(case)
    scales = find_scales(case)
    if facts.scales != scales:
        facts = replace(facts, scales=scales)

    def make() -> Setting | None:
        outcome = keyed.value.outcome
        term = training.score_term or (outcome.term if outcome is not None else None)
        if term is None:
            return None
        return Setting(keyed.value.model, keyed.value.sampling, infer_reward(case, facts), term)

    found = _find_in(Keyed(make, (keyed.key, identify_inference(case, facts).key)))
    if found is None:
        return
    is_certain = found.wrong[0] >= found.right[1]
    yield Diagnostic(
        "wrong-beats-right",
        "error" if is_certain else "warning",
        f"Every wrong answer earns at least {format_figure(found.wrong[0])}, "
        f"and no right one more than {format_figure(found.right[1])}."
        if is_certain
        else f"A wrong answer can earn {_describe_most(found.wrong[1])}, and a right one {_describe_least(found.right[0])}.",
        case.term_spans[case.graph.result],
        tuple(
            Label(case.term_spans[name], f"from {format_figure(low)} to {format_figure(high)}")
            for name, low, high in found.parts
        ),
        _suggest_cure(training, found),
    )


def _describe_most(value: float) -> str:
    return format_figure(value) if math.isfinite(value) else "any amount"


def _describe_least(value: float) -> str:
    return f"as little as {format_figure(value)}" if math.isfinite(value) else "can earn less than any number"


def _suggest_cure(training: TrainCase, found: Overlap) -> str:
    term = found.term
    if found.wrong[0] >= found.right[1]:
        return f"let `total` rise with `{term}`, and not fall"
    if found.wrong[0] == found.wrong[1]:
        return f"let a right answer earn more whatever the other parts say, as in {term} * (0.5 + 0.5 * x)"
    best = _describe_best(training, term)
    return f"pay the other parts to right answers only, as in `… if {term} == {best} else 0`, or make them smaller"


def _describe_best(training: TrainCase, term: str) -> str:
    outcome = build_training(training).value.outcome
    return "1" if outcome is not None and outcome.term == term else "its best"
