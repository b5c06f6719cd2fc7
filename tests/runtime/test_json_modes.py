from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("httpx")

from exgrpo_artifact.manifest import Model
from exgrpo_runtime.teachers.http_teacher import HttpTeacher
from exgrpo_runtime.teachers.teacher import Reply, Request
from tests.runtime.test_teacher import make_model, open_loop
from tests.support.endpoint import Endpoint, Response, Script, chat, refuse, serve_script

SCHEMA = {"type": "object", "properties": {"question": {"type": "string"}}, "required": ["question"]}
OTHER = {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}


def ask_twice(
    script: Script, *, prompts: tuple[str, ...] = ("a", "b"), **changes: Any
) -> tuple[Endpoint, list[Reply]]:
    with serve_script(script) as endpoint:
        model = make_model(endpoint.url, **changes)
        with open_loop(HttpTeacher(model, first_backoff_s=0.01)) as ask:
            replies = [ask(make_request(model, prompt)) for prompt in prompts]
    return endpoint, replies


def make_request(model: Model, prompt: str, schema: dict[str, Any] | None = SCHEMA) -> Request:
    return Request(model, ({"role": "user", "content": prompt},), schema=schema)


def list_modes(endpoint: Endpoint) -> list[str | None]:
    return [body.get("response_format", {}).get("type") for body in endpoint.bodies]


def refuse_unless(takes: Callable[[str | None], bool], status: int = 400) -> Script:
    def script(number: int, body: dict[str, Any]) -> Response:
        mode = body.get("response_format", {}).get("type")
        return chat("{}") if takes(mode) else refuse(status, f"response_format {mode} is not supported")

    return script


def test_the_schema_is_sent_as_openai_words_it() -> None:
    endpoint, _ = ask_twice(lambda n, body: chat("{}"))
    assert endpoint.bodies[0]["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "reply", "strict": True, "schema": SCHEMA},
    }


@pytest.mark.parametrize("status", [400, 422, 501])
def test_what_an_endpoint_refuses_is_asked_for_with_less_and_remembered(status: int) -> None:
    endpoint, replies = ask_twice(refuse_unless(lambda mode: mode == "json_object", status), tries=1)
    assert list_modes(endpoint) == ["json_schema", "json_object", "json_object"]
    assert [reply.text for reply in replies] == ["{}", "{}"]
    endpoint, replies = ask_twice(refuse_unless(lambda mode: mode is None, status), tries=1)
    assert list_modes(endpoint) == ["json_schema", "json_object", None, None]
    assert [reply.text for reply in replies] == ["{}", "{}"]


def test_a_bad_request_is_asked_once_where_the_schema_was_taken_before() -> None:
    script = lambda n, body: chat("{}") if n == 1 else refuse(400, "too long")  # noqa: E731
    endpoint, replies = ask_twice(script)
    assert list_modes(endpoint) == ["json_schema", "json_schema"]
    assert replies[1].error == "HTTP 400: too long"


def test_a_bad_request_before_any_other_does_not_make_the_endpoint_forget_schemas() -> None:
    def script(number: int, body: dict[str, Any]) -> Response:
        return refuse(400, "too long") if body["messages"][0]["content"] == "long" else chat("{}")

    endpoint, replies = ask_twice(script, prompts=("long", "b"))
    assert list_modes(endpoint) == ["json_schema", "json_object", None, "json_schema"]
    assert [reply.text for reply in replies] == [None, "{}"]


def test_what_is_remembered_is_remembered_for_a_schema() -> None:
    def script(number: int, body: dict[str, Any]) -> Response:
        asked = body.get("response_format", {}).get("json_schema", {}).get("schema")
        return refuse(400, "unsupported keyword") if asked == OTHER else chat("{}")

    with serve_script(script) as endpoint:
        model = make_model(endpoint.url)
        with open_loop(HttpTeacher(model)) as ask:
            for schema in (OTHER, SCHEMA, OTHER):
                assert ask(make_request(model, "a", schema)).text == "{}"
    assert list_modes(endpoint) == ["json_schema", "json_object", "json_schema", "json_object"]


@pytest.mark.parametrize(
    ("setting", "mode"), [("schema", "json_schema"), ("object", "json_object"), ("off", None)]
)
def test_a_setting_other_than_auto_is_kept_to(setting: str, mode: str | None) -> None:
    endpoint, replies = ask_twice(lambda n, body: refuse(400, "no"), json=setting)
    assert list_modes(endpoint) == [mode, mode]
    assert {reply.error for reply in replies} == {"HTTP 400: no"}


def test_a_request_without_a_schema_asks_for_no_format() -> None:
    with serve_script(lambda n, body: chat("x")) as endpoint:
        model = make_model(endpoint.url)
        with open_loop(HttpTeacher(model)) as ask:
            ask(make_request(model, "a", None))
    assert list_modes(endpoint) == [None]


def test_a_schema_that_is_never_sent_does_not_change_the_key() -> None:
    off = make_model(json="off")
    assert make_request(off, "a").key == make_request(off, "a", None).key
    auto = make_model()
    assert make_request(auto, "a").key != make_request(auto, "a", None).key
    assert make_request(auto, "a").key == make_request(make_model(json="schema"), "a").key
