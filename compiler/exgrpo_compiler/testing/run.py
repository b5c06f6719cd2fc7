"""A checked test run: its rollouts scored by every reward that it names, its expectations looked at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from exgrpo_artifact.answers import extract_answer
from exgrpo_artifact.graph import Node, RewardGraph
from exgrpo_artifact.manifest import read_answer_spec
from exgrpo_artifact.record import Record
from exgrpo_artifact.rewards import Scores, evaluate_reward
from exgrpo_artifact.values import read_path
from exgrpo_compiler.checked_tests import CheckedTest
from exgrpo_compiler.ir import CheckedProgram
from exgrpo_compiler.program import Key
from exgrpo_compiler.testing.expectations import Columns, Judged, judge_expectation
from exgrpo_compiler.testing.rewards import build_rollouts, lower_reward_alone, place_judgements

Graphs = Mapping[Key, RewardGraph]


class ReadAnswer(Record):
    """What was read out of a turn's text, and what it was compared with."""

    turn: str
    text: str
    answer: str | None
    """None: there is none in the text."""
    gold: Any
    """None where it is not compared with anything."""


class Result(Record):
    """A test that was run."""

    test: CheckedTest
    judged: tuple[Judged, ...]
    scores: Mapping[Key, Scores]
    answers: tuple[tuple[ReadAnswer, ...], ...]
    """By rollout."""

    @property
    def has_passed(self) -> bool:
        """Whether every expectation is met."""
        return all(one.is_met for one in self.judged)


def lower_tested_rewards(program: CheckedProgram) -> dict[Key, RewardGraph]:
    """Every reward that a test names, as a graph; each once."""
    keys = dict.fromkeys(key for test in program.tests for key in test.rewards)
    return {key: lower_reward_alone(program, key) for key in keys}


def run_test(test: CheckedTest, graphs: Graphs) -> Result:
    """The test's result.

    Raises:
        MissingDependencyError: an outcome by `math.boxed` without math-verify.
    """
    scores = score_test(test, graphs)
    columns = build_columns(scores)
    judged = tuple(judge_expectation(expect, columns, len(test.group)) for expect in test.expects)
    is_failed = any(not one.is_met for one in judged)
    answers = tuple(_read_answers(test, graphs, at) for at in range(len(test.group))) if is_failed else ()
    return Result(test, judged, scores, answers)


def score_test(test: CheckedTest, graphs: Graphs) -> dict[Key, Scores]:
    """What every reward of the test makes of its rollouts."""
    rollouts = build_rollouts(test.group)
    return {
        key: evaluate_reward(graphs[key], test.item, rollouts, place_judgements(graphs[key], test.group))
        for key in test.rewards
    }


def build_columns(scores: Mapping[Key, Scores]) -> Columns:
    """Values by (reward, term)."""
    return {(key, term): values for key, found in scores.items() for term, values in found.terms.items()}


def _read_answers(test: CheckedTest, graphs: Graphs, at: int) -> tuple[ReadAnswer, ...]:
    found: dict[tuple[str, str], ReadAnswer] = {}
    for key in test.rewards:
        nodes = {node.id: node for node in graphs[key].nodes}
        for node in graphs[key].nodes:
            turn = nodes[node.args[0]] if node.args else None
            is_reader = node.op == "call" and node.params.get("fn") in ("matches", "format")
            if not is_reader or turn is None or turn.op != "turn":
                continue
            name = turn.params["name"]
            texts = test.group[at].turns.get(name)
            for text in (texts,) if isinstance(texts, str) else texts or ():
                answer = extract_answer(text, read_answer_spec(node.params["answer"]))
                gold = _find_gold(test, nodes, node)
                found.setdefault((name, text), ReadAnswer(name, text, answer, gold))
    return tuple(found.values())


def _find_gold(test: CheckedTest, nodes: Mapping[str, Node], node: Node) -> Any:
    if len(node.args) < 2:
        return None
    gold = nodes[node.args[1]]
    if gold.op == "item":
        return read_path(test.item, gold.params["field"])
    return gold.params.get("value") if gold.op == "const" else None
