"""Filters of probes by agreement, novelty and meaning: votes counted by hand against a real server, texts compared by hand."""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("httpx")

from exgrpo_artifact.canonical import to_plain
from exgrpo_artifact.graph import Graph, Node
from exgrpo_artifact.manifest import AnswerSpec, Keep, Limits, Model
from exgrpo_artifact.record import replace as change
from exgrpo_runtime.context import Context
from exgrpo_runtime.probing import comparing
from exgrpo_runtime.probing.agreement import ANSWER_FORM
from exgrpo_runtime.probing.matching import gives_answer
from tests.runtime.factory import NUMBER, make_graph, read_lines
from tests.runtime.test_probing import find_gold, make_probing, read_prompt, run, write_probe
from tests.support.data import find_data
from tests.support.endpoint import Response, chat, refuse, serve_script

ONE_AT_A_TIME = Limits(concurrency=1)
ANSWER = Node(id="answer", op="probe", params={"field": "answer"})
QUESTION = Node(id="question", op="probe", params={"field": "question"})
TEXTS = Node(id="texts", op="list", args=("question",))


def call(id_: str, *args: str, **params: Any) -> Node:
    return Node(id=id_, op="call", args=args, params=params)


def majority(
    model: str = "tutor", count: int = 3, *, spec: AnswerSpec = NUMBER, id_: str = "majority"
) -> Node:
    return call(id_, "texts", "answer", fn="majority", model=model, count=count, answer=to_plain(spec))


def keep(name: str, *nodes: Node) -> Keep:
    """A filter of probes whose condition is the last node."""
    return Keep(name=name, subject="probe", condition=make_graph(QUESTION, ANSWER, TEXTS, *nodes))


def fresh(threshold: float = 0.8) -> Keep:
    """`keep probe fresh where not duplicate(threshold: …)`."""
    return keep(
        "fresh",
        call("same", "texts", fn="duplicate", threshold=threshold),
        Node(id="new", op="not", args=("same",)),
    )


def read_rejected(context: Context) -> dict[tuple[str, str], tuple[str, str]]:
    """(row's name, rule) -> reason and detail."""
    names = {row.uid: row.fields["question"].split()[2] for row in context.rows["sums"]["train"]}
    return {
        (names[line["row"]], line["rule"]): (line["reason"], line["detail"])
        for line in read_lines(context.work / "rejections.jsonl")
    }


class Voters:
    """Probes whose answer is 7, and models that answer them: so many of the replies to a row's probes are right."""

    def __init__(self, *right: int, wrong: Callable[[], Response] = lambda: chat("The answer is 8.")) -> None:
        self.right = right
        self.wrong = wrong
        self.asked = Counter[str]()
        self.lock = threading.Lock()

    def __call__(self, number: int, body: dict[str, Any]) -> Response:
        prompt = body["messages"][-1]["content"]
        if prompt.startswith("RULE"):
            return chat(write_probe(*read_prompt(prompt), answer="7"))
        with self.lock:
            self.asked[prompt] += 1
            number = self.asked[prompt]
        place = find_gold(prompt.split(": ")[1].split("\n")[0]) - 100
        return chat("So 3 + 4 = 7.\nThe answer is 7.") if number <= self.right[place] else self.wrong()


# --- majority -----------------------------------------------------------------------------------------------


def test_more_than_half_of_the_answers_are_the_probes(tmp_path: Path) -> None:
    voters = Voters(0, 1, 2, 3)
    with serve_script(voters) as endpoint:
        context = make_probing(tmp_path, endpoint.url, keep("sure", majority()), rules=("why",), num_rows=4)
        summary = run(context)
    assert summary["funnel"]["why"] == {"not-applicable": 0, "asked": 4, "sure": 2, "kept": 2}
    assert read_rejected(context) == {
        ("aa", "why"): ("sure", "the condition is not met: 0 of 3 answers of `tutor` are the probe's"),
        ("ab", "why"): ("sure", "the condition is not met: 1 of 3 answers of `tutor` is the probe's"),
    }
    assert set(voters.asked.values()) == {3}
    assert f"Why: What is aa in all?\n\n{ANSWER_FORM}" in voters.asked


def test_half_of_the_answers_are_no_majority(tmp_path: Path) -> None:
    with serve_script(Voters(2, 3)) as endpoint:
        context = make_probing(
            tmp_path, endpoint.url, keep("sure", majority(count=4)), rules=("why",), num_rows=2
        )
        run(context)
    assert list(read_rejected(context)) == [("aa", "why")]


