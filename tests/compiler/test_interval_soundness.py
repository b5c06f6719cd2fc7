"""Inferred intervals hold every value that the evaluator gives, whatever the graph, the rollouts and the judges."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given, settings

from exgrpo_artifact.graph import RewardGraph
from exgrpo_artifact.operations import EXTERNAL_FUNCTIONS, FUNCTIONS
from exgrpo_artifact.record import replace
from exgrpo_artifact.reward_table import RewardTable
from exgrpo_artifact.rewards import evaluate_reward
from exgrpo_artifact.values import NOT_APPLICABLE, Failed, Value
from exgrpo_compiler.prove.infer import Inference
from exgrpo_compiler.prove.interval import Interval, describe_interval, make_literal
from exgrpo_compiler.prove.interval_functions import FUNCTIONS as INFERRED
from exgrpo_compiler.prove.interval_functions import Call, apply_call
from tests.support import random_rewards
from tests.support.random_rewards import FACTS, Group, draw_groups, draw_rewards

MANY = max(300, settings().max_examples)
LEAVING_OUT = replace(FACTS, may_leave_out_turns=True)
Place = tuple[int | None, int | None]


@settings(max_examples=MANY)
@given(draw_rewards(), draw_groups())
def test_every_value_lies_in_its_interval(reward: RewardGraph, group: Group) -> None:
    intervals = Inference(reward, FACTS).intervals
    for node, _, value in list_values(reward, group):
        verify_holds(intervals[node], value, node, reward)


@settings(max_examples=MANY)
@given(draw_rewards(), draw_groups(leaves_out=True))
def test_every_value_lies_in_its_interval_where_turns_are_left_out(reward: RewardGraph, group: Group) -> None:
    intervals = Inference(reward, LEAVING_OUT).intervals
    for node, _, value in list_values(reward, group):
        verify_holds(intervals[node], value, node, reward)


@settings(max_examples=MANY)
@given(draw_rewards(), draw_groups())
def test_scores_lie_in_the_intervals_of_their_terms(reward: RewardGraph, group: Group) -> None:
    intervals = Inference(reward, FACTS).intervals
    scores = evaluate_reward(reward, group.item, group.rollouts, group.judgements)
    for term, column in scores.terms.items():
        for value in column:
            assert value is None or intervals[term].holds(value) or intervals[term].kind == "number"
    for total in scores.totals:
        if total is not None:
            verify_holds(intervals[reward.result], total, reward.result, reward, is_mean=True)


@settings(max_examples=MANY)
@given(draw_rewards(), draw_groups())
def test_assumptions_that_are_true_of_a_rollout_leave_its_values_in(
    reward: RewardGraph, group: Group
) -> None:
    inference = Inference(reward, FACTS)
    values = {(node, place): value for node, place, value in list_values(reward, group)}
    for (assumed, place), value in list(values.items())[-6:]:
        if not isinstance(value, int | float | str):
            continue
        narrowed = inference.assume({assumed: make_literal(value)})
        for (node, other), seen in values.items():
            if is_seen_from(other, place):
                verify_holds(narrowed[node], seen, node, reward)


def list_values(reward: RewardGraph, group: Group) -> Iterator[tuple[str, Place, Value]]:
    """Node, place and value of all that the evaluator computes, with every rollout counted."""
    substitute = reward.on_failure.value if reward.on_failure.action == "value" else None
    table = RewardTable(
        reward,
        group.item,
        group.rollouts,
        group.judgements,
        is_active=[True] * len(group.rollouts),
        substitute=substitute,
    )
    for node in reward.nodes:
        for place in table.iterate_places(node.id):
            yield node.id, place, table.read(node.id, *place)


def is_seen_from(place: Place, other: Place) -> bool:
    """Whether both are values of one rollout and turn: a value of the group belongs to every rollout."""
    return all(
        mine is None or theirs is None or mine == theirs for mine, theirs in zip(place, other, strict=True)
    )


def verify_holds(
    one: Interval, value: Value, node: str, reward: RewardGraph, *, is_mean: bool = False
) -> None:
    """That the interval holds the value or its gap. Overflow is not counted as a failure."""
    shown = f"{node} is {value!r}, inferred {describe_interval(one)}, in\n{show_nodes(reward, node)}"
    if value is NOT_APPLICABLE or value is None:
        assert one.may_be_missing, shown
    elif isinstance(value, Failed):
        assert one.may_fail or "too large" in value.reason or "gives inf" in value.reason, shown
    elif is_mean and one.kind == "number" and isinstance(value, float):
        assert one.low - 1e-9 <= value <= one.high + 1e-9, shown
    else:
        assert one.holds(value), shown


def show_nodes(reward: RewardGraph, wanted: str) -> str:
    """The nodes that one is computed from, and the terms, a line each."""
    needed = {wanted}
    for node in reversed(reward.nodes):
        if node.id in needed:
            needed.update(node.args)
    lines = [f"{node.id} = {node.op} {node.args} {node.params}" for node in reward.nodes if node.id in needed]
    return "\n".join([*lines, f"terms {reward.terms}, {reward.on_failure}"])


def test_every_function_has_an_interval() -> None:
    known = {*FUNCTIONS, *EXTERNAL_FUNCTIONS, "matches", "format", "bernoulli", "uniform"}
    assert set(INFERRED) == known


def test_random_rewards_have_every_function_that_a_reward_can_call() -> None:
    only_in_filters_and_cuts = {"agrees", "solved", "majority", "duplicate", "uniform"}
    assert set(random_rewards.CALLS) == set(INFERRED) - only_in_filters_and_cuts


def test_functions_of_filters_and_cuts() -> None:
    def call(fn: str, *args: Interval) -> Interval:
        return apply_call(Call("n", {"fn": fn}, {}), args)

    low, high = make_literal(1), make_literal(4)
    assert describe_interval(call("uniform", low, high)) == "{1, 2, 3, 4}"
    assert describe_interval(call("agrees", make_literal([]), low)) == "{0, 1} or failed"
    assert describe_interval(call("majority", make_literal([]), low)) == "{0, 1} or failed"
    assert describe_interval(call("duplicate", make_literal([]))) == "{0, 1} or failed"
    assert describe_interval(call("similarity", make_literal("a"), make_literal("b"))) == "-1..1 or failed"
    assert describe_interval(call("solved", make_literal([]))) == "0..∞ or failed"
