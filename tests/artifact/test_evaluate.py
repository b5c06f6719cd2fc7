"""Graphs outside rewards: field mappings, conditions, cuts."""

from __future__ import annotations

import random

import pytest

from exgrpo_artifact.errors import ArtifactError, InternalError
from exgrpo_artifact.evaluate import evaluate_arguments, evaluate_graph, find_external_nodes
from exgrpo_artifact.graph import Graph, Node
from exgrpo_artifact.values import NOT_APPLICABLE, Failed
from tests.artifact.graphs import Builder


def build_gold() -> Graph:
    """`row.answer | after("####") | number`."""
    b = Builder()
    tail = b.call("after", b.add("column", name="answer"), b.const("####"))
    return b.build(b.call("number", tail))


def test_a_field_mapping() -> None:
    assert evaluate_graph(build_gold(), row={"answer": "so 1,200\n#### 1,200"}) == 1200


def test_a_row_that_does_not_convert_says_why() -> None:
    value = evaluate_graph(build_gold(), row={"answer": "no mark"})
    assert value == Failed("the text 'no mark' does not contain '####'")


@pytest.mark.parametrize("row", [{}, {"answer": None}, {"other": "#### 1"}])
def test_a_column_that_is_absent_or_null_is_not_applicable(row: dict[str, str | None]) -> None:
    assert evaluate_graph(build_gold(), row=row) is NOT_APPLICABLE


def test_applies_when() -> None:
    b = Builder()
    graph = b.build(b.add("gt", b.call("words", b.add("item", field="question")), b.const(5)))
    assert evaluate_graph(graph, item={"question": "one two three four five six"}) is True
    assert evaluate_graph(graph, item={"question": "one two"}) is False


def build_in_reach() -> Graph:
    """`1 <= solved(student, probes) < count(probes)`, Eq. 2."""
    b = Builder()
    probes = b.add("probes")
    solved = b.call("solved", probes, id="solved", model="student")
    count = b.add("aggregate", probes, fn="count")
    return b.build(b.add("and", b.add("le", b.const(1), solved), b.add("lt", solved, count)))


def test_equation_2_keeps_what_is_neither_too_easy_nor_too_hard() -> None:
    graph, probes = build_in_reach(), [{"question": "a"}, {"question": "b"}, {"question": "c"}]
    kept = [evaluate_graph(graph, probes=probes, external={"solved": solved}) for solved in range(4)]
    assert kept == [False, True, True, False]
    assert evaluate_graph(graph, probes=[], external={"solved": 0}) is False


def test_a_model_that_was_not_asked_is_a_failure() -> None:
    graph = build_in_reach()
    assert evaluate_graph(graph, probes=[{}, {}]) == Failed("`solved` was not answered")
    assert [node.id for node in find_external_nodes(graph)] == ["solved"]
    assert evaluate_arguments(graph, "solved", probes=[{"a": 1}]) == [[{"a": 1}]]


def test_arguments_of_equation_1() -> None:
    b = Builder()
    texts = b.add("list", b.add("probe", field="question"), b.add("item", field="question"))
    b.call(
        "agrees",
        texts,
        b.add("item", field="gold"),
        id="agrees",
        model="tutor",
        answer={"kind": "number.last"},
    )
    graph = b.build("agrees")
    item, probe = {"question": "2 + 2?", "gold": 4}, {"question": "why?"}
    assert evaluate_arguments(graph, "agrees", item=item, probe=probe) == [["why?", "2 + 2?"], 4]
    assert evaluate_graph(graph, item=item, probe=probe, external={"agrees": 1}) == 1
    assert evaluate_graph(graph, item=item, probe={}, external={"agrees": 1}) is NOT_APPLICABLE


def test_a_cut_draws_between_its_ends() -> None:
    b = Builder()
    last = b.add("sub", b.add("k"), b.const(1))
    graph = b.build(b.call("uniform", b.const(1), last))
    rng = random.Random(0)
    assert {evaluate_graph(graph, k=5, rng=rng) for _ in range(100)} == {1, 2, 3, 4}
    assert evaluate_graph(graph, k=1, rng=rng) == 1


def test_aggregates_over_lists() -> None:
    b = Builder()
    graph = b.build(b.mean(b.add("item", field="scores")))
    assert evaluate_graph(graph, item={"scores": [1, None, 3]}) == 2
    assert evaluate_graph(graph, item={"scores": []}) is NOT_APPLICABLE
    assert isinstance(evaluate_graph(graph, item={"scores": "12"}), Failed)


def test_a_caller_that_forgets_something_is_our_bug() -> None:
    with pytest.raises(InternalError, match="column"):
        evaluate_graph(build_gold(), item={})


def test_a_damaged_graph_is_refused() -> None:
    with pytest.raises(ArtifactError, match="stands before its argument"):
        evaluate_graph(Graph(nodes=(Node(id="a", op="neg", args=("b",)),), result="a"))
    with pytest.raises(ArtifactError, match="no node `b`"):
        evaluate_graph(Graph(nodes=(Node(id="a", op="const", params={"value": 1}),), result="b"))


def test_a_very_long_expression_is_no_deeper_than_a_short_one() -> None:
    b = Builder()
    total = b.const(0)
    for _ in range(5000):
        total = b.add("add", total, b.const(1))
    assert evaluate_graph(b.build(total)) == 5000
