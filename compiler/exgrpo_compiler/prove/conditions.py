"""`constant-condition`: a condition that is always met, or never, so that one branch is dead."""

from __future__ import annotations

from collections.abc import Iterator

from exgrpo_artifact.graph import Node
from exgrpo_compiler.diagnostics import Diagnostic
from exgrpo_compiler.prove.interval import Interval, describe_interval, with_gaps
from exgrpo_compiler.prove.interval_operators import can_be_false, can_be_true
from exgrpo_compiler.prove.reward_range import Inferred
from exgrpo_compiler.prove.unused_terms import has_term_off
from exgrpo_compiler.prove.wordings import quote_span

_COMPARISONS = frozenset({"eq", "ne", "lt", "le", "gt", "ge"})
_CONDITIONS = _COMPARISONS | {"and", "or", "not"}


def prove_conditions(inferred: Inferred) -> Iterator[Diagnostic]:
    """Conditions with one outcome. Those of literals alone are switches that an author set, and so is a term that is off."""
    case = inferred.case
    if has_term_off(case):
        return
    literal: set[str] = set()
    settled: set[str] = set()
    for node in case.graph.nodes:
        if node.op == "const" or (node.args and literal.issuperset(node.args)):
            literal.add(node.id)
        if node.op not in _CONDITIONS or node.id in literal or node.id not in case.spans:
            continue
        truth = _find_truth(inferred.intervals[node.id])
        if truth is None:
            continue
        # Where a part is settled, so is the whole, and the part says why.
        is_new = settled.isdisjoint(node.args)
        settled.add(node.id)
        if is_new:
            yield _report(inferred, node, truth)


def _find_truth(one: Interval) -> bool | None:
    if one.is_empty:
        return None if one.failing or not one.missing else False
    if not can_be_true(one):
        return False
    return True if not can_be_false(one) and not one.missing else None


def _report(inferred: Inferred, node: Node, truth: bool) -> Diagnostic:
    case = inferred.case
    message = f"This condition is {'always' if truth else 'never'} met"
    if node.op in _COMPARISONS:
        message += ": " + " and ".join(_describe_sides(inferred, node))
    hint = "what depends on it is always the same; remove it, or compare with what can be"
    return Diagnostic("constant-condition", "warning", f"{message}.", case.spans[node.id], hint=hint)


def _describe_sides(inferred: Inferred, node: Node) -> Iterator[str]:
    literals = {one.id for one in inferred.case.graph.nodes if one.op == "const"}
    for arg in dict.fromkeys(node.args):
        if arg not in literals and arg in inferred.case.spans:
            one = with_gaps(inferred.intervals[arg], frozenset(), frozenset())
            name = arg if arg in inferred.case.term_spans else quote_span(inferred.case.spans[arg])
            yield f"`{name}` is {describe_interval(one)}"
