from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
import threading
import time
from asyncio.selector_events import BaseSelectorEventLoop
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("httpx")

from exgrpo_artifact.errors import DiskError, TeacherError
from exgrpo_artifact.manifest import Limits, Model, Price, Sampling
from exgrpo_artifact.record import replace as change
from exgrpo_runtime.teachers.asking import Asker
from exgrpo_runtime.teachers.batching import Batcher
from exgrpo_runtime.teachers.budget import Budget
from exgrpo_runtime.teachers.session import Session
from exgrpo_runtime.teachers.store import ReplyStore
from exgrpo_runtime.teachers.teacher import Reply, Request, Teacher
from exgrpo_runtime.teachers.threads import Threads
from exgrpo_runtime.teachers.usage import Usage
from tests.runtime.test_teacher import make_model
from tests.support.endpoint import Response, chat, refuse, serve_script


def make_requests(model: Model, *texts: str) -> list[Request]:
    return [Request(model, ({"role": "user", "content": text},)) for text in texts]


def echo(number: int, body: dict[str, Any]) -> Response:
    return chat(body["messages"][-1]["content"].upper(), prompt_tokens=10, completion_tokens=5)


class Scripted(Teacher):
    """A teacher in this process."""

    concurrency = 4

    def __init__(self, answer: Callable[[str], Reply]) -> None:
        self.answer = answer
        self.asked: list[str] = []

    async def ask(self, request: Request) -> Reply:
        text = request.messages[-1]["content"]
        self.asked.append(text)
        await asyncio.sleep(0.001)
        return self.answer(text)


# --- what comes back --------------------------------------------------------------------------------------


def test_replies_are_in_the_order_of_the_requests_and_equal_requests_are_asked_once(tmp_path: Path) -> None:
    seen: list[Reply] = []
    with serve_script(echo) as endpoint, ReplyStore(tmp_path / "r") as store:
        asker = Asker(store)
        requests = make_requests(make_model(endpoint.url), "c", "a", "c", "b")
        replies = asker.ask_all(requests, seen.append)
        assert [reply.text for reply in replies] == ["C", "A", "C", "B"]
        assert endpoint.num_hits == 3
        assert len(seen) == 4
        assert asker.tally.to_json() == {
            "asked": 3,
            "from_store": 1,
            "failed": 0,
            "tokens": {"prompt": 30, "completion": 15, "uncounted": 0},
        }


def test_connections_outlive_a_stage(tmp_path: Path) -> None:
    with serve_script(echo) as endpoint, ReplyStore(tmp_path / "r") as store:
        model = make_model(endpoint.url, limits=Limits(concurrency=1))
        for text in ("a", "b", "c"):
            Asker(store).ask_all(make_requests(model, text))
        ports = endpoint.ports
    assert len(ports) == 3
    assert len(set(ports)) == 1


def test_two_models_are_asked_at_the_same_time(tmp_path: Path) -> None:
    both = threading.Barrier(2, timeout=10)

    def meet(number: int, body: dict[str, Any]) -> Response:
        both.wait()
        return chat(body["model"])

    with serve_script(meet) as endpoint, ReplyStore(tmp_path / "r") as store:
        requests = [
            *make_requests(make_model(endpoint.url), "a"),
            *make_requests(make_model(endpoint.url, name="other", id="small"), "a"),
        ]
        assert [reply.text for reply in Asker(store).ask_all(requests)] == ["big", "small"]


def test_a_permanently_bad_row_costs_its_tries_and_the_others_are_there(tmp_path: Path) -> None:
    def script(number: int, body: dict[str, Any]) -> Response:
        return refuse(500, "poison") if body["messages"][0]["content"] == "bad" else echo(number, body)

    with serve_script(script) as endpoint, ReplyStore(tmp_path / "r") as store:
        requests = make_requests(make_model(endpoint.url, tries=3, timeout_s=5.0), "a", "bad", "b")
        replies = Asker(store).ask_all(requests)
        assert [reply.text for reply in replies] == ["A", None, "B"]
        assert endpoint.prompts.count("bad") == 3
        failed = sqlite3.connect(tmp_path / "r").execute("select error, tries from failures").fetchall()
        assert failed == [("HTTP 500: poison (3 tries)", 3)]


