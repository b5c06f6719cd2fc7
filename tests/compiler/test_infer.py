"""Inference under assumptions, its limits, and the edits that its diagnostics offer."""

from __future__ import annotations

import time

import pytest

from exgrpo_artifact.graph import RewardGraph
from exgrpo_compiler.diagnostics import has_errors
from exgrpo_compiler.fixes import apply_fixes
from exgrpo_compiler.prove.facts import Facts, Turns
from exgrpo_compiler.prove.infer import Inference, infer
from exgrpo_compiler.prove.interval import (
    ANY_NUMBER,
    ANY_TEXT,
    COUNT,
    EITHER,
    EMPTY,
    ONE,
    ZERO,
    describe_interval,
    join,
    make_number,
    make_set,
    make_texts,
    meet,
)
from exgrpo_compiler.source import Source
from tests.artifact.graphs import Builder, build_exgrpo
from tests.support.compiling import (
    GSM8K,
    LESSONS,
    build_reward_spec,
    check,
    compile_reward,
    compile_terms,
    find_ids,
)

FACTS = Facts(
    scenarios={"full": Turns(1, 3), "partial": Turns(1, 2), "plain": Turns(0, 0)},
    fields={"gold": ANY_NUMBER},
    scales={"faithful": (0, 4)},
    num_looped=1,
    num_closing=1,
)


def describe(reward: RewardGraph, term: str = "total", **assumed: object) -> str:
    return describe_interval(infer(reward, FACTS, assumed)[term])  # type: ignore[arg-type]


# --- assumptions --------------------------------------------------------------------------------------------


def test_right_and_wrong_answers_of_the_paper_s_reward() -> None:
    reward = build_exgrpo()
    assert describe(reward) == "{0, 1, 1.5}"
    assert describe(reward, outcome=ONE) == "{1, 1.5}"
    assert describe(reward, outcome=ZERO) == "0"


def test_right_and_wrong_answers_of_the_judged_reward() -> None:
    reward = compile_reward(LESSONS, "judged")
    assert describe(reward, outcome=ONE) == "0.6..0.9 or failed"
    assert describe(reward, outcome=ZERO) == "0..0.1 or failed"


def test_an_assumption_about_one_rollout_says_nothing_of_the_group() -> None:
    reward = compile_terms("  o = matches(d.final, item.gold)\n  share = mean(o)\n  total = o + share")
    assert describe(reward, "share", o=ONE) == "0..1"
    assert describe(reward, o=ONE) == "1..2"


def test_an_assumption_about_a_group_holds_for_its_rollouts() -> None:
    reward = compile_terms("  o = matches(d.final, item.gold)\n  share = mean(o)\n  total = o * share")
    assert describe(reward, share=make_number(0.25, 0.5)) == "0..0.5"


def test_what_cannot_be_assumed_leaves_nothing() -> None:
    assert describe(build_exgrpo(), outcome=make_set([2])) == "nothing"


def test_several_assumptions_hold_together() -> None:
    reward = build_exgrpo()
    assert describe(reward, outcome=ONE, bonus=make_set([0])) == "1"


# --- limits -------------------------------------------------------------------------------------------------


def build_nested(depth: int) -> RewardGraph:
    """Conditions in the else of conditions, all on one number."""
    b = Builder()
    b.matches()
    tokens, value = b.add("tokens"), b.const(0)
    for at in range(depth):
        value = b.add("if", b.add("gt", tokens, b.const(at)), b.add("mul", b.const(at), "outcome"), value)
    b.add("add", value, b.const(0), id="total")
    return b.reward("outcome")


@pytest.mark.parametrize("depth", [1, 10, 100])
def test_nested_conditions_stay_sound_past_the_budget(depth: int) -> None:
    total = infer(build_nested(depth), FACTS)["total"]
    assert (total.low, total.high) == (0, depth - 1)


def test_the_cost_of_inference_is_linear_in_the_size_of_a_reward() -> None:
    def measure(depth: int) -> float:
        reward = build_nested(depth)
        start = time.process_time()
        Inference(reward, FACTS)
        return time.process_time() - start

    measure(100)
    assert measure(2000) < 40 * max(measure(200), 0.002)


# --- the domain ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "shown"),
    [
        (EITHER, "{0, 1}"),
        (COUNT, "0..∞"),
        (ANY_NUMBER, "-∞..∞"),
        (ANY_TEXT, "a text"),
        (EMPTY, "nothing"),
        (make_texts(["b", "a"]), '{"a", "b"}'),
        (make_number(0.1 + 0.2, 1), "0.3..1"),
        (make_set([0.1 + 0.2, 0.3, 1]), "{0.3, 1}"),
        (make_set(range(7)), "0..6"),
        (make_number(0, 1, missing=frozenset({"a"})), "0..1 or missing"),
        (make_number(0, 1, missing=frozenset({"a"}), failing=frozenset({"b"})), "0..1 or missing or failed"),
    ],
)
def test_intervals_in_words(one: object, shown: str) -> None:
    assert describe_interval(one) == shown  # type: ignore[arg-type]


def test_sets_are_joined_and_met_value_by_value() -> None:
    assert describe_interval(join(make_set([0, 1]), make_set([3]))) == "{0, 1, 3}"
    assert describe_interval(meet(make_set([0, 1, 3]), make_number(0.5, 5))) == "{1, 3}"
    assert meet(make_set([0]), make_set([1])).is_empty
    assert describe_interval(join(make_set(range(20)), make_set(range(20, 50)))) == "0..49"


# --- edits --------------------------------------------------------------------------------------------------

OUTCOME = "  outcome = matches(d.final, item.gold)\n"


@pytest.mark.parametrize(
    ("id_", "terms", "range_"),
    [
        (
            "reward-range",
            OUTCOME + "  total = 2 * outcome - 0.5 * ramp(d.tokens, from: 1tok, to: 9tok)",
            "0..1",
        ),
        ("empty-aggregate", OUTCOME + "  total = outcome + 2 * mean(outcome where d.turns > 2)", "0..3"),
        ("unused-term", OUTCOME + "  idle = d.turns\n  total = outcome", "0..1"),
    ],
)
def test_the_edit_mends_the_reward(id_: str, terms: str, range_: str) -> None:
    spec = build_reward_spec(terms, range_=range_)
    found = [one for one in check(spec) if one.id == id_]
    assert [one.id for one in found] == [id_]
    mended = apply_fixes(Source("spec.exg", spec, "spec.exg"), found).text
    assert mended != spec
    assert id_ not in find_ids(mended)
    assert not has_errors(check(mended))


def test_a_term_that_is_off_makes_no_dead_condition_and_no_unused_term() -> None:
    ids = find_ids(GSM8K, "exgrpo.outcome=off")
    assert "no-signal" in ids
    assert {"constant-condition", "constant-reward", "unused-term"}.isdisjoint(ids)
