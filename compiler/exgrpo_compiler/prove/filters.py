"""`unreachable-filter`, `hopeless-filter`: conditions of `keep` that nothing can meet, and those that an untrained student cannot.

A condition is inferred for every number of probes that may be left and of those that may be solved; all else that it reads is free.
Filters that look at the same things are also inferred together: what is asked twice in the same words has one answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from exgrpo_artifact.graph import Node, RewardGraph
from exgrpo_artifact.record import Record, replace
from exgrpo_compiler.diagnostics import Diagnostic, Label
from exgrpo_compiler.ir import (
    CheckedKeep,
    CheckedModel,
    CheckedProbes,
    CheckedProgram,
    CheckedRule,
    CheckedTask,
    StudentRole,
    Typed,
)
from exgrpo_compiler.program import Key, Program
from exgrpo_compiler.prove.case import Cases
from exgrpo_compiler.prove.facts import Facts
from exgrpo_compiler.prove.infer import Inference
from exgrpo_compiler.prove.interval import EITHER, Interval, make_set
from exgrpo_compiler.prove.interval_operators import can_be_true
from exgrpo_compiler.prove.memo import Keyed, remember
from exgrpo_compiler.source import Span

RESULT = "condition"


class Condition(Record):
    """A condition as a graph, with the nodes that count something."""

    graph: RewardGraph
    solved: tuple[str, ...]
    """Probes that the student solves."""
    others: tuple[str, ...]
    """Probes that another model solves."""
    counts: tuple[str, ...]
    """Probes that are left."""
    truths: tuple[str, ...]
    """What a model says yes or no to."""


def build_condition(tree: Typed) -> Condition:
    """The condition as a graph."""
    nodes: list[Node] = []
    kinds: dict[str, list[str]] = {"solved": [], "others": [], "counts": [], "truths": []}

    def add(one: Typed, name: str) -> str:
        kind = _classify(one)
        args = () if kind else tuple(add(arg, f"{name}_{at}") for at, arg in enumerate(one.args))
        # Equal nodes are one in the inference: what is asked twice in the same words has one answer.
        params = {"of": repr((kind, _describe(one)))} if kind else dict(one.params)
        is_outside = kind is not None or one.op in ("probe", "probes", "item", "k", "turn")
        nodes.append(Node(id=name, op="given" if is_outside else one.op, args=args, params=params))
        if kind is not None and kind in kinds:
            kinds[kind].append(name)
        return name

    add(tree, RESULT)
    graph = RewardGraph(
        name="", dialogue="", dataset="", range=(0, 1), nodes=tuple(nodes), terms=(RESULT,), result=RESULT
    )
    return Condition(graph, *(tuple(kinds[kind]) for kind in ("solved", "others", "counts", "truths")))


def _describe(one: Typed) -> object:
    return (
        one.op,
        sorted((key, repr(value)) for key, value in one.params.items()),
        [_describe(arg) for arg in one.args],
    )


def _classify(one: Typed) -> str | None:
    """What a node stands for that only the run can tell; None where it is computed."""
    if one.op == "aggregate" and one.args and one.args[0].op == "probes":
        return "counts" if one.params["fn"] == "count" else "unknown"
    fn = str(one.params.get("fn", "")) if one.op == "call" else ""
    if fn == "solved":
        return "solved" if isinstance(one.params["model"], StudentRole) else "others"
    if fn in ("agrees", "majority", "duplicate", "judge.same", "matches", "format"):
        return "truths"
    return "unknown" if fn in ("judge.score", "similarity") else None


def can_be_met(condition: Condition, most: int, *, is_untrained: bool = False) -> bool:
    """Whether some probes could meet it, where at most so many are left; an untrained student solves none."""
    # Of what is given from outside, all that counts is what is the same.
    outside: dict[str, int] = {}
    nodes = tuple(
        [
            (node.id, node.op, node.args, outside.setdefault(node.params["of"], len(outside)))
            if "of" in node.params
            else (node.id, node.op, node.args, repr(node.params))
            for node in condition.graph.nodes
        ]
    )
    kinds = (condition.solved, condition.others, condition.counts, condition.truths)
    return _can_be_met(Keyed(lambda: (condition, most, is_untrained), (nodes, kinds, most, is_untrained)))


@remember
def _can_be_met(question: tuple[Condition, int, bool]) -> bool:
    condition, most, is_untrained = question
    inference = Inference(condition.graph, Facts())
    for left in range(most, 0, -1):
        assumed: dict[str, Interval] = dict.fromkeys(condition.truths, EITHER)
        assumed |= dict.fromkeys(condition.counts, make_set([left]))
        assumed |= dict.fromkeys(condition.others, make_set(range(left + 1)))
        assumed |= dict.fromkeys(condition.solved, make_set([0] if is_untrained else range(left + 1)))
        if can_be_true(inference.assume(assumed)[RESULT]):
            return True
    return False


def prove_filters(program: Program, checked: CheckedProgram, cases: Cases) -> Iterable[Diagnostic]:
    """Both diagnostics, for every probe stage of a task."""
    del cases
    for key in checked.tasks.values():
        task = checked.known.get(key)
        if not isinstance(task, CheckedTask):
            continue
        is_trained = False
        for stage in task.stages:
            probes = checked.known.get(stage.settings["probes"]) if stage.kind == "probe" else None
            if isinstance(probes, CheckedProbes):
                is_untrained = not is_trained and _is_scratch(checked.known, task.student)
                yield from _prove_keeps(probes, is_untrained, stage.span)
            is_trained = is_trained or stage.kind in ("sft", "grpo")


def _is_scratch(known: Mapping[Key, object], student: Key) -> bool:
    model = known.get(student)
    return isinstance(model, CheckedModel) and model.model.kind == "scratch"


def _prove_keeps(probes: CheckedProbes, is_untrained: bool, stage: Span) -> Iterable[Diagnostic]:
    """Each filter by itself, and then those that look at the same: what passes one of them may never pass the next."""
    if not probes.rules:
        return  # none of them is known, which was reported
    broken = [found for keep in probes.keeps for found in _prove_filter(keep, probes, is_untrained, stage)]
    yield from broken
    if not any(found.id == "unreachable-filter" for found in broken):
        for run in _list_runs(probes.keeps):
            yield from _prove_run(run, _count_probes(probes))


def _list_runs(keeps: Sequence[CheckedKeep]) -> Iterator[list[CheckedKeep]]:
    """Filters that look at the same things: of items one after another, and of probes those that do not look at the rest of them."""
    for subject, group in groupby(keeps, key=lambda keep: keep.subject):
        if subject == "item":
            yield list(group)
    yield [keep for keep in keeps if keep.subject == "probe" and not _reads_probes(keep.condition)]


def _reads_probes(tree: Typed) -> bool:
    return (
        tree.op == "probes"
        or tree.params.get("fn") == "duplicate"
        or any(_reads_probes(arg) for arg in tree.args)
    )


def _prove_run(run: Sequence[CheckedKeep], most: int) -> Iterable[Diagnostic]:
    tree: Typed | None = None
    for at, keep in enumerate(run):
        condition = keep.condition
        tree = condition if tree is None else replace(condition, op="and", args=(tree, condition), params={})
        if at and not can_be_met(build_condition(tree), most):
            before = " and ".join(f"`{other.name}`" for other in run[:at])
            yield Diagnostic(
                "unreachable-filter",
                "error",
                f"No {keep.subject} that passes {before} can pass the filter `{keep.name}`.",
                condition.span,
                tuple(Label(other.condition.span, f"what `{other.name}` keeps") for other in run[:at]),
                "change one of the conditions so that something can meet all of them",
            )
            return


def _count_probes(probes: CheckedProbes) -> int:
    return max(1, len(probes.rules) * probes.samples)


def _prove_filter(
    keep: CheckedKeep, probes: CheckedProbes, is_untrained: bool, stage: Span
) -> Iterable[Diagnostic]:
    condition = build_condition(keep.condition)
    most = _count_probes(probes)
    each = "one probe" if probes.samples == 1 else f"{probes.samples} probes"
    if not can_be_met(condition, most):
        yield Diagnostic(
            "unreachable-filter",
            "error",
            f"No {keep.subject} can pass the filter `{keep.name}`: its condition is never met.",
            keep.condition.span,
            hint="one rule gives one probe, so `count(probes)` is 1 here, and `solved` 0 or 1"
            if most == 1
            else f"`count(probes)` is from 1 to {most} here, {each} for each rule, and `solved` at most that",
        )
    elif condition.solved and is_untrained and not can_be_met(condition, most, is_untrained=True):
        yield Diagnostic(
            "hopeless-filter",
            "warning",
            f"The filter `{keep.name}` asks for solved probes, and the student starts from random weights: it solves none.",
            keep.condition.span,
            (Label(stage, "nothing was trained before this stage"),),
            "put an sft stage before this one, as on drills(…)",
        )


def can_apply(rule: CheckedRule) -> bool:
    """Whether a rule's `applies_when` can be met."""
    if rule.applies_when is None:
        return True
    graph = build_condition(rule.applies_when).graph
    return can_be_true(Inference(graph, Facts()).intervals[RESULT])
