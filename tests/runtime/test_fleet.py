from __future__ import annotations

import asyncio
import socket
from itertools import count
from typing import Any

import pytest

pytest.importorskip("httpx")

from exgrpo_artifact.errors import TeacherError
from exgrpo_artifact.manifest import EnvRef, Limits, Model
from exgrpo_runtime.teachers import endpoint as endpoint_module
from exgrpo_runtime.teachers.http_teacher import HttpTeacher
from exgrpo_runtime.teachers.teacher import Reply, Request
from tests.runtime.test_teacher import make_model
from tests.support.endpoint import Response, chat, refuse, serve_script


def find_free_url() -> str:
    """A URL at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/v1"


def make_fleet(*urls: str, concurrency: int = 4, **changes: Any) -> Model:
    first, *more = urls
    return make_model(first, more_urls=tuple(more), limits=Limits(concurrency=concurrency), **changes)


def ask_many(model: Model, count: int, *, at_once: int = 4) -> list[Reply]:
    """So many different requests, so many of them at a time."""

    async def run() -> list[Reply]:
        teacher = HttpTeacher(model, first_backoff_s=0.01)
        slots = asyncio.Semaphore(at_once)

        async def ask(number: int) -> Reply:
            async with slots:
                return await teacher.ask(Request(model, ({"role": "user", "content": str(number)},)))

        try:
            return await asyncio.gather(*(ask(number) for number in range(count)))
        finally:
            await teacher.close()

    return asyncio.run(run())


def slow(number: int, body: dict[str, Any]) -> Response:
    return Response(chat("fine").body, delay_s=0.05)


def test_requests_are_spread_over_the_endpoints_and_each_reply_says_who_gave_it() -> None:
    with serve_script(slow) as one, serve_script(slow) as two:
        replies = ask_many(make_fleet(one.url, two.url), 40)
        assert {reply.text for reply in replies} == {"fine"}
        assert min(one.num_hits, two.num_hits) >= 15
        assert {reply.endpoint for reply in replies} == {one.url, two.url}


def test_urls_may_come_from_the_environment_and_credentials_are_not_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with serve_script(slow) as one, serve_script(slow) as two:
        monkeypatch.setenv("SECOND", two.url.replace("http://", "http://me:hidden@"))
        model = make_model(one.url, more_urls=(EnvRef(env="SECOND"),))
        replies = ask_many(model, 12)
        assert {reply.endpoint for reply in replies} == {one.url, two.url}
        assert "Basic" in two.headers[0]["Authorization"]


def test_an_endpoint_that_is_down_costs_no_request_a_try() -> None:
    with serve_script(slow) as up:
        replies = ask_many(make_fleet(find_free_url(), up.url, tries=1), 20)
    assert {reply.text for reply in replies} == {"fine"}
    assert up.num_hits == 20


def test_an_endpoint_that_fails_again_and_again_is_left_alone() -> None:
    with serve_script(lambda n, body: refuse(500, "broken")) as ill, serve_script(slow) as well:
        replies = ask_many(make_fleet(ill.url, well.url, tries=6), 40)
    assert {reply.text for reply in replies} == {"fine"}
    assert ill.num_hits <= 8


def test_an_endpoint_that_was_down_is_probed_again_by_one_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint_module, "FIRST_REST_S", 0.2)

    def recovers(number: int, body: dict[str, Any]) -> Response:
        return refuse(503) if number <= 4 else slow(number, body)

    with serve_script(recovers) as ill, serve_script(slow) as well:
        replies = ask_many(make_fleet(ill.url, well.url, tries=6), 100)
    assert {reply.text for reply in replies} == {"fine"}
    assert ill.num_hits > 10


def test_all_endpoints_down_is_told_after_the_tries_however_many_requests_wait() -> None:
    model = make_fleet(find_free_url(), find_free_url(), concurrency=16, tries=3)
    with pytest.raises(TeacherError, match=r"cannot be reached: .* \(3 tries\)"):
        ask_many(model, 40, at_once=16)


def test_where_all_endpoints_fail_a_request_costs_its_tries_and_does_not_wait_for_their_rests() -> None:
    broken = lambda n, body: refuse(500, "broken")  # noqa: E731
    with serve_script(broken) as one, serve_script(broken) as two:
        replies = ask_many(make_fleet(one.url, two.url, tries=3), 20)
        assert [reply.error for reply in replies] == ["HTTP 500: broken (3 tries)"] * 20
        assert one.num_hits + two.num_hits == 60


def test_endpoints_that_were_all_down_are_used_again() -> None:
    hits = count()

    # Both recover at the same moment: one that is down while the other is up would rest, and rightly so.
    def recovers(number: int, body: dict[str, Any]) -> Response:
        return refuse(503) if next(hits) < 12 else slow(number, body)

    with serve_script(recovers) as one, serve_script(recovers) as two:
        replies = ask_many(make_fleet(one.url, two.url, tries=9), 60)
        assert {reply.text for reply in replies} == {"fine"}
        assert min(one.num_hits, two.num_hits) >= 20


def test_retry_after_holds_the_endpoint_that_asks_for_it_and_not_the_others() -> None:
    def once(number: int, body: dict[str, Any]) -> Response:
        return refuse(429, Retry_After="30") if number == 1 else slow(number, body)

    with serve_script(once) as busy, serve_script(slow) as free:
        replies = ask_many(make_fleet(busy.url, free.url), 20)
    assert {reply.text for reply in replies} == {"fine"}
    assert busy.num_hits <= 4
    assert free.num_hits >= 16


def test_a_storm_of_429_between_successes_costs_no_tries() -> None:
    def script(number: int, body: dict[str, Any]) -> Response:
        return refuse(429) if number % 3 else slow(number, body)

    with serve_script(script) as endpoint:
        replies = ask_many(make_fleet(endpoint.url, tries=3), 20)
    assert {reply.text for reply in replies} == {"fine"}
