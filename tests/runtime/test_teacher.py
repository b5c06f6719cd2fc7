from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("httpx")

from exgrpo_artifact.errors import TeacherError
from exgrpo_artifact.manifest import EnvRef, Limits, Model, Sampling
from exgrpo_artifact.record import replace as change
from exgrpo_runtime.teachers.connection import MAX_REPLY_BYTES
from exgrpo_runtime.teachers.http_teacher import HttpTeacher
from exgrpo_runtime.teachers.pacing import Pacer
from exgrpo_runtime.teachers.plugin_teacher import PluginTeacher
from exgrpo_runtime.teachers.teacher import Reply, Request, Teacher, open_teacher
from exgrpo_runtime.teachers.verdicts import parse_retry_after
from tests.support.endpoint import Endpoint, Response, Script, chat, refuse, serve_script
from tests.support.plugin import install_plugin

KEY = "sk-planted-5a5a5a"


def make_model(url: str = "http://127.0.0.1:9/v1", **changes: Any) -> Model:
    return Model(
        **{"name": "tutor", "kind": "openai", "id": "big", "base_url": url, "timeout_s": 5.0, **changes}
    )


def make_request(model: Model, text: str = "Why?") -> Request:
    return Request(model, ({"role": "user", "content": text},))


@contextmanager
def open_loop(teacher: Teacher) -> Iterator[Callable[[Request], Reply]]:
    """`ask` of a teacher, called one at a time on a loop of its own."""
    with asyncio.Runner() as runner:
        try:
            yield lambda request: runner.run(teacher.ask(request))
        finally:
            runner.run(teacher.close())


@contextmanager
def open_script(script: Script, **changes: Any) -> Iterator[tuple[Endpoint, Callable[..., Reply]]]:
    with serve_script(script) as endpoint:
        model = make_model(endpoint.url, **changes)
        with open_loop(HttpTeacher(model, first_backoff_s=0.01)) as ask:
            yield endpoint, lambda text="Why?": ask(make_request(model, text))


# --- what is sent -----------------------------------------------------------------------------------------


def test_a_reply_has_its_text_and_tokens_and_the_request_says_only_what_the_spec_says() -> None:
    with open_script(lambda n, body: chat("Because.", prompt_tokens=7, completion_tokens=2)) as (
        endpoint,
        ask,
    ):
        assert ask() == Reply("Because.", 7, 2)
        assert endpoint.bodies == [{"model": "big", "messages": [{"role": "user", "content": "Why?"}]}]


def test_sampling_is_sent_where_the_spec_gives_it() -> None:
    sampling = Sampling(temperature=0.0, top_p=0.9, max_tokens=5)
    with open_script(lambda n, body: chat("x"), sampling=sampling) as (endpoint, ask):
        ask()
        assert {key: endpoint.bodies[0][key] for key in ("temperature", "top_p", "max_tokens")} == {
            "temperature": 0.0,
            "top_p": 0.9,
            "max_tokens": 5,
        }


def test_key_and_url_come_from_the_environment_when_the_teacher_is_opened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with serve_script(lambda n, body: chat("x")) as endpoint:
        monkeypatch.setenv("HERE", endpoint.url + "/")
        monkeypatch.setenv("SECRET", f"{KEY}\n")
        model = make_model(base_url=EnvRef(env="HERE"), api_key=EnvRef(env="SECRET"))
        with open_loop(open_teacher(model)) as ask:
            assert ask(make_request(model)).text == "x"
        assert endpoint.headers[0]["Authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("field", ["base_url", "api_key"])
def test_a_variable_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch, field: str) -> None:
    monkeypatch.delenv("ABSENT_VARIABLE", raising=False)
    with pytest.raises(TeacherError, match="ABSENT_VARIABLE"):
        open_teacher(make_model(**{field: EnvRef(env="ABSENT_VARIABLE")}))


