from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("httpx")

from exgrpo_artifact.canonical import to_plain
from exgrpo_artifact.errors import DataError, TeacherError
from exgrpo_artifact.graph import Graph, Node
from exgrpo_artifact.manifest import Keep, Limits, Model, Price, ProbeStage, Rule, Sampling
from exgrpo_artifact.record import replace as change
from exgrpo_runtime.context import Context
from exgrpo_runtime.probing.solving import Conversation
from exgrpo_runtime.probing.stage import run_probe_stage
from exgrpo_runtime.teachers.store import ReplyStore
from tests.runtime.factory import NUMBER, PROMPTS, make_artifact, make_context, make_graph, read_lines
from tests.support.endpoint import Endpoint, Response, chat, refuse, serve_script

STAGE = ProbeStage(name="probe", probes="ask", split="train")
RULES = ("why", "how", "undo")
NUM_ROWS = 6
Answer = Callable[[str, str], str]
"""Question and rule ("" for a consistency check) -> the reply."""


def make_consistent() -> Keep:
    """`keep probe consistent where agrees(tutor, [probe.question, probe.answer, item.question], item.gold)`."""
    leaves = (
        Node(id="q", op="probe", params={"field": "question"}),
        Node(id="a", op="probe", params={"field": "answer"}),
        Node(id="i", op="item", params={"field": "question"}),
        Node(id="gold", op="item", params={"field": "gold"}),
    )
    texts = Node(id="texts", op="list", args=("q", "a", "i"))
    params = {"fn": "agrees", "model": "tutor", "answer": to_plain(NUMBER)}
    agrees = Node(id="agrees", op="call", args=("texts", "gold"), params=params)
    return Keep(name="consistent", subject="probe", condition=make_graph(*leaves, texts, agrees))


def make_in_reach() -> Keep:
    """`keep item in_reach where 1 <= solved(student, probes) < count(probes)`."""
    params = {"fn": "solved", "model": "tiny", "dialogue": "lesson"}
    nodes = (
        Node(id="one", op="const", params={"value": 1}),
        Node(id="probes", op="probes"),
        Node(id="solved", op="call", args=("probes",), params=params),
        Node(id="enough", op="le", args=("one", "solved")),
        Node(id="count", op="aggregate", args=("probes",), params={"fn": "count"}),
        Node(id="some_left", op="lt", args=("solved", "count")),
        Node(id="both", op="and", args=("enough", "some_left")),
    )
    return Keep(name="in_reach", subject="item", condition=make_graph(*nodes))


def make_rules() -> dict[str, Rule]:
    question = Node(id="q", op="item", params={"field": "question"})
    words = Node(id="w", op="call", args=("q",), params={"fn": "words"})
    six = Node(id="n", op="const", params={"value": 6})
    is_long = Graph(nodes=(question, words, six, Node(id="r", op="gt", args=("w", "n"))), result="r")
    return {
        "why": Rule(name="why", instruction="Ask why."),
        "how": Rule(name="how", instruction="Ask how."),
        "undo": Rule(name="undo", instruction="State it, ask back.", reveals=("gold",)),
        "long": Rule(name="long", instruction="For long questions.", applies_when=is_long),
    }


