"""The inference of a reward that proofs share: made once for each reward, along a plan that rewards of one shape have in common."""

from __future__ import annotations

from exgrpo_compiler.prove.case import RewardCase
from exgrpo_compiler.prove.facts import Facts, collect_facts
from exgrpo_compiler.prove.infer import Inference
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
    return Keyed(lambda: Inference(case.graph, facts, _make_plan(case)), key)


@remember
def _infer(inference: Inference) -> Inference:
    return inference


def _make_plan(case: RewardCase) -> Plan:
    anatomy, graph = dissect_reward(case), case.graph
    # Equal literals are one node of the plan.
    pattern = tuple([anatomy.texts.index(text) for text in anatomy.texts])
    key = ("plan", graph.on_failure.action, graph.on_failure.value, pattern)
    plan: Plan = anatomy.shape.keep(key, lambda: Plan(graph))
    return plan.fill(graph)