@pytest.mark.parametrize(
    "url", ["localhost:8000/v1", "ftp://host/v1", "http://", "http://[", "https://h/v1?key=1"]
)
def test_a_base_url_that_is_none_is_told(url: str) -> None:
    with pytest.raises(TeacherError, match="no http"):
        open_teacher(make_model(url))


@pytest.mark.parametrize(
    "value",
    [
        KEY,
        f"me:{KEY}@host:8000/v1",
        f"http:/me:{KEY}@host/v1",
        f"http://me:{KEY}/x@host/v1",
        f"http://me:{KEY}#x@host/v1",
        f"http://host/v1 me:{KEY}@host",
        f"http://host/v1?key={KEY}",
    ],
)
def test_a_variable_that_holds_no_base_url_is_named_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("HERE", value)
    with pytest.raises(TeacherError, match="what HERE holds, which is no http") as caught:
        open_teacher(make_model(base_url=EnvRef(env="HERE")))
    assert KEY not in str(caught.value)


def test_the_key_of_a_request_changes_with_what_determines_the_answer_only() -> None:
    model = make_model()
    request = make_request(model)
    moved = change(model, name="other", base_url="http://elsewhere/v1", tries=9, timeout_s=1.0)
    assert Request(moved, request.messages).key == request.key
    others = [
        make_request(model, "Why not?"),
        Request(model, request.messages, sample=1),
        Request(model, request.messages, Sampling(temperature=0.0)),
        Request(change(model, id="small"), request.messages),
        Request(change(model, kind="plugin"), request.messages),
        Request(model, request.messages, schema={"type": "object"}),
    ]
    assert len({request.key, *(other.key for other in others)}) == 1 + len(others)


# --- what may pass ----------------------------------------------------------------------------------------


def test_429_waits_as_long_as_the_endpoint_asks() -> None:
    def script(number: int, body: dict[str, Any]) -> Response:
        return refuse(429, "slow down", Retry_After="1") if number == 1 else chat("fine")

    with open_script(script) as (endpoint, ask):
        assert ask().text == "fine"
        assert endpoint.times[1] - endpoint.times[0] >= 1.0


def test_bursts_of_500_are_tried_again_up_to_tries() -> None:
    with open_script(lambda n, body: refuse(503) if n < 4 else chat("fine"), tries=4) as (endpoint, ask):
        assert ask().text == "fine"
        assert endpoint.num_hits == 4


def test_a_request_that_fails_for_good_is_a_reply_with_its_error() -> None:
    with open_script(lambda n, body: refuse(500, "out of memory"), tries=3) as (endpoint, ask):
        reply = ask()
        assert reply.text is None
        assert reply.error == "HTTP 500: out of memory (3 tries)"
        assert endpoint.num_hits == 3


def test_a_hang_ends_with_the_time_out() -> None:
    def script(number: int, body: dict[str, Any]) -> Response:
        return Response(b"", delay_s=3.0) if number == 1 else chat("fine")

    started = time.monotonic()
    with open_script(script, timeout_s=0.3) as (endpoint, ask):
        assert ask().text == "fine"
        assert endpoint.num_hits == 2
    assert time.monotonic() - started < 2.5


def test_a_body_that_trickles_ends_with_the_time_out_too() -> None:
    with open_script(lambda n, body: Response(b" " * 1000, trickle_s=0.05), timeout_s=0.4, tries=1) as (
        _,
        ask,
    ):
        started = time.monotonic()
        assert "within 0.4 s" in (ask().error or "")
        assert time.monotonic() - started < 2.0


def test_a_connection_that_breaks_is_tried_again() -> None:
    def script(number: int, body: dict[str, Any]) -> Response:
        whole = chat("fine")
        return Response(whole.body, is_cut=True) if number == 1 else whole

    with open_script(script) as (endpoint, ask):
        assert ask().text == "fine"
        assert endpoint.num_hits == 2