# --- when it stops ----------------------------------------------------------------------------------------


def test_a_refusal_stops_sending_and_what_is_in_flight_is_stored(tmp_path: Path) -> None:
    def script(number: int, body: dict[str, Any]) -> Response:
        if body["messages"][0]["content"] == "c":
            return refuse(401, "go away")
        return Response(echo(number, body).body, delay_s=0.4)

    with serve_script(script) as endpoint, ReplyStore(tmp_path / "r") as store:
        requests = make_requests(make_model(endpoint.url, limits=Limits(concurrency=3)), *"abcdefgh")
        with pytest.raises(TeacherError, match="401"):
            Asker(store).ask_all(requests)
        assert sorted(endpoint.prompts) == ["a", "b", "c"]
        assert {reply.text for reply in store.find(requests).values()} == {"A", "B"}


def test_a_failure_of_one_model_lets_the_other_finish_what_is_in_flight(tmp_path: Path) -> None:
    def script(number: int, body: dict[str, Any]) -> Response:
        if body["model"] == "bad":
            return refuse(403, "no")
        return Response(echo(number, body).body, delay_s=0.4)

    with serve_script(script) as endpoint, ReplyStore(tmp_path / "r") as store:
        good = make_requests(make_model(endpoint.url, limits=Limits(concurrency=1)), "a", "b", "c")
        bad = make_requests(make_model(endpoint.url, name="bad", id="bad"), "x")
        with pytest.raises(TeacherError, match=r"`bad`.*403"):
            Asker(store).ask_all([*good, *bad])
        assert [reply.text for reply in store.find(good).values()] == ["A"]


def test_the_breaker_names_the_last_reason_and_how_to_go_on(tmp_path: Path) -> None:
    teacher = Scripted(lambda text: Reply(None, error="HTTP 500: melting"))
    model = make_model()
    with ReplyStore(tmp_path / "r") as store:
        asker = Asker(store, lambda _: teacher)
        with pytest.raises(TeacherError, match=r"failed 50 requests in a row.*HTTP 500: melting.*--resume"):
            asker.ask_all(make_requests(model, *map(str, range(200))))
    assert len(teacher.asked) < 60


def test_a_success_in_between_keeps_the_breaker_closed(tmp_path: Path) -> None:
    teacher = Scripted(lambda text: Reply("x") if int(text) % 40 == 0 else Reply(None, error="no"))
    with ReplyStore(tmp_path / "r") as store:
        asker = Asker(store, lambda _: teacher)
        replies = asker.ask_all(make_requests(make_model(), *map(str, range(200))))
    assert sum(reply.text is None for reply in replies) == 195


def test_a_full_disk_stops_with_a_disk_error_and_what_was_stored_is_not_asked_again(tmp_path: Path) -> None:
    texts = [str(number) for number in range(200)]
    teacher = Scripted(lambda text: Reply(text * 4000))
    with ReplyStore(tmp_path / "r") as store:
        pages = store._connection.execute("pragma page_count").fetchone()[0]
        store._connection.execute(f"pragma max_page_count = {pages + 100}")
        requests = make_requests(make_model(), *texts)
        with pytest.raises(DiskError, match=r"the disk is full.*--resume"):
            Asker(store, lambda _: teacher).ask_all(requests)
        stored = len(store.find(requests))
        assert 0 < stored < 200
        assert len(teacher.asked) <= stored + teacher.concurrency
    teacher.asked.clear()
    with ReplyStore(tmp_path / "r") as store:
        Asker(store, lambda _: teacher).ask_all(requests)
    assert len(teacher.asked) == 200 - stored


# --- several processes ------------------------------------------------------------------------------------


