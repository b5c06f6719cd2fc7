"""What the workers of a cluster are told, without a cluster; tests/e2e/test_ray.py starts one."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from exgrpo_artifact.manifest import Limits, Model, Price, ProbeStage
from exgrpo_artifact.record import replace as change
from exgrpo_runtime.probing.ray_engine import _count_workers, _list_asked, _restrict_filters, _share_model
from exgrpo_runtime.probing.ray_worker import Task
from exgrpo_runtime.teachers.store import ReplyStore
from exgrpo_runtime.teachers.store_parts import TracedStore, read_failures, write_part
from exgrpo_runtime.teachers.teacher import Reply, Request
from tests.runtime.factory import make_artifact
from tests.runtime.test_probing import make_consistent, make_in_reach

STAGE = ProbeStage(name="probe", probes="ask", split="train")
MODEL = Model(name="tutor", kind="openai", id="big", limits=Limits(requests=60, tokens=9000, concurrency=8))


def make_request(text: str) -> Request:
    return Request(MODEL, ({"role": "user", "content": text},))


@pytest.mark.parametrize(
    ("cpus", "rows", "concurrency", "workers"),
    [(4, 100, [8], 4), (64, 100, [8, 16], 8), (64, 3, [8], 3), (1, 100, [8], 1), (64, 100, [1], 1)],
)
def test_there_are_no_more_workers_than_rows_or_requests_in_flight(
    cpus: int, rows: int, concurrency: list[int], workers: int
) -> None:
    models = [change(MODEL, limits=Limits(concurrency=number)) for number in concurrency]
    assert _count_workers(cpus, rows, models) == workers


def test_all_workers_together_keep_each_limit(tmp_path: Path) -> None:
    with ReplyStore(tmp_path / "replies.sqlite") as store:
        shared = _share_model(MODEL, store, workers=3, nodes=2)
        free = _share_model(change(MODEL, limits=Limits(concurrency=3)), store, workers=3, nodes=2)
    assert shared.limits == Limits(requests=20, tokens=3000, concurrency=2)
    assert free.limits == Limits(requests=None, tokens=None, concurrency=1)


def test_a_node_may_spend_its_share_of_what_is_left_of_a_budget(tmp_path: Path) -> None:
    model = change(MODEL, budget_usd=10.0, price=Price(input=1.0, output=1.0))
    with ReplyStore(tmp_path / "replies.sqlite") as store:
        request = Request(model, ({"role": "user", "content": "a"},))
        store.put(request, Reply("b", prompt_tokens=1_000_000, completion_tokens=3_000_000))
        # 4 usd are spent and counted by every node, which has them in its store; 6 are left for two nodes.
        assert _share_model(model, store, workers=4, nodes=2).budget_usd == pytest.approx(7.0)


def test_filters_that_ask_the_student_and_those_after_them_are_the_drivers() -> None:
    manifest = make_artifact().manifest
    before, student, after = make_consistent(), make_in_reach(), change(make_consistent(), name="later")
    ask = change(manifest.probes["ask"], keeps=(before, student, after))
    manifest = change(manifest, probes={"ask": ask})
    assert [keep.name for keep in _restrict_filters(manifest, STAGE).probes["ask"].keeps] == ["consistent"]
    assert [model.name for model in _list_asked(manifest, STAGE)] == ["tutor"]


def test_a_task_travels(tmp_path: Path) -> None:
    task = Task(make_artifact(), STAGE, tmp_path, None)
    assert pickle.loads(pickle.dumps(task)) == task


def test_a_part_of_a_store_is_what_was_found_in_it_or_added_to_it(tmp_path: Path) -> None:
    held, new, failed, other = (make_request(text) for text in ("held", "new", "failed", "other"))
    path = tmp_path / "whole ?#.sqlite"
    with TracedStore(path) as store:
        store.put_all([(held, Reply("1")), (other, Reply("2"))])
        assert store.take_touched() == ([held.key, other.key], 2)
        assert store.find([held, new]) == {held.key: Reply("1")}
        store.put_all([(new, Reply("3")), (failed, Reply(None, error="no", tries=2))])
        keys, written = store.take_touched()
        assert (keys, written) == ([held.key, new.key, failed.key], 2)
        assert store.take_touched() == ([], 0)
        write_part(path, tmp_path / "part.sqlite", keys)
    assert read_failures(tmp_path / "part.sqlite") == {failed.key: Reply(None, error="no", tries=2)}
    with ReplyStore(tmp_path / "part.sqlite") as part:
        assert part.find([held, new, failed, other]) == {held.key: Reply("1"), new.key: Reply("3")}


def test_a_failure_that_was_mended_is_none(tmp_path: Path) -> None:
    request = make_request("a")
    with ReplyStore(tmp_path / "a.sqlite") as store:
        store.put(request, Reply(None, error="no"))
        store.put(request, Reply("yes"))
    assert read_failures(tmp_path / "a.sqlite") == {}