def test_answers_that_failed_decide_nothing_and_change_nothing_that_is_decided(tmp_path: Path) -> None:
    with serve_script(Voters(0, 1, 2, 3, wrong=lambda: refuse(400, "filtered"))) as endpoint:
        context = make_probing(
            tmp_path, endpoint.url, keep("sure", majority(count=4)), rules=("why",), num_rows=4
        )
        summary = run(context)
    # With 3 right of 4 the failed one does not matter; with less, nobody knows.
    assert summary["reasons"] == {"filter-failed": 3}
    assert read_rejected(context)["ac", "why"] == (
        "filter-failed",
        "`sure`: `tutor` failed: HTTP 400: filtered",
    )


def test_a_vote_that_is_lost_whatever_the_failed_answer_was_is_no_failure(tmp_path: Path) -> None:
    is_first = [True]

    def wrong() -> Response:
        was_first, is_first[0] = is_first[0], False
        return refuse(400) if was_first else chat("8")

    with serve_script(Voters(0, 5, wrong=wrong)) as endpoint:
        context = make_probing(
            tmp_path,
            endpoint.url,
            keep("sure", majority(count=3)),
            rules=("why",),
            num_rows=2,
            limits=ONE_AT_A_TIME,
        )
        run(context)
    assert read_rejected(context)["aa", "why"][0] == "sure"


def test_samples_that_are_stored_are_not_asked_for_again(tmp_path: Path) -> None:
    voters = Voters(9, 9)
    with serve_script(voters) as endpoint:
        filters = keep("sure", majority(count=2)), keep("surer", majority(count=5))
        context = make_probing(tmp_path, endpoint.url, *filters, rules=("why",), num_rows=2)
        summary = run(context)
    assert set(voters.asked.values()) == {5}
    assert (summary["asked"], summary["from_store"]) == (12, 4)


# --- both ---------------------------------------------------------------------------------------------------


def add_second(context: Context, url: str) -> Context:
    second = Model(name="second", kind="openai", id="other", base_url=url, tries=1)
    manifest = change(context.manifest, models={**context.manifest.models, "second": second})
    return replace(context, artifact=context.artifact._replace(manifest=manifest))


def test_two_models_are_asked_at_once_and_must_both_agree(tmp_path: Path) -> None:
    both = Node(id="both", op="and", args=("first", "other"))
    nodes = majority(count=1, id_="first"), majority("second", 1, id_="other"), both
    with serve_script(Voters(1, 1, 0, 0)) as endpoint, serve_script(Voters(1, 0, 1, 0)) as other:
        context = make_probing(tmp_path, endpoint.url, keep("agreed", *nodes), rules=("why",), num_rows=4)
        summary = run(add_second(context, other.url))
    assert summary["funnel"]["why"] == {"not-applicable": 0, "asked": 4, "agreed": 3, "kept": 1}
    assert read_rejected(context)["ab", "why"][1] == (
        "the condition is not met: 1 of 1 answers of `tutor` is the probe's, 0 of 1 answers of `second` are the probe's"
    )
    assert {body["model"] for body in other.bodies} == {"other"}


@pytest.mark.parametrize(
    ("reply", "references", "spec", "expected"),
    [
        ("So it is 7.", ["7"], NUMBER, True),
        ("So it is 7.0", ["seven: 7"], NUMBER, True),
        ("So it is 8.", ["7"], NUMBER, False),
        ("no idea", ["7"], NUMBER, False),
        ("We add. The answer is addition.", ["The addition"], NUMBER, True),
        ("Addition", ["addition."], None, True),
        ("subtraction", ["addition"], None, False),
        ("anything", [], None, False),
        ("It is (b).", ["B"], AnswerSpec(kind="choice.letter"), True),
    ],
)
def test_a_reply_gives_the_answer_by_its_type_or_in_its_words(
    reply: str, references: list[str], spec: AnswerSpec | None, expected: bool
) -> None:
    assert gives_answer(reply, references, spec) is expected


# --- duplicate ----------------------------------------------------------------------------------------------


def test_the_first_of_a_rows_like_probes_stays(tmp_path: Path) -> None:
    words = {"why": "Why is that so?", "how": "why is THAT so", "undo": "What if it were not so?"}

    def script(number: int, body: dict[str, Any]) -> Response:
        question, rule = read_prompt(body["messages"][-1]["content"])
        return chat(write_probe(question, rule).replace(f"{rule.title()}: {question}", words[rule]))

    with serve_script(script) as endpoint:
        context = make_probing(tmp_path, endpoint.url, fresh(), num_rows=2)
        summary = run(context)
    assert summary["funnel"]["how"] == {"not-applicable": 0, "asked": 2, "fresh": 2, "kept": 0}
    assert summary["probes_kept"] == 4, "what another row's probe says does not matter"
    assert read_rejected(context) == {
        (name, "how"): ("fresh", "the condition is not met: 1.00 like the probe of rule `why`")
        for name in ("aa", "ab")
    }


