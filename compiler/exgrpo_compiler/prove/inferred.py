"""The inference of a reward that proofs share: made once for each reward, along a plan that rewards of one shape have in common."""

from __future__ import annotations

from operator import itemgetter
from typing import Any

from exgrpo_compiler.prove.atoms import Anatomy
from exgrpo_compiler.prove.case import RewardCase
from exgrpo_compiler.prove.facts import Facts, collect_facts
from exgrpo_compiler.prove.infer import Inference, Known
from exgrpo_compiler.prove.memo import Keyed, remember
from exgrpo_compiler.prove.plan import Plan
from exgrpo_compiler.prove.training import dissect_reward


def find_facts(case: RewardCase) -> Facts:
    """What a reward may rely on."""
    known = case.program.known
    names = {key: case.program.scope_names.get(key, key.name) for key in known}
    return collect_facts(known, case.reward, names)


def infer_reward(case: RewardCase, facts: Facts) -> Inference:
    """The inference of a reward under these facts."""
    return _infer(identify_inference(case, facts))


def identify_inference(case: RewardCase, facts: Facts) -> Keyed[Inference]:
    """The inference under a key that says all that it depends on."""
    anatomy, failure = dissect_reward(case), case.graph.on_failure
    known = (tuple(facts.scenarios.items()), tuple(facts.fields.items()), tuple(facts.scales.items()))
    counts = (facts.num_looped, facts.num_closing)
    key = (anatomy.shape, anatomy.texts, failure.action, failure.value, known, counts)
    return Keyed(lambda: _infer_anew(case, facts, (known, counts)), key)


@remember
def _infer(inference: Inference) -> Inference:
    return inference


def _infer_anew(case: RewardCase, facts: Facts, facts_key: Any) -> Inference:
    anatomy, graph = dissect_reward(case), case.graph
    # Equal literals are one node of the plan.
    pattern = tuple([anatomy.texts.index(text) for text in anatomy.texts])
    key = (graph.on_failure.action, graph.on_failure.value, pattern)
    plan: Plan = anatomy.shape.keep(("plan", key), lambda: Plan(graph))
    known = anatomy.shape.keep(("known", key, facts_key), lambda: Known(_list_numbers(plan, anatomy)))
    return Inference(graph, facts, plan.fill(graph), known, anatomy.texts)


def _list_numbers(plan: Plan, anatomy: Anatomy) -> list[itemgetter[Any] | None]:
    places = {plan.index[id_]: at for id_, at in anatomy.shape.number_places.items()}
    found: list[itemgetter[Any] | None] = []
    for below in plan.below:
        own = sorted(at for place, at in places.items() if below >> place & 1)
        found.append(itemgetter(*own) if own else None)
    return found