def test_what_another_process_asks_for_is_waited_for_and_not_asked(tmp_path: Path) -> None:
    teacher = Scripted(lambda text: Reply("mine"))
    requests = make_requests(make_model(), "a", "b")
    with ReplyStore(tmp_path / "r") as store, ReplyStore(tmp_path / "r") as other:
        other.claim("tutor", {requests[0].key: 0.0}, lambda _: 1.0)
        timer = threading.Timer(0.5, lambda: other.put(requests[0], Reply("theirs")))
        timer.start()
        asker = Asker(store, lambda _: teacher)
        assert [reply.text for reply in asker.ask_all(requests)] == ["theirs", "mine"]
        assert (asker.tally.asked, asker.tally.from_store) == (1, 1)
        timer.join()
    assert teacher.asked == ["b"]


def test_what_another_process_fails_at_is_not_tried_over_again(tmp_path: Path) -> None:
    teacher = Scripted(lambda text: Reply("mine"))
    requests = make_requests(make_model(), "a", "b")
    with ReplyStore(tmp_path / "r") as store, ReplyStore(tmp_path / "r") as other:
        other.claim("tutor", {requests[0].key: 0.0}, lambda _: 1.0)
        timer = threading.Timer(0.5, lambda: other.put(requests[0], Reply(None, error="HTTP 400", tries=1)))
        timer.start()
        replies = Asker(store, lambda _: teacher).ask_all(requests)
        timer.join()
    assert [(reply.text, reply.error) for reply in replies] == [(None, "HTTP 400"), ("mine", None)]
    assert teacher.asked == ["b"]


# --- the budget -------------------------------------------------------------------------------------------

PRICE = Price(input=0.0, output=1e6)
"""One dollar for each completion token."""


def test_a_budget_counts_what_all_processes_have_spent_and_reserved(tmp_path: Path) -> None:
    model = make_model(price=PRICE, budget_usd=5.0, sampling=Sampling(max_tokens=1))
    teacher = Scripted(lambda text: Reply("x", 1, 1))
    with ReplyStore(tmp_path / "r") as store, ReplyStore(tmp_path / "r") as other:
        other.put(make_requests(model, "spent")[0], Reply("x", 1, 1))
        other.claim("tutor", {"reserved": 2.0}, lambda _: 5.0)
        threading.Timer(0.5, lambda: other.release()).start()
        with pytest.raises(TeacherError, match=r"budget of model `tutor` \(5 usd\) is used up: 5.0000 usd"):
            Asker(store, lambda _: teacher).ask_all(make_requests(model, *map(str, range(10))))
        assert store.sum_usage("tutor").cost_usd == 5.0
    assert len(teacher.asked) == 4


def test_replies_without_counts_are_charged_by_their_length(tmp_path: Path) -> None:
    model = make_model(price=Price(input=0.0, output=1_000_000.0), budget_usd=100.0)
    with ReplyStore(tmp_path / "r") as store:
        store.put(make_requests(model, "a")[0], Reply("x" * 30))
        assert Budget(model, store.sum_usage("tutor")).spent_usd == 10.0


def test_without_max_tokens_a_request_reserves_twice_the_longest_reply_so_far() -> None:
    model = make_model(price=Price(input=0.0, output=1.0), budget_usd=1.0)
    (request,) = make_requests(model, "a")
    assert Budget(model, Usage(0, 0, 0)).estimate_most(request) == 0.001024
    assert Budget(model, Usage(1, 1, 1, longest=5000)).estimate_most(request) == 0.01
    assert Budget(model, Usage(20, 1, 1, longest=50)).estimate_most(request) == 0.0001


