"""`empty-aggregate` and `division-by-zero`: where a value of the reward is not there, and the rollout is lost for it.

An aggregate over nothing is not applicable. That is harmless where an `else` or a condition takes it up, so what is reported is an
aggregate because of which a total, or the score of an evaluation, is not applicable itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from exgrpo_artifact.graph import Node
from exgrpo_artifact.levels import Place, place_nodes
from exgrpo_artifact.named import NamedTuple
from exgrpo_artifact.record import replace
from exgrpo_compiler.diagnostics import Diagnostic, Edit, Fix, Label
from exgrpo_compiler.prove.facts import Facts
from exgrpo_compiler.prove.infer import Inference
from exgrpo_compiler.prove.interval import Interval, describe_interval, with_gaps
from exgrpo_compiler.prove.reward_range import Inferred
from exgrpo_compiler.prove.wordings import quote_span
from exgrpo_compiler.source import Span


class Use(NamedTuple):
    """Where a reward is applied: the scenarios of the rollouts, the term that must have a value, and what it is for."""

    scenarios: tuple[str, ...]
    term: str
    title: str
    span: Span | None


def prove_aggregates(inferred: Inferred, facts: Facts, uses: Iterable[Use]) -> Iterator[Diagnostic]:
    """Aggregates whose emptiness takes the value from a rollout."""
    graph = inferred.case.graph
    reported: set[str] = set()
    for use in uses:
        if not inferred.intervals[use.term].missing - reported:
            continue
        places = place_nodes(graph.nodes)
        nodes = {node.id: node for node in graph.nodes}
        scenarios = {name: facts.scenarios[name] for name in use.scenarios if name in facts.scenarios}
        narrowed = replace(facts, scenarios=scenarios)
        intervals = Inference(graph, narrowed).intervals
        for id_ in [node.id for node in graph.nodes if node.id in intervals[use.term].missing]:
            if nodes[id_].op == "aggregate" and id_ not in reported:
                reported.add(id_)
                yield _report_empty(inferred, nodes[id_], places[id_], use, narrowed)


def _report_empty(inferred: Inferred, node: Node, place: Place, use: Use, facts: Facts) -> Diagnostic:
    case = inferred.case
    span = case.spans[node.id]
    fn = node.params["fn"]
    labels = _explain_emptiness(inferred, node, place, facts)
    if use.span is not None:
        labels = (*labels, Label(use.span, use.title))
    outcome = "the rollout is dropped" if use.term == case.graph.result else "the rollout is not scored"
    fix = Fix(
        "give 0 for an empty set",
        (
            Edit(Span(span.source, span.start, span.start), "("),
            Edit(Span(span.source, span.end, span.end), " else 0)"),
        ),
    )
    return Diagnostic(
        "empty-aggregate",
        "error",
        f"`{fn}` can have nothing to go over; then `{use.term}` is not applicable, and {outcome}.",
        span,
        labels,
        f"say what holds then: `({quote_span(span)} else 0)`",
        fix,
    )


def _explain_emptiness(inferred: Inferred, node: Node, place: Place, facts: Facts) -> tuple[Label, ...]:
    case = inferred.case
    if place.members == "turn":
        bare = [name for name, turns in facts.scenarios.items() if turns.low == 0]
        if bare:
            text = f"a rollout of scenario `{bare[0]}` has no such turn"
            return (Label(case.spans[node.args[0]], text),)
    if len(node.args) > 1:
        members = "turn of a rollout" if place.members == "turn" else "rollout of a group"
        return (Label(case.spans[node.args[1]], f"no {members} may meet this"),)
    return (Label(case.spans[node.args[0]], "this may be not applicable everywhere"),)


_DIVISORS: Final = {"div": "dividing by it", "mod": "the rest of a division by it"}


def prove_divisions(inferred: Inferred) -> Iterator[Diagnostic]:
    """Divisions by what can be 0, unless a condition rules that out."""
    case = inferred.case
    failing = frozenset[str]().union(*(inferred.intervals[term].failing for term in case.graph.terms))
    for node in case.graph.nodes:
        name = str(node.params.get("fn", node.op))
        if node.id not in failing or name not in _DIVISORS:
            continue
        divisor = inferred.intervals[node.args[1]]
        if not _can_be_zero(divisor):
            continue
        written = quote_span(case.spans[node.args[1]])
        shown = describe_interval(with_gaps(divisor, frozenset(), frozenset()))
        group = case.graph.on_failure.action == "drop_group"
        lost = "the whole group is" if group else "the rollout is"
        yield Diagnostic(
            "division-by-zero",
            "warning",
            f"`{written}` can be 0 (it is {shown}); {_DIVISORS[name]} then fails, and {lost} dropped.",
            case.spans[node.args[1]],
            (),
            f"rule it out: `… if {written} != 0 else 0`, or divide by max({written}, 1)",
        )


def _can_be_zero(one: Interval) -> bool:
    if one.kind != "number" or one.is_empty:
        return one.kind == "any"
    return 0 in one.values if one.values is not None else one.low <= 0 <= one.high