def make_probing(
    path: Path,
    url: str,
    *keeps: Keep,
    rules: tuple[str, ...] = RULES,
    num_rows: int = NUM_ROWS,
    **changes: Any,
) -> Context:
    artifact = make_artifact()
    manifest = artifact.manifest
    settings = {"id": "big", "base_url": url, "tries": 2, "timeout_s": 5.0, "limits": Limits(concurrency=4)}
    tutor = Model(**{"name": "tutor", "kind": "openai", **settings, **changes})
    declaration = change(manifest.probes["ask"], rules=rules, keeps=keeps)
    manifest = change(
        manifest,
        models={**manifest.models, "tutor": tutor},
        rules=make_rules(),
        probes={"ask": declaration},
    )
    prompt = "RULE {{ rule.name }}: {{ rule.instruction }}\nQUESTION {{ item.question }} ({{ item.gold }})"
    context = make_context(
        path,
        artifact._replace(manifest=manifest, prompts={**PROMPTS, "prompts/ask.jinja": prompt}),
        num_rows=num_rows,
    )
    # The factory's questions repeat after 35 rows and state small numbers; these state none.
    rows = [
        replace(row, fields={"question": f"What is {name} in all?", "gold": 100 + index})
        for index, (row, name) in enumerate(
            zip(
                context.rows["sums"]["train"],
                (chr(97 + i // 26) + chr(97 + i % 26) for i in range(676)),
                strict=False,
            )
        )
    ]
    return replace(context, rows={"sums": {"train": rows}})


def read_prompt(prompt: str) -> tuple[str, str]:
    """The question and the rule of a request; no rule for a consistency check."""
    if not prompt.startswith("RULE "):
        return prompt.split("\n\n")[-1], ""
    return prompt.split("QUESTION ")[1].rpartition(" (")[0], prompt.split()[1].rstrip(":")


def write_probe(question: str, rule: str, answer: str = "so") -> str:
    return json.dumps({"question": f"{rule.title()}: {question}", "rationale": "Since.", "answer": answer})


def find_gold(question: str) -> int:
    letters = question.split()[2]
    return 100 + (ord(letters[0]) - 97) * 26 + ord(letters[1]) - 97


def serve(answer: Answer) -> Any:
    def script(number: int, body: dict[str, Any]) -> Response:
        return chat(
            answer(*read_prompt(body["messages"][-1]["content"])), prompt_tokens=10, completion_tokens=5
        )

    return serve_script(script)


def tell_right(question: str, rule: str) -> str:
    return write_probe(question, rule) if rule else f"The answer is {find_gold(question)}."


def run(context: Context, **options: Any) -> dict[str, Any]:
    summary = run_probe_stage(STAGE, context, **options)
    context.store.close()
    return summary


# --- the whole --------------------------------------------------------------------------------------------


def test_every_row_and_rule_gives_a_probe_in_their_order(tmp_path: Path) -> None:
    def answer(question: str, rule: str) -> str:
        time.sleep(0.03 * (find_gold(question) % 3))
        return tell_right(question, rule)

    with serve(answer) as endpoint:
        context = make_probing(tmp_path, endpoint.url, make_consistent())
        summary = run(context)
    rows = context.rows["sums"]["train"]
    probes = read_lines(context.work / "probes.jsonl")
    assert [(probe["row"], probe["rule"]) for probe in probes] == [
        (row.uid, rule) for row in rows for rule in RULES
    ]
    assert [probe["reveals"] for probe in probes[:3]] == [False, False, True]
    assert probes[0]["fields"] == {
        "question": "Why: What is aa in all?",
        "rationale": "Since.",
        "answer": "so",
    }
    assert read_lines(context.work / "rejections.jsonl") == []
    assert summary["funnel"]["why"] == {"not-applicable": 0, "asked": 6, "kept": 6}
    assert (summary["rows"], summary["asked"], summary["from_store"], summary["failed_requests"]) == (
        6,
        36,
        0,
        0,
    )
    assert (summary["items_kept"], summary["items_dropped"], summary["probes_kept"]) == (6, 0, 18)
    assert summary["tokens"] == {"prompt": 360, "completion": 180, "uncounted": 0}
    assert 1 < endpoint.most_at_once <= 4
    checks = [prompt for prompt in endpoint.prompts if not prompt.startswith("RULE")]
    assert checks[0].split("\n\n")[1:] == ["so", checks[0].split("\n\n")[0].split(": ")[1]]


def test_exactly_the_wrong_probes_are_rejected_each_for_its_reason(tmp_path: Path) -> None:
    planted = {
        ("aa", "why"): ("malformed-reply", lambda q, r: "I would rather not."),
        ("aa", "how"): ("malformed-reply", lambda q, r: write_probe(q, r)[:-1]),
        ("ab", "why"): ("states-answer", lambda q, r: write_probe(f"Is it {find_gold(q)}.00?", r)),
        ("ab", "how"): ("states-answer", lambda q, r: write_probe("Is it one hundred and one?", r)),
        ("ac", "how"): ("consistent", lambda q, r: write_probe(q, r, answer="DERAIL")),
        ("ad", "undo"): ("consistent", lambda q, r: write_probe(q, r, answer="DERAIL")),
    }

    def answer(question: str, rule: str) -> str:
        if (question.split()[2], rule) in planted:
            return planted[question.split()[2], rule][1](question, rule)
        if rule == "undo":
            return write_probe(f"The answer is {find_gold(question)}. What was asked?", rule)
        return tell_right(question, rule)

    def script(number: int, body: dict[str, Any]) -> Response:
        prompt = body["messages"][-1]["content"]
        return chat("It is 7." if "DERAIL" in prompt else answer(*read_prompt(prompt)))

    with serve_script(script) as endpoint:
        context = make_probing(tmp_path, endpoint.url, make_consistent())
        summary = run(context)
    names = {row.uid: row.fields["question"].split()[2] for row in context.rows["sums"]["train"]}
    rejected = {
        (names[line["row"]], line["rule"]): line["reason"]
        for line in read_lines(context.work / "rejections.jsonl")
    }
    assert rejected == {pair: reason for pair, (reason, _) in planted.items()}
    kept = {(names[line["row"]], line["rule"]) for line in read_lines(context.work / "probes.jsonl")}
    assert kept == {(name, rule) for name in names.values() for rule in RULES} - set(planted)
    assert summary["reasons"] == {"malformed-reply": 2, "states-answer": 2, "consistent": 2}
    for counts in summary["funnel"].values():
        assert counts["asked"] == sum(
            n for key, n in counts.items() if key not in ("asked", "not-applicable")
        )


def test_a_row_is_kept_where_the_student_solves_some_of_its_probes_but_not_all(tmp_path: Path) -> None:
    asked: list[list[Conversation]] = []

    def answer(question: str, rule: str) -> str:
        return (
            write_probe(question, rule, answer=str(RULES.index(rule) + 1))
            if rule
            else tell_right(question, rule)
        )

    def solve(conversations: list[Conversation]) -> list[str | None]:
        asked.append(conversations)
        # Row i has its first i probes solved; the fifth and sixth row none and all.
        numbers = [
            find_gold(conversation[-1]["content"].split(": ")[1]) - 100 for conversation in conversations
        ]
        places = [index % 3 + 1 for index in range(len(conversations))]
        return [
            str(place) if place <= number % 4 else "0" for number, place in zip(numbers, places, strict=True)
        ]

    with serve(answer) as endpoint:
        context = make_probing(tmp_path, endpoint.url, make_in_reach())
        summary = run(context, solve=solve)
    rows = context.rows["sums"]["train"]
    kept = {line["row"] for line in read_lines(context.work / "probes.jsonl")}
    # Solved of three: 0 1 2 3 0 1.
    assert kept == {rows[i].uid for i in (1, 2, 5)}
    assert len(asked) == 1
    assert len(asked[0]) == 18
    assert (summary["items_kept"], summary["items_dropped_by"]) == (3, {"in_reach": 3})
    assert summary["reasons"] == {"in_reach": 9}
    details = [line["detail"] for line in read_lines(context.work / "rejections.jsonl")]
    assert details == [f"the condition is not met: solved gave {n}" for n in (0, 0, 0, 3, 3, 3, 0, 0, 0)]


def test_filters_apply_in_order_each_to_what_the_one_before_left(tmp_path: Path) -> None:
    def script(number: int, body: dict[str, Any]) -> Response:
        prompt = body["messages"][-1]["content"]
        question, rule = read_prompt(prompt)
        if rule:
            return chat(
                write_probe(question, rule, answer="DERAIL" if rule == "how" or " aa " in question else "so")
            )
        return chat("7" if "DERAIL" in prompt else tell_right(question, rule))

    sizes: list[int] = []

    def solve(conversations: list[Conversation]) -> list[str | None]:
        sizes.append(len(conversations))
        return ["so" if "Why" in conversation[-1]["content"] else "x" for conversation in conversations]

    with serve_script(script) as endpoint:
        context = make_probing(tmp_path, endpoint.url, make_consistent(), make_in_reach(), num_rows=3)
        summary = run(context, solve=solve)
    # The row `aa` lost all three to the first filter, the others one each; of two, one is solved.
    assert sizes == [4]
    assert summary["reasons"] == {"consistent": 5}
    assert summary["items_dropped_by"] == {"no-probes": 1}
    assert summary["items_kept"] == 2


def test_a_rule_that_does_not_apply_is_not_asked_and_counted(tmp_path: Path) -> None:
    with serve(tell_right) as endpoint:
        context = make_probing(tmp_path, endpoint.url, rules=("why", "long"))
        summary = run(context)
    assert summary["funnel"]["long"] == {"not-applicable": 6, "asked": 0, "kept": 0}
    assert endpoint.num_hits == 6


def test_solved_of_another_model_asks_that_model_greedily(tmp_path: Path) -> None:
    keep = make_in_reach()
    nodes = tuple(
        change(node, params={**node.params, "model": "tutor"}) if node.id == "solved" else node
        for node in keep.condition.nodes
    )
    keep = change(keep, condition=Graph(nodes=nodes, result=keep.condition.result))

    def script(number: int, body: dict[str, Any]) -> Response:
        prompt = body["messages"][-1]["content"]
        if prompt.startswith("RULE"):
            return chat(write_probe(*read_prompt(prompt)))
        return refuse(500) if "Why: What is aa" in prompt else chat("so" if "How" in prompt else "not so")

    with serve_script(script) as endpoint:
        context = make_probing(tmp_path, endpoint.url, keep, num_rows=2)
        summary = run(context)
    assert summary["reasons"] == {"filter-failed": 3}
    assert summary["items_kept"] == 1
    greedy = [body for body in endpoint.bodies if body["messages"][0]["role"] == "system"]
    assert greedy
    assert all(body["temperature"] == 0.0 for body in greedy)


# --- what goes wrong --------------------------------------------------------------------------------------


def test_requests_that_fail_for_good_are_counted_and_the_rest_goes_on(tmp_path: Path) -> None:
    def script(number: int, body: dict[str, Any]) -> Response:
        prompt = body["messages"][-1]["content"]
        if "Ask why" in prompt and " aa " in prompt:
            return refuse(400, "content filter")
        if prompt.startswith("How: What is ab"):
            return refuse(500, "overloaded")
        return chat(tell_right(*read_prompt(prompt)))

    with serve_script(script) as endpoint:
        context = make_probing(tmp_path, endpoint.url, make_consistent())
        summary = run(context)
    assert summary["failed_requests"] == 2
    assert summary["reasons"] == {"teacher-failed": 1, "filter-failed": 1}
    details = {line["reason"]: line["detail"] for line in read_lines(context.work / "rejections.jsonl")}
    assert details["teacher-failed"] == "HTTP 400: content filter"
    assert details["filter-failed"] == "`consistent`: the teacher failed: HTTP 500: overloaded (2 tries)"


def test_nothing_left_is_unusable_data_with_counts_by_reason(tmp_path: Path) -> None:
    def answer(question: str, rule: str) -> str:
        return "nonsense" if rule == "why" else write_probe(question, rule) if rule else "The answer is 7."

    with serve(answer) as endpoint:
        context = make_probing(tmp_path, endpoint.url, make_consistent())
        with pytest.raises(
            DataError, match=r"no probe survived .* 12 consistent, 6 malformed-reply"
        ) as caught:
            run(context)
        assert caught.value.exit_code == 4
        assert len(read_lines(context.work / "rejections.jsonl")) == 18
        assert context.store.sum_usage("tutor").replies == endpoint.num_hits
    context.store.close()


def test_a_teacher_that_stops_answering_ends_the_stage_instead_of_failing_every_probe(tmp_path: Path) -> None:
    script = lambda number, body: chat(tell_right(*read_prompt(body["messages"][-1]["content"])))  # noqa: E731
    with serve_script(lambda n, body: script(n, body) if n <= 10 else refuse(400, "gone")) as endpoint:
        context = make_probing(tmp_path, endpoint.url, num_rows=200)
        with pytest.raises(TeacherError, match=r"failed 5\d requests in a row; the last: HTTP 400: gone"):
            run(context)
        assert endpoint.num_hits < 100
        assert context.store.sum_usage("tutor").replies == 10
    context.store.close()


# --- stopping and going on --------------------------------------------------------------------------------


def resume(path: Path, context: Context) -> Context:
    context.store.close()
    return replace(context, store=ReplyStore(path / "replies.sqlite"))


def test_a_second_run_asks_for_nothing_that_is_stored(tmp_path: Path) -> None:
    def answer(question: str, rule: str) -> str:
        return "nonsense" if " ab " in question and rule == "why" else tell_right(question, rule)

    with serve(answer) as endpoint:
        context = make_probing(tmp_path, endpoint.url, make_consistent())
        first = run(context)
        probes = (context.work / "probes.jsonl").read_bytes()
        hits = endpoint.num_hits
        second = run(resume(tmp_path, context))
        # 18 questions, one of them repaired in vain, and 17 checks of what is left.
        assert endpoint.num_hits == hits == 36
        assert (context.work / "probes.jsonl").read_bytes() == probes
    assert (second["asked"], second["from_store"]) == (0, 36)
    assert (
        second["repairs"]
        == first["repairs"]
        == {"asked": 1, "mended": 0, "by_rule": {"why": {"asked": 1, "mended": 0}}}
    )
    assert second["funnel"] == first["funnel"]
    assert second["tokens"] == {"prompt": 0, "completion": 0, "uncounted": 0}


def test_failed_requests_are_asked_again_and_only_they(tmp_path: Path) -> None:
    is_down = [True]

    def script(number: int, body: dict[str, Any]) -> Response:
        prompt = body["messages"][-1]["content"]
        return refuse(400) if is_down[0] and " aa " in prompt else chat(tell_right(*read_prompt(prompt)))

    with serve_script(script) as endpoint:
        context = make_probing(tmp_path, endpoint.url)
        assert run(context)["failed_requests"] == 3
        is_down[0] = False
        hits = endpoint.num_hits
        summary = run(resume(tmp_path, context))
        assert endpoint.num_hits - hits == 3
    assert summary["items_kept"] == NUM_ROWS


def test_equal_requests_are_sent_once(tmp_path: Path) -> None:
    with serve(tell_right) as endpoint:
        context = make_probing(tmp_path, endpoint.url, rules=("why",))
        rows = context.rows["sums"]["train"]
        twins = [replace(rows[0], uid=f"train:{i}:twin") for i in range(5)]
        summary = run(replace(context, rows={"sums": {"train": twins}}))
        assert endpoint.num_hits == 1
    assert (summary["asked"], summary["from_store"], summary["probes_kept"]) == (1, 4, 5)


def test_the_first_ctrl_c_sends_nothing_more_and_stores_what_is_in_flight(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def script(number: int, body: dict[str, Any]) -> Response:
        whole = chat(tell_right(*read_prompt(body["messages"][-1]["content"])))
        return whole if number <= 5 else replace(whole, delay_s=1.0)

    with serve_script(script) as endpoint:
        context = make_probing(tmp_path, endpoint.url, limits=Limits(concurrency=3))
        threading.Thread(target=interrupt_after, args=(endpoint, 8), daemon=True).start()
        with pytest.raises(KeyboardInterrupt):
            run(context)
        assert endpoint.num_hits == 8
        assert context.store.sum_usage("tutor").replies == 8
    assert "3 requests are in flight and waited for" in capsys.readouterr().err
    assert not list(context.work.iterdir())
    # The same store goes on, with a teacher that was not stopped.
    with serve(tell_right) as endpoint:
        again = make_probing(tmp_path / "again", endpoint.url)
        assert run(replace(again, store=context.store))["from_store"] == 8
    context.store.close()


def test_the_second_ctrl_c_leaves_at_once(tmp_path: Path) -> None:
    def script(number: int, body: dict[str, Any]) -> Response:
        whole = chat(tell_right(*read_prompt(body["messages"][-1]["content"])))
        return whole if number <= 5 else replace(whole, delay_s=60.0)

    with serve_script(script) as endpoint:
        context = make_probing(tmp_path, endpoint.url, timeout_s=300.0)
        threading.Thread(target=interrupt_after, args=(endpoint, 6, 2), daemon=True).start()
        with pytest.raises(KeyboardInterrupt):
            run(context)
        assert context.store.sum_usage("tutor").replies == 5
    context.store.close()


def interrupt_after(endpoint: Endpoint, hits: int, times: int = 1) -> None:
    while endpoint.num_hits < hits:
        time.sleep(0.01)
    for _ in range(times):
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGINT)


# --- the budget -------------------------------------------------------------------------------------------

PRICE = Price(input=1000.0, output=10_000.0)
"""A probe costs 10 * 1000 / 1e6 + 5 * 10000 / 1e6 = 0.06 usd."""


def test_the_budget_is_never_exceeded_and_what_it_bought_is_kept(tmp_path: Path) -> None:
    with serve(tell_right) as endpoint:
        changes = {"price": PRICE, "budget_usd": 0.5, "sampling": Sampling(max_tokens=5)}
        context = make_probing(tmp_path, endpoint.url, **changes)
        with pytest.raises(TeacherError, match=r"budget of model `tutor` \(0.5 usd\) is used up.*--resume"):
            run(context)
        hits = endpoint.num_hits
        assert 5 <= hits <= 8
        assert context.store.sum_usage("tutor").replies == hits
        # What is spent stays spent.
        with pytest.raises(TeacherError, match="used up"):
            run(resume(tmp_path, context))
        assert endpoint.num_hits == hits
        richer = make_probing(tmp_path / "richer", endpoint.url, **(changes | {"budget_usd": 2.0}))
        summary = run(replace(richer, store=ReplyStore(tmp_path / "replies.sqlite")))
        assert summary["from_store"] == hits
        assert summary["budget"] == {"limit_usd": 2.0, "spent_usd": 1.08, "is_kept": True}
        assert endpoint.num_hits == 18


def test_a_budget_without_a_price_cannot_be_kept_and_the_summary_says_so(tmp_path: Path) -> None:
    with serve(tell_right) as endpoint:
        summary = run(make_probing(tmp_path, endpoint.url, budget_usd=0.001))
    assert summary["probes_kept"] == 18
    assert summary["budget"] == {"limit_usd": 0.001, "spent_usd": None, "is_kept": False}


# --- the student ------------------------------------------------------------------------------------------


@pytest.mark.train
def test_the_student_as_it_stands_answers_the_probes(tmp_path: Path) -> None:
    pytest.importorskip("transformers")

    def answer(question: str, rule: str) -> str:
        return write_probe(question, rule, answer="987654") if rule else tell_right(question, rule)

    with serve(answer) as endpoint:
        context = make_probing(tmp_path, endpoint.url, make_in_reach(), num_rows=2)
        # A student of random weights finds no six digits: Eq. 2 drops every row as out of reach.
        with pytest.raises(DataError, match=r"6 in_reach.*solved gave 0"):
            run(context)
        context.store.close()
