"""Operations on plain values: three-valued, total, pure."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exgrpo_artifact.aggregates import aggregate_values
from exgrpo_artifact.draws import draw_bernoulli, draw_uniform
from exgrpo_artifact.errors import ArtifactError
from exgrpo_artifact.operations import (
    EXTERNAL_FUNCTIONS,
    FIELD_FUNCTIONS,
    FUNCTIONS,
    apply_operation,
)
from exgrpo_artifact.values import NOT_APPLICABLE, Failed, Value

FAILED = Failed("it broke")
EAGER = ["add", "sub", "mul", "div", "eq", "ne", "lt", "le", "gt", "ge"]
VALUES = st.one_of(
    st.just(NOT_APPLICABLE),
    st.just(FAILED),
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.integers(), max_size=3),
)


def call(fn: str, *args: Value, **params: Any) -> Value:
    return apply_operation("call", args, {"fn": fn, **params})


@pytest.mark.parametrize("op", [*EAGER, "list"])
def test_a_failure_wins_over_a_gap_which_wins_over_values(op: str) -> None:
    assert apply_operation(op, [NOT_APPLICABLE, FAILED], {}) == FAILED
    assert apply_operation(op, [FAILED, 1], {}) == FAILED
    assert apply_operation(op, [1, NOT_APPLICABLE], {}) is NOT_APPLICABLE
    assert apply_operation(op, [None, 1], {}) is NOT_APPLICABLE


@pytest.mark.parametrize(
    ("op", "args", "value"),
    [
        ("add", [1, 2], 3),
        ("add", ["a", "b"], "ab"),
        ("add", [True, 0.5], 1.5),
        ("sub", [1, 2], -1),
        ("mul", [2, 0.5], 1),
        ("div", [1, 4], 0.25),
        ("neg", [3], -3),
        ("eq", [1, 1.0], True),
        ("eq", [True, 1], True),
        ("eq", ["a", "a"], True),
        ("eq", ["1", 1], False),
        ("ne", ["a", "b"], True),
        ("lt", [1, 2], True),
        ("le", [2, 2], True),
        ("gt", [1, 2], False),
        ("ge", [2, 2], True),
        ("not", [0], True),
        ("list", [1, "a"], [1, "a"]),
    ],
)
def test_operators(op: str, args: list[Value], value: Value) -> None:
    assert apply_operation(op, args, {}) == value


@pytest.mark.parametrize(
    ("op", "args", "reason"),
    [
        ("div", [1, 0], "divides by zero"),
        ("div", [1, 0.0], "divides by zero"),
        ("mul", [1e200, 1e200], "inf"),
        ("mul", [10**200, 10**200], "too large"),
        ("add", [float("nan"), 1], "not a finite number"),
        ("add", [float("inf"), 1], "not a finite number"),
        ("add", ["a", 1], "needs a number"),
        ("lt", ["a", "b"], "needs a number"),
        ("sub", [[1], 1], "a list of 1"),
        ("not", ["a"], "true or false"),
    ],
)
def test_what_arithmetic_cannot_do_fails_with_its_reason(op: str, args: list[Value], reason: str) -> None:
    value = apply_operation(op, args, {})
    assert isinstance(value, Failed)
    assert reason in value.reason


@given(
    st.sampled_from([*EAGER, "neg", "not", "and", "or", "if", "default"]),
    st.lists(VALUES, min_size=3, max_size=3),
)
def test_no_values_break_an_operator(op: str, values: list[Value]) -> None:
    args = values[: {"neg": 1, "not": 1, "if": 3}.get(op, 2)]
    value = apply_operation(op, args, {})
    assert not (isinstance(value, float) and value != value)
    assert value is not None


@pytest.mark.parametrize(
    ("left", "right", "both", "either"),
    [
        (True, False, False, True),
        (False, FAILED, False, FAILED),
        (FAILED, False, False, FAILED),
        (FAILED, True, FAILED, True),
        (NOT_APPLICABLE, True, NOT_APPLICABLE, True),
        (NOT_APPLICABLE, False, False, NOT_APPLICABLE),
        (NOT_APPLICABLE, FAILED, FAILED, FAILED),
        (1, 0.0, False, True),
    ],
)
def test_and_or_are_decided_by_a_known_value(left: Value, right: Value, both: Value, either: Value) -> None:
    for args in ([left, right], [right, left]):
        assert apply_operation("and", args, {}) == both
        assert apply_operation("or", args, {}) == either


def test_if_takes_one_branch_and_a_gap_is_not_met() -> None:
    assert apply_operation("if", [True, 1, FAILED], {}) == 1
    assert apply_operation("if", [0, FAILED, 2], {}) == 2
    assert apply_operation("if", [NOT_APPLICABLE, 1, 2], {}) == 2
    assert apply_operation("if", [FAILED, 1, 2], {}) == FAILED
    assert isinstance(apply_operation("if", ["yes", 1, 2], {}), Failed)


def test_default_fills_gaps_and_never_failures() -> None:
    assert apply_operation("default", [NOT_APPLICABLE, 1], {}) == 1
    assert apply_operation("default", [None, 1], {}) == 1
    assert apply_operation("default", [0, 1], {}) == 0
    assert apply_operation("default", [2, FAILED], {}) == 2
    assert apply_operation("default", [FAILED, 1], {}) == FAILED


# --- aggregates -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fn", "value"), [("mean", 2), ("max", 3), ("min", 1), ("count", 3), ("any", True), ("all", True)]
)
def test_aggregates_leave_out_what_is_not_applicable(fn: str, value: Value) -> None:
    assert aggregate_values(fn, [1, NOT_APPLICABLE, 2, 3]) == value
    assert aggregate_values(fn, [1, FAILED, NOT_APPLICABLE]) == FAILED


def test_nothing_is_left_of_an_empty_set_but_its_count() -> None:
    for fn in ("mean", "max", "min", "any", "all"):
        assert aggregate_values(fn, [NOT_APPLICABLE]) is NOT_APPLICABLE
    assert aggregate_values("count", []) == 0


def test_a_mean_of_texts_fails() -> None:
    assert isinstance(aggregate_values("mean", ["a"]), Failed)
    assert isinstance(aggregate_values("any", ["a"]), Failed)
    assert aggregate_values("count", ["a", {}]) == 2


# --- functions --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fn", "args", "value"),
    [
        ("before", ["a####b####c", "####"], "a"),
        ("after", ["a####b####c", "####"], "b####c"),
        ("strip", [" a\n"], "a"),
        ("lower", ["AbC"], "abc"),
        ("words", ["What is 5 - 2?"], 5),
        ("words", [""], 0),
        ("sentences", ["It costs 3.50 dollars. Why? Because"], 3),
        ("sentences", ['He said "Go." Then he went...'], 2),
        ("sentences", ["..."], 0),
        ("lines", ["a\nb\n"], 2),
        ("lines", ["a\n\nb"], 3),
        ("lines", [""], 0),
        ("number", ["1,234"], 1234),
        ("number", [" 18.50 "], 18.5),
        ("number", ["18.00"], 18),
        ("number", [7], 7),
        ("first", [[1, 2]], 1),
        ("last", [[1, 2]], 2),
        ("first", [[]], NOT_APPLICABLE),
        ("json", ['{"a": [1, null]}'], {"a": [1, None]}),
        ("json", ["null"], NOT_APPLICABLE),
        ("round", [2.5], 3),
        ("round", [-2.5], -3),
        ("round", [2.675, 2], 2.68),
        ("round", [1e300, 2], 1e300),
        ("round", [7], 7),
        ("contains", ["abc", "b"], 1),
        ("contains", ["abc", "B"], 0),
        ("clip", [5, 0, 1], 1),
        ("clip", [-5, 0, 1], 0),
        ("clip", [0.5, 0, 1], 0.5),
        ("ramp", [256, 256, 1024], 0),
        ("ramp", [640, 256, 1024], 0.5),
        ("ramp", [2000, 256, 1024], 1),
        ("ramp", [300, 1024, 256], 0.9427083333333334),
        ("abs", [-2], 2),
        ("min", [3, 1, 2], 1),
        ("max", [3, 1], 3),
        ("mod", [7, 3], 1),
        ("mod", [-1, 3], 2),
    ],
)
def test_functions(fn: str, args: list[Value], value: Value) -> None:
    assert call(fn, *args) == value


@pytest.mark.parametrize(
    ("fn", "args", "reason"),
    [
        ("before", ["abc", "####"], "does not contain"),
        ("after", ["abc", "####"], "does not contain"),
        ("after", ["abc", ""], "at least one character"),
        ("after", [3, "a"], "needs a text"),
        ("lower", [["A"]], "needs a text"),
        ("number", ["twelve"], "not a number"),
        ("number", ["50%"], "not a number"),
        ("number", ["12 apples"], "not a number"),
        ("number", ["9" * 400], "not a number"),
        ("number", [True], "not a number"),
        ("json", ["{"], "not JSON"),
        ("json", ["NaN"], "not JSON"),
        ("json", ["[" * 100_000], "not JSON"),
        ("first", ["abc"], "needs a list"),
        ("round", [2.5, -1], "digits"),
        ("shuffle", [[1], "a"], "integer seed"),
        ("contains", ["a", 1], "needs two texts"),
        ("clip", [1, 2, 0], "nothing between"),
        ("ramp", [1, 2, 2], "divides by zero"),
        ("mod", [1, 0], "divides by zero"),
        ("abs", ["a"], "needs a number"),
    ],
)
def test_functions_fail_with_their_reason(fn: str, args: list[Value], reason: str) -> None:
    value = call(fn, *args)
    assert isinstance(value, Failed)
    assert reason in value.reason


@given(st.lists(st.integers()), st.integers())
def test_shuffle_keeps_every_item_and_depends_on_the_seed_only(items: list[int], seed: int) -> None:
    shuffled = call("shuffle", items, seed)
    assert isinstance(shuffled, list)
    assert sorted(shuffled) == sorted(items)
    assert shuffled == call("shuffle", list(items), seed)


def test_shuffle_is_the_same_on_every_machine() -> None:
    assert call("shuffle", [1, 2, 3, 4, 5], 7) == [4, 2, 1, 5, 3]


def test_matches_and_format_read_their_answer_spec() -> None:
    answer = {"kind": "number.last", "pattern": None, "which": "last", "type": None}
    assert call("matches", "The answer is 4.", 4, answer=answer) == 1
    assert call("matches", "The answer is 5.", 4, answer=answer) == 0
    assert call("matches", "none", 4, answer=answer) == 0
    assert call("matches", NOT_APPLICABLE, 4, answer=answer) is NOT_APPLICABLE
    assert isinstance(call("matches", ["4"], 4, answer=answer), Failed)
    assert isinstance(call("matches", "4", [4], answer=answer), Failed)
    assert call("format", "The answer is 4.", answer=answer) == 1
    assert call("format", "none", answer=answer) == 0


def test_templates_have_the_field_functions_under_their_names() -> None:
    names = "before after strip lower words sentences lines number first last json round shuffle"
    assert " ".join(FIELD_FUNCTIONS) == names
    assert set(FIELD_FUNCTIONS) < set(FUNCTIONS)
    assert not EXTERNAL_FUNCTIONS & set(FUNCTIONS)


@given(st.sampled_from(sorted(FIELD_FUNCTIONS)), VALUES, VALUES)
def test_no_value_breaks_a_field_function(name: str, first: Value, second: Value) -> None:
    args = (first, second) if name in ("before", "after", "round", "shuffle") else (first,)
    assert FIELD_FUNCTIONS[name](*args) is not None


@pytest.mark.parametrize(
    ("op", "params"), [("power", {}), ("call", {"fn": "eval"}), ("call", {}), ("column", {})]
)
def test_an_unknown_operation_is_a_damaged_artifact(op: str, params: dict[str, Any]) -> None:
    with pytest.raises(ArtifactError, match="does not know"):
        apply_operation(op, [1, 2], params)


def test_a_wrong_number_of_arguments_is_a_damaged_artifact() -> None:
    with pytest.raises(ArtifactError, match="3 arguments"):
        apply_operation("add", [1, 2, 3], {})
    with pytest.raises(ArtifactError, match="2 arguments"):
        call("strip", "a", "b")


# --- draws ------------------------------------------------------------------------------------------------


def test_uniform_draws_every_whole_number_with_its_ends() -> None:
    rng = random.Random(0)
    drawn = [draw_uniform(1, 4, rng) for _ in range(400)]
    assert set(drawn) == {1, 2, 3, 4}
    assert draw_uniform(1, 0, rng) == 1
    assert isinstance(draw_uniform(1.5, 3, rng), Failed)
    assert draw_uniform(NOT_APPLICABLE, 3, rng) is NOT_APPLICABLE


def test_bernoulli_is_certain_at_its_ends() -> None:
    assert {draw_bernoulli(0, str(seed)) for seed in range(50)} == {0}
    assert {draw_bernoulli(1, str(seed)) for seed in range(50)} == {1}
    assert isinstance(draw_bernoulli(-0.1, "s"), Failed)
    assert isinstance(draw_bernoulli("half", "s"), Failed)
