"""A `grpo` stage as the proofs about training see it: the reward's arithmetic, what is sampled, and when an answer is right."""

from __future__ import annotations

from collections.abc import Mapping

from exgrpo_artifact.graph import RewardGraph
from exgrpo_artifact.record import Record
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

    anatomy = dissect_reward(training.case)

    def make() -> Training:
        outcome = find_outcome(anatomy, training.score_term)
        return Training(RewardModel(anatomy), sampling, outcome, settings["baseline"], settings["scale"])

    keys = (training.score_term, sampling.identify(), settings["baseline"], settings["scale"])
    keyed = Keyed(make, (anatomy.shape, anatomy.texts, keys))
    _last[:] = [(training, keyed)]
    return keyed


_last: list[tuple[TrainCase, Keyed[Training]]] = []
"""The stage that was looked at last: several proofs look at one in turn."""


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
    return {field.name: field.type.kind for field in dataset.fields}


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
