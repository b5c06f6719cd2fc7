"""`scale-mismatch`: a part of a sum that moves it by less than a hundredth of what another part does."""

from __future__ import annotations

from collections.abc import Iterator

from exgrpo_compiler.diagnostics import Diagnostic, Label
from exgrpo_compiler.prove.interval import describe_number
from exgrpo_compiler.prove.reward_range import Inferred
from exgrpo_compiler.prove.sums import find_sums, list_summands
from exgrpo_compiler.prove.wordings import name_part

SHARE = 0.01
"""Of the widest part's width: less does not show beside it."""


def prove_scales(inferred: Inferred) -> Iterator[Diagnostic]:
    """Parts of sums that hardly count."""
    case, intervals = inferred.case, inferred.intervals
    for head in find_sums(case.graph):
        nodes = dict.fromkeys(part.node for part in list_summands(case.graph, head))
        widths = {
            node: intervals[node].width
            for node in nodes
            if intervals[node].kind == "number" and intervals[node].is_bounded and intervals[node].width > 0
        }
        widest = max(widths, key=lambda node: widths[node], default=None)
        for node, width in widths.items():
            if widest is None or width >= SHARE * widths[widest]:
                continue
            most = describe_number(width)
            yield Diagnostic(
                "scale-mismatch",
                "warning",
                f"{name_part(case, node)} moves the sum by at most {most}, less than 1 % of what {name_part(case, widest)} does.",
                case.spans[node],
                (Label(case.spans[widest], f"moves it by up to {describe_number(widths[widest])}"),),
                "bring both to one scale with a weight, or with ramp(x, from: a, to: b); or leave it out",
            )
