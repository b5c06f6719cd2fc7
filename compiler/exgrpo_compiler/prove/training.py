"""A `grpo` stage as the proofs about training see it: the reward's arithmetic, what is sampled, and when an answer is right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from exgrpo_artifact.graph import RewardGraph
from exgrpo_artifact.record import Record, replace
from exgrpo_compiler.ir import CheckedRubric
from exgrpo_compiler.program import Key
from exgrpo_compiler.prove.atoms import Anatomy, dissect_graph
from exgrpo_compiler.prove.case import RewardCase, TrainCase
from exgrpo_compiler.prove.memo import Keyed
from exgrpo_compiler.prove.model import RewardModel
from exgrpo_compiler.prove.worlds import Outcome, Sampling, describe_sampling, find_outcome

_TEXTS = frozenset({"text", "choice", "list", "record", "any"})


class Training(Record):
    """What a proof about training needs, free of places in the source."""

    model: RewardModel
    sampling: Sampling
    outcome: Outcome | None
    """None where it cannot be told when an answer is right."""
    baseline: str
    scale: str


def build_training(training: TrainCase) -> Keyed[Training]:
    """The stage's training, under a key that says all of it."""
    if _last and _last[0][0] is training:
        return _last[0][1]
    settings = training.stage.settings
    sampling = describe_sampling(training.case.dialogue, settings["group"], settings["compare"] or {})

    term = training.score_term or _guess_term(training.case.graph)
    anatomy = _dissect_needed(training.case, term)

    def make() -> Training:
        outcome = find_outcome(anatomy, term)
        return Training(RewardModel(anatomy), sampling, outcome, settings["baseline"], settings["scale"])

    keys = (term, sampling.identify(), settings["baseline"], settings["scale"])
    keyed = Keyed(make, (anatomy.shape, anatomy.texts, keys))
    _last[:] = [(training, keyed)]
    return keyed


_last: list[tuple[TrainCase, Keyed[Training]]] = []
"""The stage that was looked at last: several proofs look at one in turn."""


def _guess_term(graph: RewardGraph) -> str | None:
    """Where no evaluation names one: the only term that says whether an answer is the gold one, of those that the total needs."""
    nodes = {node.id: node for node in graph.nodes}
    judged = [term for term in graph.terms if nodes[term].params.get("fn") == "matches"]
    needed = _find_needed(graph, [graph.result])
    for terms in ([term for term in judged if term in needed], judged):
        if terms:
            return terms[0] if len(terms) == 1 else None
    return None


def _dissect_needed(case: RewardCase, term: str | None) -> Anatomy:
    """The anatomy of what the total and the score need: nothing else can change what is proved."""
    graph = case.graph
    needed = _find_needed(graph, [graph.result, *([term] if term is not None else [])])
    if all(node.id in needed for node in graph.nodes):
        return dissect_reward(case)
    nodes = tuple(node for node in graph.nodes if node.id in needed)
    terms = tuple(one for one in graph.terms if one in needed)
    texts = frozenset(name for name, type_ in list_fields(case).items() if type_ in _TEXTS)
    return dissect_graph(replace(graph, nodes=nodes, terms=terms), find_scales(case), texts)


def _find_needed(graph: RewardGraph, roots: Sequence[str]) -> set[str]:
    needed = set(roots)
    for node in reversed(graph.nodes):
        if node.id in needed:
            needed.update(node.args)
    return needed


def dissect_reward(case: RewardCase) -> Anatomy:
    """The anatomy of a reward."""
    if not _dissected or _dissected[0][0] is not case.graph:
        texts = frozenset(name for name, type_ in list_fields(case).items() if type_ in _TEXTS)
        _dissected[:] = [(case.graph, dissect_graph(case.graph, find_scales(case), texts))]
    return _dissected[0][1]


_dissected: list[tuple[RewardGraph, Anatomy]] = []
"""The reward that was looked at last."""


def list_fields(case: RewardCase) -> Mapping[str, str]:
    """Kinds of the row's fields."""
    dataset = case.program.known[case.reward.dataset]
    return {
        path: type_.kind for field in dataset.fields for path, type_ in field.type.walk_fields(field.name)
    }


def find_scales(case: RewardCase) -> Mapping[str, tuple[float, float]]:
    """Scales of the rubrics that the reward names, by the name they have in its graph."""
    known = case.program.known
    rubrics = [key for key, declared in known.items() if isinstance(declared, CheckedRubric)]
    if not rubrics:
        return {}
    named = {key for tree in case.reward.terms.values() for key in _iterate_keys(tree) if key in rubrics}
    return {case.program.scope_names.get(key, key.name): known[key].scale for key in named}


def _iterate_keys(tree: object) -> list[Key]:
    found: list[Key] = []
    waiting = [tree]
    while waiting:
        one = waiting.pop()
        found += [value for value in getattr(one, "params", {}).values() if isinstance(value, Key)]
        waiting += getattr(one, "args", ())
    return found
