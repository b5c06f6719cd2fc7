"""What replies state, and the one repair of those that cannot be read: against a real server, counted by hand."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("httpx")

from dataclasses import replace

from exgrpo_artifact.errors import DataError
from exgrpo_artifact.manifest import FieldType, RecordField, Yield
from exgrpo_artifact.record import replace as change
from exgrpo_runtime.context import Context
from exgrpo_runtime.data.convert import Misfit
from exgrpo_runtime.probing.repair import MOST_SHOWN, build_repair, word_repair
from exgrpo_runtime.probing.replies import parse_replies
from exgrpo_runtime.probing.reply_schema import build_schema
from exgrpo_runtime.teachers.teacher import Request
from exgrpo_runtime.templates import TemplateSet
from tests.runtime.factory import make_artifact, read_lines
from tests.runtime.test_probing import find_gold, make_probing, run, write_probe
from tests.support.endpoint import Endpoint, Response, chat, refuse, serve_script

TEXT = FieldType(kind="text")
YIELDS = (Yield(name="question", type=TEXT, open=True), Yield(name="answer", type=TEXT, open=False))
ALL = "ALL {% for rule in rules %}{{ rule.name }} {% endfor %}QUESTION {{ item.question }} ({{ item.gold }})"


def make_together(path: Path, url: str, **options: Any) -> Context:
    """Three rules asked together."""
    settings = {key: options.pop(key) for key in ("samples", "per_rule") if key in options}
    context = make_probing(path, url, **options)
    manifest = context.manifest
    declaration = change(manifest.probes["ask"], ask="together", **settings)
    artifact = context.artifact._replace(
        manifest=change(manifest, probes={"ask": declaration}),
        prompts={**context.artifact.prompts, "prompts/ask.jinja": ALL},
    )
    return replace(context, artifact=artifact, templates=TemplateSet(artifact.prompts))


def make_sampled(path: Path, url: str, **settings: Any) -> Context:
    """Rules asked one by one, several samples each."""
    options = {key: settings.pop(key) for key in ("rules", "num_rows") if key in settings}
    context = make_probing(path, url, **options)
    manifest = context.manifest
    declaration = change(manifest.probes["ask"], **settings)
    return replace(
        context, artifact=context.artifact._replace(manifest=change(manifest, probes={"ask": declaration}))
    )


def serve(answer: Callable[[list[dict[str, str]]], str | Response]) -> Any:
    """Answers from all messages of a request."""

    def script(number: int, body: dict[str, Any]) -> Response:
        given = answer(body["messages"])
        return given if isinstance(given, Response) else chat(given)

    return serve_script(script)


def is_repair(messages: list[dict[str, str]]) -> bool:
    return len(messages) > 1


def find_repairs(endpoint: Endpoint) -> list[list[dict[str, str]]]:
    return [body["messages"] for body in endpoint.bodies if is_repair(body["messages"])]


# --- one object under each rule -----------------------------------------------------------------------------

GOOD = {"question": "Why?", "answer": "So."}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"why": GOOD, "undo": GOOD}),
        "Here: " + json.dumps({"undo": GOOD, "why": GOOD, "other": 3}) + " Done.",
        "```json\n"
        + json.dumps({"why": {"answer": " So. ", "question": "Why?"}, "undo": GOOD}, indent=2)
        + "\n```",
    ],
)
def test_each_rule_has_its_object(text: str) -> None:
    assert parse_replies(text, YIELDS, ["why", "undo"]) == {"why": GOOD, "undo": GOOD}


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("no", "the reply holds no JSON object"),
        (json.dumps(GOOD), "the object lacks `why`, `undo` and has the unknown `question`, `answer`"),
        (json.dumps({"undo": GOOD}), "the object lacks `why`"),
        (json.dumps({"why": [GOOD], "undo": GOOD}), "what stands under `why` is no object"),
        (json.dumps({"why": {"question": "Why?"}, "undo": GOOD}), "under `why` the object lacks `answer`"),
        (json.dumps({"why": {**GOOD, "x": 1}, "undo": GOOD}), "under `why` the object has the unknown `x`"),
        (json.dumps({"why": {**GOOD, "answer": ""}, "undo": GOOD}), "under `why` `answer` is empty"),
        (
            json.dumps({"why": GOOD}) + json.dumps({"why": {**GOOD, "answer": "No."}}),
            "the reply holds 2 different objects; one is due",
        ),
    ],
)
def test_what_is_wrong_for_one_rule_is_said_of_it(text: str, detail: str) -> None:
    found = parse_replies(text, YIELDS, ["why", "undo"])
    assert found["why"] == Misfit("malformed-reply", detail)
    assert (found["undo"] == GOOD) == ('"undo": {"question": "Why?", "answer"' in text)


def test_the_schema_says_what_the_parser_takes() -> None:
    kinds = {
        "question": TEXT,
        "steps": FieldType(kind="int"),
        "share": FieldType(kind="number"),
        "is_hard": FieldType(kind="bool"),
        "letter": FieldType(kind="choice", options=("A", "B")),
        "tags": FieldType(kind="list", element=TEXT),
        "any": FieldType(kind="any"),
        "parts": FieldType(kind="record", fields=(RecordField(name="first", type=TEXT),)),
    }
    schema = build_schema([Yield(name=name, type=kind, open=False) for name, kind in kinds.items()])
    assert schema["required"] == list(kinds)
    assert schema["additionalProperties"] is False
    assert schema["properties"] == {
        "question": {"type": "string"},
        "steps": {"type": "integer"},
        "share": {"type": "number"},
        "is_hard": {"type": "boolean"},
        "letter": {"type": "string", "enum": ["A", "B"]},
        "tags": {"type": "array", "items": {"type": "string"}},
        "any": {"type": ["string", "number", "boolean"]},
        "parts": {
            "type": "object",
            "properties": {"first": {"type": "string"}},
            "required": ["first"],
            "additionalProperties": False,
        },
    }
    both = build_schema(YIELDS, ["why", "undo"])
    assert list(both["properties"]) == both["required"] == ["why", "undo"]
    assert both["properties"]["why"] == build_schema(YIELDS)


# --- the repair turn ----------------------------------------------------------------------------------------


def test_a_repair_is_the_conversation_with_what_was_wrong() -> None:
    request = Request(
        make_artifact().manifest.models["tutor"], ({"role": "user", "content": "Ask."},), sample=2
    )
    repair = build_repair(request, "Well.", "the reply holds no JSON object")
    assert [message["role"] for message in repair.messages] == ["user", "assistant", "user"]
    assert [message["content"] for message in repair.messages[:2]] == ["Ask.", "Well."]
    assert repair.messages[2]["content"] == (
        "That reply cannot be read: the reply holds no JSON object.\n"
        "Reply again with exactly one JSON object, in the form that was asked for, and nothing before or after it."
    )
    assert (repair.sample, repair.sampling) == (2, None)
    assert build_repair(request, " \n", "x").messages[1]["content"] == "(no text)"
    assert len(build_repair(request, "y" * 100_000, "x").messages[1]["content"]) == MOST_SHOWN + 1


def test_a_malformed_reply_is_sent_back_once_and_mended(tmp_path: Path) -> None:
    def answer(messages: list[dict[str, str]]) -> str:
        question = messages[0]["content"].split("QUESTION ")[1].rpartition(" (")[0]
        rule = messages[0]["content"].split()[1].rstrip(":")
        if is_repair(messages) or "aa" not in question:
            return write_probe(question, rule)
        return "I think:" + write_probe(question, rule).replace('"answer"', '"result"')

    with serve(answer) as endpoint:
        context = make_probing(tmp_path, endpoint.url)
        summary = run(context)
    assert summary["probes_kept"] == 18
    assert summary["reasons"] == {}
    assert summary["repairs"]["asked"] == summary["repairs"]["mended"] == 3
    assert summary["repairs"]["by_rule"]["why"] == {"asked": 1, "mended": 1}
    assert (summary["asked"], endpoint.num_hits) == (21, 21)
    repairs = find_repairs(endpoint)
    assert {messages[2]["content"] for messages in repairs} == {
        word_repair("the object lacks `answer` and has the unknown `result`")
    }
    assert all(messages[1]["content"].startswith("I think:") for messages in repairs)


def test_what_is_malformed_after_the_repair_is_rejected_with_both_reasons(tmp_path: Path) -> None:
    def answer(messages: list[dict[str, str]]) -> str | Response:
        prompt = messages[0]["content"]
        question = prompt.split("QUESTION ")[1].rpartition(" (")[0]
        if "RULE why" not in prompt:
            return write_probe(question, "how")
        if is_repair(messages):
            return refuse(400, "too long") if " ab " in prompt else "[]" if " aa " in prompt else "no"
        return "no" if find_gold(question) < 103 else write_probe(question, "why")

    with serve(answer) as endpoint:
        context = make_probing(tmp_path, endpoint.url)
        summary = run(context)
    assert summary["funnel"]["why"] == {
        "not-applicable": 0,
        "asked": 6,
        "malformed-reply": 2,
        "teacher-failed": 1,
        "kept": 3,
    }
    assert summary["repairs"]["by_rule"] == {"why": {"asked": 3, "mended": 0}}
    no_object = "the reply holds no JSON object"
    details = [line["detail"] for line in read_lines(context.work / "rejections.jsonl")]
    assert details == [
        f"{no_object} (when asked to mend this: {no_object})",
        f"{no_object}; asking to mend it failed: HTTP 400: too long",
        f"{no_object} (when asked to mend this: {no_object})",
    ]


def test_the_endpoint_is_told_the_schema_of_the_reply_and_of_its_repair(tmp_path: Path) -> None:
    def answer(messages: list[dict[str, str]]) -> str:
        return write_all("?", *read_all(messages)[1]) if is_repair(messages) else "no"

    with serve(answer) as endpoint:
        context = make_together(tmp_path, endpoint.url, num_rows=1)
        run(context)
    formats = [body["response_format"] for body in endpoint.bodies]
    assert [one["type"] for one in formats] == ["json_schema", "json_schema"]
    declaration = context.manifest.probes["ask"]
    schema = build_schema(declaration.yields, ["why", "how", "undo"])
    assert [one["json_schema"]["schema"] for one in formats] == [schema, schema]


def test_a_reply_that_was_cut_off_is_told_so(tmp_path: Path) -> None:
    def answer(messages: list[dict[str, str]]) -> Response:
        choice = {"message": {"role": "assistant", "content": '{"question": "Wh'}, "finish_reason": "length"}
        return Response(json.dumps({"choices": [choice]}).encode())

    with serve(answer) as endpoint:
        context = make_probing(tmp_path, endpoint.url, rules=("why",), num_rows=1)
        with pytest.raises(DataError, match="cut off at its limit of tokens"):
            run(context)
        context.store.close()
    (repair,) = find_repairs(endpoint)
    assert "it was cut off at its limit of tokens." in repair[2]["content"]


# --- asked together -----------------------------------------------------------------------------------------


def write_all(question: str, *rules: str) -> str:
    return json.dumps({rule: json.loads(write_probe(question, rule)) for rule in rules})


def test_one_request_asks_by_all_rules_of_a_row(tmp_path: Path) -> None:
    with serve(lambda m: write_all(read_all(m)[0], *read_all(m)[1])) as endpoint:
        context = make_together(tmp_path, endpoint.url)
        summary = run(context)
    assert endpoint.num_hits == 6
    rows = context.rows["sums"]["train"]
    probes = read_lines(context.work / "probes.jsonl")
    assert [(line["row"], line["rule"], line["sample"]) for line in probes] == [
        (row.uid, rule, 0) for row in rows for rule in ("why", "how", "undo")
    ]
    assert summary["funnel"]["undo"] == {"not-applicable": 0, "asked": 6, "kept": 6}
    assert (summary["ask"], summary["samples"]) == ("together", 1)


def read_all(messages: list[dict[str, str]]) -> tuple[str, list[str]]:
    """The question and the rules of a request."""
    head, _, rest = messages[0]["content"].partition("QUESTION ")
    return rest.rpartition(" (")[0], head.split()[1:]


def test_what_could_be_read_at_first_stays_when_the_rest_is_mended(tmp_path: Path) -> None:
    def answer(messages: list[dict[str, str]]) -> str:
        question, rules = read_all(messages)
        if " aa " not in question:
            return write_all(question, *rules)
        if is_repair(messages):
            return write_all("a second time", "why", "how")  # and `undo` is missing again
        return json.dumps({"why": json.loads(write_probe("at first", "why")), "how": {"question": "?"}})

    with serve(answer) as endpoint:
        context = make_together(tmp_path, endpoint.url, num_rows=2)
        summary = run(context)
    assert [
        (line["rule"], line["fields"]["question"]) for line in read_lines(context.work / "probes.jsonl")[:2]
    ] == [
        ("why", "Why: at first"),
        ("how", "How: a second time"),
    ]
    assert summary["funnel"]["undo"] == {"not-applicable": 0, "asked": 2, "malformed-reply": 1, "kept": 1}
    assert summary["repairs"] == {
        "asked": 2,
        "mended": 1,
        "by_rule": {"how": {"asked": 1, "mended": 1}, "undo": {"asked": 1, "mended": 0}},
    }
    (repair,) = find_repairs(endpoint)
    assert (
        "under `how` the object lacks `rationale`, `answer`; the object lacks `undo`." in repair[2]["content"]
    )


# --- samples ------------------------------------------------------------------------------------------------


def test_samples_of_a_rule_stand_together_and_the_first_that_pass_are_kept(tmp_path: Path) -> None:
    counts: dict[str, int] = {}
    lock = threading.Lock()

    def answer(messages: list[dict[str, str]]) -> str:
        question, rule = messages[0]["content"].split("QUESTION ")[1].rpartition(" (")[0], "why"
        with lock:
            number = counts[question] = counts.get(question, 0) + 1
        probe = json.loads(write_probe(question, rule))
        # One of the three states the answer, and which one differs from row to row.
        stated = number == 1 + find_gold(question) % 3
        return json.dumps(
            {**probe, "question": f"It is {find_gold(question)}." if stated else f"Why {question}"}
        )

    with serve(answer) as endpoint:
        context = make_sampled(tmp_path, endpoint.url, rules=("why",), samples=3, per_rule=1)
        summary = run(context)
    assert endpoint.num_hits == 18
    assert summary["funnel"]["why"] == {
        "not-applicable": 0,
        "asked": 18,
        "states-answer": 6,
        "surplus": 6,
        "kept": 6,
    }
    probes = read_lines(context.work / "probes.jsonl")
    rejections = read_lines(context.work / "rejections.jsonl")
    for row in context.rows["sums"]["train"]:
        (kept,) = [line["sample"] for line in probes if line["row"] == row.uid]
        lost = {line["reason"]: line["sample"] for line in rejections if line["row"] == row.uid}
        assert kept == min({0, 1, 2} - {lost["states-answer"]})
        assert {kept, *lost.values()} == {0, 1, 2}
    surplus = next(line for line in rejections if line["reason"] == "surplus")
    assert surplus["detail"] == "1 of rule `why` is kept already"


def test_samples_are_asked_together_too_in_the_order_of_rules(tmp_path: Path) -> None:
    with serve(lambda m: write_all(read_all(m)[0], *read_all(m)[1])) as endpoint:
        context = make_together(tmp_path, endpoint.url, samples=2, num_rows=1)
        run(context)
    assert endpoint.num_hits == 2
    assert [(line["rule"], line["sample"]) for line in read_lines(context.work / "probes.jsonl")] == [
        ("why", 0),
        ("why", 1),
        ("how", 0),
        ("how", 1),
        ("undo", 0),
        ("undo", 1),
    ]


def test_where_no_reply_can_be_read_the_stage_says_so(tmp_path: Path) -> None:
    with serve(lambda messages: "no") as endpoint:
        context = make_together(tmp_path, endpoint.url, num_rows=2)
        with pytest.raises(
            DataError, match=r"no probe survived stage `probe` of 2 rows: 6 malformed-reply\."
        ):
            run(context)
        context.store.close()
    assert endpoint.num_hits == 4
