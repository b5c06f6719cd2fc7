"""`same-scenarios`: two scenarios of a stage that keep the same probes, in a reward that tells them apart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from exgrpo_compiler.diagnostics import Diagnostic, Label
from exgrpo_compiler.ir import CheckedCut, Typed
from exgrpo_compiler.prove.case import TrainCase


def prove_scenarios(training: TrainCase) -> Iterable[Diagnostic]:
    """`same-scenarios` of a stage."""
    settings, case = training.stage.settings, training.case
    sampled = [*settings["group"], *(settings["compare"] or {})]
    if not any(node.op == "scenario" for node in case.graph.nodes):
        return
    first: dict[Any, str] = {}
    for scenario in sampled:
        key = _describe_cut(case.dialogue.scenarios[scenario])
        other = first.setdefault(key, scenario)
        if other == scenario:
            continue
        named = next(node.id for node in case.graph.nodes if node.op == "scenario")
        yield Diagnostic(
            "same-scenarios",
            "warning",
            f"The scenarios `{other}` and `{scenario}` keep the same probes, so a reward that compares them pays for chance.",
            training.span,
            (Label(case.spans[named], "told apart here"),),
            "let one of them leave probes out, as scenario partial = first(uniform(1, k - 1))",
        )


def _describe_cut(cut: CheckedCut) -> Any:
    return (cut.kind, cut.of, None if cut.count is None else _describe_tree(cut.count))


def _describe_tree(tree: Typed) -> Any:
    return (tree.op, tuple(_describe_tree(arg) for arg in tree.args), repr(sorted(tree.params.items())))