def test_a_connection_that_is_reset_is_tried_again_and_counts_as_a_try() -> None:
    with open_script(lambda n, body: Response(b"", is_reset=True), tries=3) as (endpoint, ask):
        reply = ask()
        assert endpoint.num_hits == 3
        assert (reply.tries, reply.text) == (3, None)
        assert "the connection broke" in (reply.error or "")


def test_a_429_that_never_ends_costs_no_more_than_the_tries() -> None:
    with open_script(lambda n, body: refuse(429, "slow down"), tries=3) as (endpoint, ask):
        assert ask().error == "HTTP 429: slow down (3 tries)"
        assert endpoint.num_hits == 3


def test_https_where_the_server_speaks_http_is_fatal_and_says_so() -> None:
    with serve_script(lambda n, body: chat("fine")) as endpoint:
        model = make_model(endpoint.url.replace("http://", "https://"))
        with (
            open_loop(HttpTeacher(model)) as ask,
            pytest.raises(TeacherError, match=r"does not speak TLS.*Is it meant to be http://"),
        ):
            ask(make_request(model))


def test_a_certificate_that_nobody_vouches_for_is_fatal_and_its_authority_can_be_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = make_certificate(tmp_path)
    with serve_script(lambda n, body: chat("fine"), tls=(certificate, key)) as endpoint:
        model = make_model(endpoint.url)
        with (
            open_loop(HttpTeacher(model)) as ask,
            pytest.raises(TeacherError, match=r"certificate that cannot be verified.*SSL_CERT_FILE"),
        ):
            ask(make_request(model))
        assert endpoint.num_hits == 0
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        with open_loop(HttpTeacher(model)) as ask:
            assert ask(make_request(model)).text == "fine"


def test_a_proxy_of_the_environment_is_used_except_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        serve_script(lambda n, body: chat("through")) as proxy,
        serve_script(lambda n, body: chat("straight")) as here,
    ):
        monkeypatch.setenv("HTTP_PROXY", proxy.url.removesuffix("/v1"))
        monkeypatch.setenv("http_proxy", proxy.url.removesuffix("/v1"))
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        far = make_model("http://teacher.invalid/v1")
        with open_loop(HttpTeacher(far)) as ask:
            assert ask(make_request(far)).text == "through"
        assert proxy.headers[0]["Host"] == "teacher.invalid"
        with open_loop(HttpTeacher(make_model(here.url))) as ask:
            assert ask(make_request(far)).text == "straight"
        monkeypatch.setenv("no_proxy", "teacher.invalid")
        with (
            open_loop(HttpTeacher(make_model("http://teacher.invalid/v1", tries=1))) as ask,
            pytest.raises(TeacherError, match="cannot be reached"),
        ):
            ask(make_request(far))