def test_usage_is_summed_as_rows_arrive_from_any_process(tmp_path: Path) -> None:
    model = make_model(price=PRICE)
    requests = make_requests(model, *"abcd")
    with ReplyStore(tmp_path / "r") as store, ReplyStore(tmp_path / "r") as other:
        store.put(requests[0], Reply("x", 1, 1))
        assert store.sum_usage("tutor") == Usage(1, 1, 1, cost_usd=1.0, longest=1)
        other.put(requests[1], Reply("x", 1, 7))
        other.put(requests[2], Reply(None, 1, 2, error="an empty message"))
        store.put(Request(change(model, name="judge"), requests[3].messages), Reply("x", 50, 50))
        assert store.sum_usage("tutor") == Usage(2, 2, 8, cost_usd=10.0, longest=7)
        assert store.sum_usage("tutor") == other.sum_usage("tutor")


# --- threads and batches ----------------------------------------------------------------------------------


def test_a_batch_gathers_what_is_asked_at_the_same_time(tmp_path: Path) -> None:
    batches: list[list[str]] = []

    def answer(batch: list[Request]) -> list[Reply]:
        batches.append([request.messages[0]["content"] for request in batch])
        time.sleep(0.05)
        return [Reply(text.upper()) for text in batches[-1]]

    class Local(Teacher):
        concurrency = 8

        def __init__(self) -> None:
            self.batcher = Batcher(answer, most=4)

        async def ask(self, request: Request) -> Reply:
            return await self.batcher.call(request)

        async def close(self) -> None:
            self.batcher.close()

    with ReplyStore(tmp_path / "r") as store:
        replies = Asker(store, lambda _: Local()).ask_all(make_requests(make_model(), *"abcdefghijkl"))
    assert [reply.text for reply in replies] == list("ABCDEFGHIJKL")
    assert max(map(len, batches)) == 4
    assert len(batches) <= 5


def test_what_a_batch_raises_reaches_everyone_in_it() -> None:
    def fail(batch: list[int]) -> list[int]:
        raise ValueError("out of memory")

    async def run() -> list[BaseException | int]:
        batcher = Batcher(fail, most=2)
        found = await asyncio.gather(batcher.call(1), batcher.call(2), return_exceptions=True)
        batcher.close()
        return found

    assert [str(error) for error in asyncio.run(run())] == ["out of memory", "out of memory"]


def test_one_thread_is_never_entered_twice_and_several_work_side_by_side() -> None:
    async def find_most(count: int) -> int:
        threads, lock = Threads(count, "test"), threading.Lock()
        inside = most = 0

        def work() -> None:
            nonlocal inside, most
            with lock:
                inside += 1
                most = max(most, inside)
            time.sleep(0.05)
            with lock:
                inside -= 1

        await asyncio.gather(*(threads.call(work) for _ in range(6)))
        threads.close()
        return most

    assert asyncio.run(find_most(1)) == 1
    assert asyncio.run(find_most(3)) == 3


def test_a_key_is_the_same_whatever_the_spec_calls_the_model_and_in_every_process() -> None:
    (request,) = make_requests(make_model(), "Why?")
    assert json.loads(json.dumps(request.describe())) == {
        "messages": [{"role": "user", "content": "Why?"}],
        "sampling": {"temperature": None, "top_p": None, "max_tokens": None},
        "sample": 0,
        "schema": None,
    }
    assert request.key == make_requests(make_model(name="other"), "Why?")[0].key
    assert request.key == "d7375ca487513137b8a4a4e6782133215e117909fea8c1e1b3e4481313e35d85"


def test_ctrl_c_while_the_loop_is_being_made_comes_when_it_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    make_pipe = BaseSelectorEventLoop._make_self_pipe  # type: ignore[attr-defined]
    made: list[BaseSelectorEventLoop] = []

    def press_ctrl_c(loop: BaseSelectorEventLoop) -> None:
        signal.raise_signal(signal.SIGINT)
        make_pipe(loop)
        made.append(loop)

    async def work() -> None:
        raise AssertionError("nothing is sent after Ctrl-C")

    monkeypatch.setattr(BaseSelectorEventLoop, "_make_self_pipe", press_ctrl_c)
    session = Session()
    with pytest.raises(KeyboardInterrupt):
        session.run(work())
    assert len(made) == 1
    session.close()
    assert made[0].is_closed()
