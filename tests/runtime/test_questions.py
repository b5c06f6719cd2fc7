"""What a probe stage asks: which questions, in which order and words, for hand-made rows and rules."""

from __future__ import annotations

from typing import Any

import pytest

from exgrpo_artifact.graph import Graph, Node
from exgrpo_artifact.manifest import Probes, ProbeStage, Rule
from exgrpo_artifact.record import replace
from exgrpo_artifact.storage import Artifact
from exgrpo_runtime.probing.questions import Question, build_questions
from exgrpo_runtime.records import Row
from exgrpo_runtime.templates import TemplateSet
from tests.runtime.factory import make_artifact

STAGE = ProbeStage(name="probe", probes="ask", split="train")
ONE = "{{ rule.name }}|{{ rule.doc }}|{{ item.question }}{% for e in rule.examples %}|{{ e.question }} > {{ e.probe }}{% endfor %}"
ALL = "{{ item.question }}{% for rule in rules %}|{{ rule.name }}: {{ rule.instruction }}{% endfor %}"
ROWS = [
    Row("train:0:x", "train", {"question": "Short?"}),
    Row("train:1:y", "train", {"question": "A long one?"}),
]


def make_rules() -> dict[str, Rule]:
    """`why` for all rows, `long` for questions of more than two words."""
    nodes = (
        Node(id="q", op="item", params={"field": "question"}),
        Node(id="w", op="call", args=("q",), params={"fn": "words"}),
        Node(id="n", op="const", params={"value": 2}),
        Node(id="r", op="gt", args=("w", "n")),
    )
    return {
        "why": Rule(name="why", doc="The logic.", instruction="Ask why.", examples=(("1 + 1?", "Why 2?"),)),
        "long": Rule(name="long", instruction="Shorten.", applies_when=Graph(nodes=nodes, result="r")),
    }


def make(prompt: str, rules: tuple[str, ...] = ("why", "long"), **changes: Any) -> Artifact:
    artifact = make_artifact()
    manifest = artifact.manifest
    declaration: Probes = replace(manifest.probes["ask"], rules=rules, **changes)
    manifest = replace(manifest, rules=make_rules(), probes={"ask": declaration})
    return artifact._replace(manifest=manifest, prompts={"prompts/ask.jinja": prompt})


def ask(artifact: Artifact, rows: list[Row] = ROWS) -> list[Question]:
    return list(build_questions(artifact, TemplateSet(artifact.prompts), STAGE, rows))


def show(questions: list[Question]) -> list[tuple[str, str, int]]:
    return [(q.row.uid, "+".join(rule.name for rule in q.rules), q.sample) for q in questions]


def read_text(question: Question) -> str:
    (message,) = question.request.messages
    assert message["role"] == "user"
    return message["content"]


def test_each_row_is_asked_about_by_each_rule_that_applies_to_it() -> None:
    questions = ask(make(ONE))
    assert show(questions) == [("train:0:x", "why", 0), ("train:1:y", "why", 0), ("train:1:y", "long", 0)]
    assert [read_text(question) for question in questions] == [
        "why|The logic.|Short?|1 + 1? > Why 2?",
        "why|The logic.|A long one?|1 + 1? > Why 2?",
        "long||A long one?",
    ]
    assert {question.request.model.name for question in questions} == {"tutor"}


def test_samples_are_the_innermost_and_differ_by_their_number_alone() -> None:
    questions = ask(make(ONE, rules=("why",), samples=3))
    assert show(questions) == [
        (uid, "why", sample) for uid in ("train:0:x", "train:1:y") for sample in range(3)
    ]
    requests = [question.request for question in questions[:3]]
    assert len({request.key for request in requests}) == 3
    assert len({request.messages[0]["content"] for request in requests}) == 1


def test_rules_that_are_asked_together_are_one_request_for_each_row_and_sample() -> None:
    questions = ask(make(ALL, ask="together", samples=2))
    assert show(questions) == [
        ("train:0:x", "why", 0),
        ("train:0:x", "why", 1),
        ("train:1:y", "why+long", 0),
        ("train:1:y", "why+long", 1),
    ]
    assert read_text(questions[0]) == "Short?|why: Ask why."
    assert read_text(questions[2]) == "A long one?|why: Ask why.|long: Shorten."


@pytest.mark.parametrize(("how", "prompt"), [("per_rule", ONE), ("together", ALL)])
def test_a_row_that_no_rule_applies_to_is_not_asked_about(how: str, prompt: str) -> None:
    assert {uid for uid, _, _ in show(ask(make(prompt, rules=("long",), ask=how)))} == {"train:1:y"}


def test_questions_are_made_one_row_at_a_time() -> None:
    taken: list[str] = []

    def give() -> Any:
        for row in ROWS:
            taken.append(row.uid)
            yield row

    artifact = make(ONE)
    questions = build_questions(artifact, TemplateSet(artifact.prompts), STAGE, give())
    assert taken == []
    next(questions)
    assert taken == ["train:0:x"]