@pytest.mark.parametrize("proxy", [f"socks9://me:{KEY}@proxy:1", f"http://me:{KEY}@proxy:99999", "http://"])
def test_a_proxy_that_is_none_is_told_without_its_password(
    monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", proxy)
    with pytest.raises(TeacherError, match=r"http_proxy.*export no_proxy=teacher\.invalid") as caught:
        open_teacher(make_model("http://teacher.invalid/v1"))
    assert KEY not in str(caught.value)


def make_certificate(directory: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to make a certificate with")
    certificate, key = directory / "cert.pem", directory / "key.pem"
    options = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1"
    subprocess.run(
        [
            openssl,
            *options.split(),
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-keyout",
            key,
            "-out",
            certificate,
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key


def test_stopping_the_teacher_ends_a_wait_and_lets_what_is_in_flight_arrive() -> None:
    def script(number: int, body: dict[str, Any]) -> Response:
        if body["messages"][0]["content"] == "slow":
            return replace(chat("fine"), delay_s=0.5)
        return refuse(503, Retry_After="60")

    async def stop_early(teacher: HttpTeacher, model: Model) -> list[Reply]:
        asks = [asyncio.create_task(teacher.ask(make_request(model, text))) for text in ("slow", "busy")]
        await asyncio.sleep(0.3)
        teacher.stop()
        replies = await asyncio.gather(*asks)
        await teacher.close()
        return replies

    with serve_script(script) as endpoint:
        model = make_model(endpoint.url)
        slow, busy = asyncio.run(stop_early(HttpTeacher(model), model))
    assert slow.text == "fine"
    assert busy.is_unsent


# --- what does not pass -----------------------------------------------------------------------------------


def test_400_fails_this_request_alone_and_at_once() -> None:
    with open_script(lambda n, body: refuse(400, "max_tokens is too large")) as (endpoint, ask):
        assert ask().error == "HTTP 400: max_tokens is too large"
        assert endpoint.num_hits == 1


@pytest.mark.parametrize("status", [401, 402, 403, 404])
def test_a_refusal_of_us_is_fatal_and_asked_once(status: int) -> None:
    with open_script(lambda n, body: refuse(status, "go away")) as (endpoint, ask):
        with pytest.raises(TeacherError, match=f"`tutor` at {endpoint.url}.*HTTP {status}: go away"):
            ask()
        assert endpoint.num_hits == 1


def test_an_empty_account_is_fatal_although_its_status_is_429() -> None:
    with (
        open_script(lambda n, body: refuse(429, "pay", code="insufficient_quota")) as (_, ask),
        pytest.raises(TeacherError, match="out of funds"),
    ):
        ask()


@pytest.mark.parametrize(("key", "expected"), [(KEY, "Your key is ***."), ("EMPTY", "Your key is EMPTY.")])
def test_a_key_that_a_reply_repeats_is_not_stored_but_a_word_stays(
    monkeypatch: pytest.MonkeyPatch, key: str, expected: str
) -> None:
    monkeypatch.setenv("TUTOR_KEY", key)
    with open_script(lambda _number, _body: chat(f"Your key is {key}."), api_key=EnvRef(env="TUTOR_KEY")) as (
        _,
        ask,
    ):
        assert ask().text == expected


def test_a_key_that_an_error_repeats_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", KEY)
    script = lambda n, body: refuse(401 if n > 1 else 400, f"Incorrect key: {KEY}")  # noqa: E731
    with open_script(script, api_key=EnvRef(env="SECRET")) as (_, ask):
        assert ask().error == "HTTP 400: Incorrect key: ***"
        with pytest.raises(TeacherError) as caught:
            ask()
    assert KEY not in str(caught.value)
    assert "SECRET" in str(caught.value)


def test_half_a_key_is_not_shown_where_a_long_error_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", KEY)
    said = "x" * 290 + KEY
    with open_script(lambda n, body: refuse(400, said), api_key=EnvRef(env="SECRET")) as (_, ask):
        assert ask().error == "HTTP 400: " + "x" * 290 + "***"


def test_credentials_of_a_url_that_an_endpoint_repeats_are_not_shown() -> None:
    def script(number: int, body: dict[str, Any]) -> Response:
        said = (
            f"{endpoint.headers[-1]['Authorization']}, that is quite a long word, or quite%20a%20long%20word"
        )
        return chat(f"You sent {said}") if number == 1 else refuse(400, said)

    with serve_script(script) as endpoint:
        model = make_model(endpoint.url.replace("://", "://me:quite%20a%20long%20word@"))
        with open_loop(HttpTeacher(model)) as ask:
            assert ask(make_request(model)).text == "You sent Basic ***, that is ***, or ***"
            assert ask(make_request(model)).error == "HTTP 400: Basic ***, that is ***, or ***"


def test_a_refused_connection_is_fatal_where_nothing_ever_answered() -> None:
    model = make_model("http://user:hidden@127.0.0.1:9/v1", tries=2)
    with (
        open_loop(HttpTeacher(model, first_backoff_s=0.01)) as ask,
        pytest.raises(
            TeacherError, match=r"http://127.0.0.1:9/v1 cannot be reached.*2 tries.*base_url"
        ) as caught,
    ):
        ask(make_request(model))
    assert "hidden" not in str(caught.value)


def test_a_refused_connection_fails_one_request_where_the_endpoint_did_answer_before() -> None:
    with serve_script(lambda n, body: replace(chat("fine"), headers={"Connection": "close"})) as endpoint:
        model = make_model(endpoint.url, tries=2)
        runner = asyncio.Runner()
        teacher = HttpTeacher(model, first_backoff_s=0.01)
        assert runner.run(teacher.ask(make_request(model))).text == "fine"
    assert "no connection" in (runner.run(teacher.ask(make_request(model))).error or "")
    runner.run(teacher.close())
    runner.close()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<!doctype html><title>Hi</title>", "answered with HTML, not JSON: is base_url right.*/v1"),
        (b"not found, sorry", "not JSON"),
        (b'{"choices": [', "not JSON"),
        (b'{"object": "list", "data": []}', r"without choices\[0\].message .its keys: object, data"),
        (b"[]", "without choices"),
        (b'{"error": {"message": "no such model"}}', "no such model"),
    ],
)
def test_another_protocol_is_fatal_at_the_first_reply_and_one_error_later(body: bytes, words: str) -> None:
    with open_script(lambda n, _: Response(body)) as (_, ask), pytest.raises(TeacherError, match=words):
        ask()
    with open_script(lambda n, _: chat("fine") if n == 1 else Response(body)) as (endpoint, ask):
        assert ask().text == "fine"
        assert (ask().error or "").startswith("answered with")
        assert endpoint.num_hits == 2


@pytest.mark.parametrize("status", [301, 307])
def test_redirects_are_refused(status: int) -> None:
    with open_script(lambda n, body: Response(b"", status, {"Location": "http://evil.example/v1?k=1"})) as (
        endpoint,
        ask,
    ):
        with pytest.raises(TeacherError, match=r"redirects to http://evil.example/v1, which is not followed"):
            ask()
        assert endpoint.num_hits == 1


def test_a_reply_over_the_cap_is_dropped() -> None:
    body = b'{"choices": [{"message": {"content": "' + b"x" * MAX_REPLY_BYTES + b'"}}]}'
    with open_script(lambda n, _: Response(body)) as (endpoint, ask):
        assert ask().error == "a reply of more than 10 MiB"
        assert endpoint.num_hits == 1


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ({"content": None}, "an empty message"),
        ({"content": ""}, "an empty message"),
        ({"content": None, "refusal": "I will not."}, "refused: I will not."),
    ],
)
def test_a_message_without_text_is_an_error_of_that_request(message: dict[str, Any], error: str) -> None:
    body = json.dumps({"choices": [{"message": message}]}).encode()
    with open_script(lambda n, _: Response(body)) as (_, ask):
        reply = ask()
    assert reply.text is None
    assert error in (reply.error or "")


