"""`reward-range` and `constant-reward`: what the total can come to, against what is declared, and whether it differs at all."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from exgrpo_artifact.record import Record
from exgrpo_compiler.diagnostics import Diagnostic, Edit, Fix, Label
from exgrpo_compiler.prove.case import RewardCase
from exgrpo_compiler.prove.interval import Interval, describe_interval, describe_number, with_gaps
from exgrpo_compiler.prove.sums import list_summands
from exgrpo_compiler.prove.wordings import name_part

_TOLERANCE = 1e-9
"""Of an end, for sums that rounding moves: 0.1 + 0.2 is a little more than 0.3."""
_MAX_LABELS = 4


class Inferred(Record):
    """A reward with the interval of each of its nodes."""

    case: RewardCase
    intervals: Mapping[str, Interval]

    @property
    def total(self) -> Interval:
        """What the reward gives."""
        return self.intervals[self.case.graph.result]


def prove_range(inferred: Inferred) -> Iterator[Diagnostic]:
    """A total that can leave the declared range, or that cannot differ."""
    total = inferred.total
    if total.is_empty:
        return
    if total.values is not None and len(total.values) == 1:
        yield _report_constant(inferred, total)
    low, high = inferred.case.reward.range
    if total.kind != "number" or total.low < low - _slack(low) or total.high > high + _slack(high):
        yield _report_range(inferred, with_gaps(total, frozenset(), frozenset()), low, high)


def _slack(end: float) -> float:
    return _TOLERANCE * max(1.0, abs(end))


def _report_constant(inferred: Inferred, total: Interval) -> Diagnostic:
    case = inferred.case
    return Diagnostic(
        "constant-reward",
        "error",
        f"`total` is always {describe_interval(with_gaps(total, frozenset(), frozenset()))}, "
        "so no rollout is ever better than another.",
        case.term_spans["total"],
        hint="let it depend on what the student wrote, as matches(d.TURN, item.FIELD) does",
    )


def _report_range(inferred: Inferred, total: Interval, low: float, high: float) -> Diagnostic:
    case = inferred.case
    declared = f"{describe_number(low)}..{describe_number(high)}"
    if total.is_bounded:
        found = f"{describe_number(total.low)}..{describe_number(total.high)}"
        ends_shown = f"from {describe_number(total.low)} to {describe_number(total.high)}"
        message = f"`total` goes {ends_shown}, and the declared range is {declared}."
        hint = f"declare -> {found}, or keep the total inside: clip(…, {describe_number(low)}, {describe_number(high)})"
        fix = Fix(f"declare {found}", (Edit(case.range_span, _write_range(total)),))
    else:
        ends = [("lower", total.low), ("upper", total.high)]
        missing = " and no ".join(name for name, end in ends if math.isinf(end))
        message = f"`total` has no {missing} bound, and the declared range is {declared}."
        hint = "bound what is unbounded: ramp(x, from: a, to: b) goes from 0 to 1, clip(x, a, b) cuts"
        fix = None
    return Diagnostic("reward-range", "error", message, case.range_span, _label_parts(inferred), hint, fix)


def _write_range(total: Interval) -> str:
    return f"{float(total.low) + 0.0:.10g}..{float(total.high) + 0.0:.10g}"


def _label_parts(inferred: Inferred) -> tuple[Label, ...]:
    """The parts of the total, or what makes it unbounded."""
    case, intervals = inferred.case, inferred.intervals
    labels: list[Label] = []
    if inferred.total.is_bounded:
        parts = [part.node for part in list_summands(case.graph, case.graph.result)]
        wide = sorted(parts, key=lambda node: -intervals[node].width)[:_MAX_LABELS]
        for node in parts:
            if node in wide:
                one = with_gaps(intervals[node], frozenset(), frozenset())
                labels.append(Label(case.spans[node], f"{name_part(case, node)}: {describe_interval(one)}"))
    else:
        node = _find_unbounded(inferred)
        one = with_gaps(intervals[node], frozenset(), frozenset())
        labels.append(Label(case.spans[node], f"{describe_interval(one)}"))
    substitute = case.graph.on_failure
    low, high = case.reward.range
    if substitute.action == "value" and case.on_failure_span is not None:
        value = substitute.value
        if value is not None and not low <= value <= high:
            labels.append(Label(case.on_failure_span, f"a term that fails becomes {describe_number(value)}"))
    return tuple(labels)


def _find_unbounded(inferred: Inferred) -> str:
    """The node at which the total stops being bounded: none of its arguments is unbounded."""
    nodes = {node.id: node for node in inferred.case.graph.nodes}
    at = inferred.case.graph.result
    while True:
        below = [
            arg
            for arg in nodes[at].args
            if inferred.intervals[arg].kind in ("number", "any") and not inferred.intervals[arg].is_bounded
        ]
        if not below:
            return at
        at = below[0]