def test_a_probe_that_an_earlier_filter_dropped_is_repeated_by_nobody(tmp_path: Path) -> None:
    has_reason = keep(
        "reasoned",
        Node(id="so", op="const", params={"value": "so"}),
        Node(id="is_so", op="eq", args=("answer", "so")),
    )

    def script(number: int, body: dict[str, Any]) -> Response:
        _, rule = read_prompt(body["messages"][-1]["content"])
        probe = write_probe("the same", "why", answer="not so" if rule == "why" else "so")
        return chat(probe)

    with serve_script(script) as endpoint:
        context = make_probing(tmp_path, endpoint.url, has_reason, fresh(), num_rows=1)
        summary = run(context)
    assert [line["rule"] for line in read_lines(context.work / "probes.jsonl")] == ["how"]
    assert summary["reasons"] == {"fresh": 1, "reasoned": 1}


# --- similarity ---------------------------------------------------------------------------------------------


def test_meanings_are_compared_for_all_probes_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[list[tuple[str, str]], str, str | None]] = []

    def compare(pairs: list[tuple[str, str]], model_id: str, revision: str | None) -> list[float]:
        asked.append((list(pairs), model_id, revision))
        return [0.9 if first.startswith("Why") else 0.1 for first, _ in pairs]

    monkeypatch.setattr(comparing, "compare_texts", compare)
    nodes = (
        Node(id="item", op="item", params={"field": "question"}),
        call("close", "question", "item", fn="similarity", id="small", revision="abc"),
        Node(id="half", op="const", params={"value": 0.5}),
        Node(id="near", op="gt", args=("close", "half")),
    )
    with serve_script(
        lambda number, body: chat(write_probe(*read_prompt(body["messages"][-1]["content"])))
    ) as endpoint:
        context = make_probing(tmp_path, endpoint.url, keep("near", *nodes), num_rows=2)
        summary = run(context)
    ((pairs, model_id, revision),) = asked
    assert (len(pairs), model_id, revision) == (6, "small", "abc")
    assert pairs[0] == ("Why: What is aa in all?", "What is aa in all?")
    assert summary["reasons"] == {"near": 4}
    assert read_rejected(context)["aa", "how"] == ("near", "the condition is not met: similarity gave 0.10")


# --- the batch ----------------------------------------------------------------------------------------------


def test_a_call_that_needs_another_waits_for_it(tmp_path: Path) -> None:
    """`judge.same(probe.question if majority(…) else item.question, …)`: an odd thing to write, and right all the same."""
    nodes = (
        majority(count=1),
        Node(id="item", op="item", params={"field": "question"}),
        Node(id="which", op="if", args=("majority", "question", "item")),
        call("same", "which", "item", fn="judge.same", model="tutor"),
    )

    def script(number: int, body: dict[str, Any]) -> Response:
        prompt = body["messages"][-1]["content"]
        if prompt.startswith("RULE"):
            return chat(write_probe(*read_prompt(prompt), answer="7"))
        if "mean the same" in prompt:
            return chat("no" if "Why: " in prompt else "yes")
        return chat("7" if " aa " in prompt else "8")

    with serve_script(script) as endpoint:
        context = make_probing(tmp_path, endpoint.url, keep("odd", *nodes), rules=("why",), num_rows=2)
        summary = run(context)
    assert read_rejected(context).keys() == {("aa", "why")}
    assert summary["probes_kept"] == 1


def test_a_condition_without_calls_asks_nobody(tmp_path: Path) -> None:
    graph = Graph(nodes=(Node(id="no", op="const", params={"value": True}),), result="no")
    with serve_script(
        lambda number, body: chat(write_probe(*read_prompt(body["messages"][-1]["content"])))
    ) as endpoint:
        context = make_probing(
            tmp_path, endpoint.url, Keep(name="all", subject="item", condition=graph), rules=("why",)
        )
        assert run(context)["probes_kept"] == 6
    assert endpoint.num_hits == 6


def test_of_a_real_teachers_answers_the_right_ones_agree_and_its_mistakes_do_not() -> None:
    """Outputs that LLM-Adapters trained on, with the gold answers of AddSub: the teacher got 25 of 395 wrong."""
    with find_data("teacher_llmadapters_addsub.jsonl").open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    for row in rows:
        said = float(re.findall(r"\d[\d,]*(?:\.\d+)?", row["output"])[-1].replace(",", ""))
        is_right = abs(said - float(row["answer"])) < 1e-9
        assert gives_answer(row["output"], [row["answer"]], NUMBER) == is_right, row
    assert sum(not gives_answer(row["output"], [row["answer"]], NUMBER) for row in rows) == 25
    assert len(rows) == 395