def test_text_in_parts_and_half_surrogates_are_mended() -> None:
    parts = [{"type": "text", "text": "a\ud83d"}, {"type": "text", "text": "\ude00\ud800"}]
    body = json.dumps({"choices": [{"message": {"content": parts}}]}).encode()
    with open_script(lambda n, _: Response(body)) as (_, ask):
        assert ask().text == "a\U0001f600\ufffd"


def test_a_retry_after_beyond_patience_fails_the_request() -> None:
    with open_script(lambda n, body: refuse(503, "tomorrow", Retry_After="86400")) as (endpoint, ask):
        assert "tomorrow" in (ask().error or "")
        assert endpoint.num_hits == 1


def test_retry_after_is_a_number_or_a_date() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert parse_retry_after("1.5") == 1.5
    assert parse_retry_after("-3") == 0.0
    assert 25 < (parse_retry_after(later) or 0) <= 30
    assert parse_retry_after("soon") is None
    assert parse_retry_after("nan") is None
    assert parse_retry_after(None) is None


# --- pacing -----------------------------------------------------------------------------------------------


def test_requests_per_minute_are_kept() -> None:
    pacer = Pacer(3, None)
    for now in (0.0, 1.0, 2.0):
        assert pacer.find_wait(now) == 0.0
        pacer.count(now)
    assert pacer.find_wait(10.0) == 50.0
    assert pacer.find_wait(60.0) == 0.0
    pacer.count(60.0)
    assert pacer.find_wait(60.0) == 1.0


