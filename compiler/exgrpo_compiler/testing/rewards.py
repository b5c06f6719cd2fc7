"""Rewards of a checked program as graphs that can be evaluated, whether or not a task uses them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from exgrpo_artifact.graph import RewardGraph
from exgrpo_artifact.levels import place_nodes
from exgrpo_artifact.operations import is_external
from exgrpo_artifact.record import replace
from exgrpo_artifact.reward_table import Rollout, make_key
from exgrpo_artifact.values import Value
from exgrpo_compiler.checked_tests import CheckedRollout
from exgrpo_compiler.ir import CheckedProgram, CheckedReward, CheckedTask, Typed
from exgrpo_compiler.lower.graphs import lower_reward
from exgrpo_compiler.lower.names import Scene
from exgrpo_compiler.program import Key


def lower_reward_alone(program: CheckedProgram, key: Key, reward: CheckedReward | None = None) -> RewardGraph:
    """The graph of a reward, or of `reward` in its place; names are those that declarations have in their own files."""
    checked: CheckedReward = reward or program.known[key]
    names = {key: key.name, checked.dialogue: checked.dialogue.name, checked.dataset: checked.dataset.name}
    for tree in checked.terms.values():
        names |= {named: named.name for named in _find_keys(tree)}
    # A reward names neither its task nor the task's student, so an empty task stands for any.
    task = CheckedTask("", checked.dataset, Key("", ""), 0, ())
    changed = replace(program, known={**program.known, key: checked}) if reward is not None else program
    return lower_reward(Scene(changed, task, names), key)


def _find_keys(tree: Typed) -> Iterator[Key]:
    for value in tree.params.values():
        if isinstance(value, Key):
            yield value
    for arg in tree.args:
        yield from _find_keys(arg)


def build_rollouts(group: Sequence[CheckedRollout]) -> tuple[Rollout, ...]:
    """The rollouts as a reward sees them; the draws of each depend on its place."""
    return tuple(
        Rollout(one.scenario, dict(one.turns), one.tokens, one.num_turns, seed)
        for seed, one in enumerate(group)
    )


def place_judgements(reward: RewardGraph, group: Sequence[CheckedRollout]) -> dict[str, Value]:
    """What judges answer, under the keys by which `evaluate_reward` asks."""
    return record_judgements(reward, [one.judgements for one in group])


def record_judgements(
    reward: RewardGraph, answers: Sequence[Mapping[str, Sequence[Value]]]
) -> dict[str, Value]:
    """The same from answers by term, one mapping for each rollout."""
    owners = find_judges(reward)
    if not owners:
        return {}
    places = place_nodes(reward.nodes)
    found: dict[str, Value] = {}
    for rollout, by_term in enumerate(answers):
        for node, term in owners.items():
            given = by_term.get(term, ())
            is_turn = places[node].level == "turn"
            for turn, value in enumerate(given):
                found[make_key(node, rollout, turn if is_turn else None)] = value
    return found


def find_judges(reward: RewardGraph) -> dict[str, str]:
    """Nodes that ask a judge, with the term in whose expression each stands."""
    nodes = {node.id: node for node in reward.nodes}
    owners: dict[str, str] = {}
    for term in reward.terms:
        waiting = [term]
        seen: set[str] = set()
        while waiting:
            id_ = waiting.pop()
            if id_ in seen or (id_ in reward.terms and id_ != term):
                continue
            seen.add(id_)
            if is_external(nodes[id_]):
                owners.setdefault(id_, term)
            waiting += nodes[id_].args
    return owners
