"""A reward as a diagram: what it reads, its terms with levels and intervals, its total."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from exgrpo_artifact.graph import RewardGraph
from exgrpo_artifact.named import NamedTuple
from exgrpo_compiler.draw.diagram import Arrow, Box, Diagram, wrap_line
from exgrpo_compiler.ir import (
    CheckedDataset,
    CheckedDialogue,
    CheckedProgram,
    CheckedReward,
    CheckedRubric,
    Typed,
)
from exgrpo_compiler.program import Key
from exgrpo_compiler.prove.facts import build_facts
from exgrpo_compiler.prove.infer import infer
from exgrpo_compiler.prove.interval import Interval, describe_interval
from exgrpo_compiler.testing.rewards import lower_reward_alone

_WIDTH = 40
"""Characters of a formula's line."""


class Inferred(NamedTuple):
    """A reward's graph with the interval of each node."""

    graph: RewardGraph
    intervals: Mapping[str, Interval]


def infer_reward(program: CheckedProgram, key: Key) -> Inferred:
    """The graph of a reward, and what each of its nodes can come to on any row of its dataset."""
    reward: CheckedReward = program.known[key]
    dialogue: CheckedDialogue = program.known[reward.dialogue]
    dataset: CheckedDataset = program.known[reward.dataset]
    scales = {
        named.name: checked.scale
        for named, checked in program.known.items()
        if isinstance(checked, CheckedRubric)
    }
    graph = lower_reward_alone(program, key)
    return Inferred(graph, infer(graph, build_facts(dialogue, dataset, scales)))


def draw_reward(program: CheckedProgram, key: Key) -> Diagram:
    """The diagram of a reward: a box for each input and each term, the formula in it as it was written."""
    reward: CheckedReward = program.known[key]
    inferred = infer_reward(program, key)
    boxes: dict[str, Box] = {}
    arrows: dict[tuple[str, str], Arrow] = {}
    terms: list[Box] = []
    for name, tree in reward.terms.items():
        for source in _find_sources(tree):
            boxes.setdefault(source.id, source)
            arrows[source.id, f"term_{name}"] = Arrow(source.id, f"term_{name}")
        for other in _find_terms(tree):
            arrows[f"term_{other}", f"term_{name}"] = Arrow(f"term_{other}", f"term_{name}")
        terms.append(_draw_term(name, tree, inferred.intervals[name], is_total=name == "total"))
    low, high = reward.range
    return Diagram(
        f"reward {key.name}",
        f"declared {low:g}..{high:g}; over dialogue {reward.dialogue.name}",
        (*boxes.values(), *terms),
        tuple(arrows.values()),
    )


def _draw_term(name: str, tree: Typed, interval: Interval, *, is_total: bool) -> Box:
    span = tree.span
    formula = wrap_line(" ".join(span.source.text[span.start : span.end].split()), _WIDTH)
    kind = "total" if is_total else "term"
    return Box(f"term_{name}", kind, name, (*formula, f"in {describe_interval(interval)}"), tree.level)


def _walk(tree: Typed) -> Iterator[Typed]:
    yield tree
    for arg in tree.args:
        yield from _walk(arg)


def _find_terms(tree: Typed) -> list[str]:
    return list(dict.fromkeys(str(node.params["name"]) for node in _walk(tree) if node.op == "term"))


def _find_sources(tree: Typed) -> list[Box]:
    return [source for node in _walk(tree) if (source := _draw_source(node)) is not None]


def _draw_source(node: Typed) -> Box | None:
    params: Mapping[str, Any] = node.params
    match node.op:
        case "turn":
            inside = ("one for each probe",) if node.level == "turn" else ()
            return Box(f"turn_{params['name']}", "input", f"turn {params['name']}", inside, node.level)
        case "item":
            return Box(f"item_{params['field']}", "input", f"item.{params['field']}", (), "row")
        case "scenario" | "tokens" | "num_turns":
            title = "turns" if node.op == "num_turns" else node.op
            return Box(node.op, "input", title, (), "rollout")
    if node.op == "call" and str(params.get("fn")).startswith("judge."):
        model: Key = params["model"]
        rubric = params.get("rubric")
        lines = (f"rubric {rubric.name}",) if isinstance(rubric, Key) else ()
        return Box(f"judge_{model.name}", "judge", f"judge {model.name}", lines, "model")
    if node.op == "call" and params.get("fn") == "similarity":
        return Box(f"similarity_{params['id']}", "judge", "similarity", (str(params["id"]),), "embeddings")
    return None