def test_tokens_per_minute_are_kept_and_what_is_in_flight_counts_as_the_mean_so_far() -> None:
    pacer = Pacer(None, 100)
    first = pacer.count(0.0)
    assert pacer.find_wait(1.0) == 0.0
    pacer.settle(first, 40)
    second = pacer.count(2.0)  # 40 used and 40 expected: another 40 would be over
    assert pacer.find_wait(3.0) == 57.0
    pacer.settle(second, 10)  # 50 used, and a mean of 25
    assert pacer.find_wait(3.0) == 0.0


# --- plugins ----------------------------------------------------------------------------------------------

ECHO = """
    class Echo:
        def __init__(self, mark="!"):
            if mark == "bad":
                raise ValueError("no such mark")
            self.mark = mark
        def reply(self, messages, sample):
            if messages[-1]["content"] == "raise":
                raise RuntimeError("lost")
            if messages[-1]["content"] == "number":
                return 3
            return f"{messages[-1]['content']}{self.mark}{sample}"
"""


@pytest.fixture
def echo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Model:
    install_plugin(tmp_path, monkeypatch, "exgrpo.teachers", "echo", ECHO, "Echo")
    return Model(name="tutor", kind="plugin", id="echo", options={"mark": "?"}, limits=Limits(concurrency=4))


def test_a_plugin_teacher_gets_its_options_the_messages_and_the_sample(echo: Model) -> None:
    teacher = open_teacher(echo)
    with open_loop(teacher) as ask:
        assert ask(Request(echo, ({"role": "user", "content": "hi"},), sample=2)) == Reply("hi?2")
    assert teacher.concurrency == 1


def test_what_a_plugin_raises_is_that_requests_error(echo: Model) -> None:
    with open_loop(PluginTeacher(echo)) as ask:
        assert ask(make_request(echo, "raise")).error == "the plugin raised RuntimeError: lost"
        assert ask(make_request(echo, "number")).error == "the plugin replied with int, not text"
        assert ask(make_request(echo, "hi")).text == "hi?0"


def test_an_unknown_plugin_is_told_with_those_that_are_registered(echo: Model) -> None:
    with pytest.raises(TeacherError, match=r"model `tutor`.*`ecco`.*Registered: .*echo"):
        open_teacher(change(echo, id="ecco"))


@pytest.mark.parametrize(("options", "words"), [({"marc": "?"}, "marc"), ({"mark": "bad"}, "no such mark")])
def test_options_that_a_plugin_refuses_are_told(echo: Model, options: dict[str, str], words: str) -> None:
    with pytest.raises(TeacherError, match=words):
        open_teacher(change(echo, options=options))


def test_a_plugin_that_cannot_be_imported_or_cannot_reply_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    install_plugin(tmp_path / "a", monkeypatch, "exgrpo.teachers", "broken", "import absent_module", "Echo")
    install_plugin(tmp_path / "b", monkeypatch, "exgrpo.teachers", "mute", "class Mute: ...", "Mute")
    with pytest.raises(TeacherError, match="cannot be imported: ModuleNotFoundError"):
        open_teacher(Model(name="tutor", kind="plugin", id="broken"))
    with pytest.raises(TeacherError, match="without a method `reply`"):
        open_teacher(Model(name="tutor", kind="plugin", id="mute"))
