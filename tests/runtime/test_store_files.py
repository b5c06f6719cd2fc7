from __future__ import annotations

import json
import sqlite3
import sys
from pathlib import Path

import pytest

from exgrpo_artifact.errors import DiskError, MissingDependencyError
from exgrpo_artifact.manifest import Model, Price, Sampling
from exgrpo_runtime.teachers.store import ReplyStore
from exgrpo_runtime.teachers.store_files import ModelInfo, describe_store, export_store, merge_stores
from exgrpo_runtime.teachers.teacher import Reply, Request

TUTOR = Model(name="tutor", kind="openai", id="big", price=Price(input=1.0, output=10.0))
JUDGE = Model(name="judge", kind="openai", id="small")


def ask(text: str, model: Model = TUTOR) -> Request:
    return Request(model, ({"role": "user", "content": text},), Sampling(temperature=0.5))


def fill(path: Path, *pairs: tuple[Request, Reply]) -> Path:
    with ReplyStore(path) as store:
        store.put_all(pairs)
    return path


def make_old(path: Path, *pairs: tuple[Request, Reply]) -> Path:
    """A store as layout 1 had it."""
    with sqlite3.connect(path) as connection:
        connection.execute(
            "create table replies (key text primary key, model text not null, model_id text, text text not null,"
            " prompt_tokens integer, completion_tokens integer, created real not null)"
        )
        connection.execute("pragma user_version = 1")
        connection.executemany(
            "insert into replies values (?, ?, ?, ?, ?, ?, 1.0)",
            [
                (r.old_key, r.model.name, r.model.id, a.text, a.prompt_tokens, a.completion_tokens)
                for r, a in pairs
            ],
        )
    connection.close()
    return path


# --- what a store keeps -----------------------------------------------------------------------------------


def test_a_row_holds_what_was_asked_and_what_it_took(tmp_path: Path) -> None:
    request = Request(TUTOR, ({"role": "user", "content": "Why?"},), sample=2, schema={"type": "object"})
    reply = Reply("Because.", 1000, 100, finish_reason="stop", latency_s=0.25, endpoint="http://here/v1")
    path = fill(tmp_path / "r.sqlite", (request, reply))
    connection = sqlite3.connect(path)
    connection.row_factory = sqlite3.Row
    row = dict(connection.execute("select * from replies").fetchone())
    assert json.loads(row.pop("request")) == {
        "messages": [{"role": "user", "content": "Why?"}],
        "sampling": {"temperature": None, "top_p": None, "max_tokens": None},
        "sample": 2,
        "schema": {"type": "object"},
    }
    assert row.pop("created") > 1.7e9
    assert row.pop("cost_usd") == pytest.approx(1000 * 1.0 / 1e6 + 100 * 10.0 / 1e6)
    assert row == {
        "key": request.key,
        "model": "tutor",
        "model_id": "big",
        "text": "Because.",
        "prompt_tokens": 1000,
        "completion_tokens": 100,
        "format": 2,
        "revision": None,
        "finish_reason": "stop",
        "latency_s": 0.25,
        "endpoint": "http://here/v1",
    }


def test_replies_of_layout_1_are_found_for_the_same_requests_with_and_without_a_schema(
    tmp_path: Path,
) -> None:
    path = make_old(tmp_path / "r.sqlite", (ask("a"), Reply("old", 7, 2)), (ask("b"), Reply("older")))
    with ReplyStore(path) as store:
        assert store.get(ask("a")) == Reply("old", 7, 2)
        structured = Request(TUTOR, ask("b").messages, Sampling(temperature=0.5), schema={"type": "object"})
        assert store.get(structured) == Reply("older")
        assert store.get(ask("c")) is None
        store.put(ask("c"), Reply("new"))
        assert store.find([ask("a"), ask("c")]).keys() == {ask("a").key, ask("c").key}


def test_failures_are_counted_until_there_is_a_reply_and_cost_what_they_cost(tmp_path: Path) -> None:
    path = fill(
        tmp_path / "r.sqlite",
        (ask("a"), Reply(None, error="HTTP 500", tries=4)),
        (ask("a"), Reply(None, error="HTTP 502", tries=4)),
        (ask("b"), Reply(None, 1_000_000, 0, error="an empty message")),
    )
    with sqlite3.connect(path) as connection:
        assert connection.execute("select error, tries from failures where tries > 1").fetchall() == [
            ("HTTP 502", 8)
        ]
    with ReplyStore(path) as store:
        assert store.sum_usage("tutor").cost_usd == 1.0
        store.put(ask("a"), Reply("x", 1, 1))
    (info,) = describe_store(path)
    assert (info.replies, info.failures) == (1, 1)


# --- info -------------------------------------------------------------------------------------------------


def test_info_counts_by_model_and_says_what_is_unknown(tmp_path: Path) -> None:
    path = fill(
        tmp_path / "r.sqlite",
        (ask("a"), Reply("x", 1_000_000, 100_000)),
        (ask("b"), Reply("y")),
        (ask("a", JUDGE), Reply("3", 10, 1)),
        (ask("b", JUDGE), Reply(None, error="HTTP 400")),
    )
    assert describe_store(path) == [
        ModelInfo("judge", 1, 10, 1, 0, None, 1, 1),
        ModelInfo("tutor", 2, 1_000_000, 100_000, 1, 2.0, 1, 0),
    ]


def test_what_is_no_store_is_told(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match="there is no store"):
        describe_store(tmp_path / "absent.sqlite")
    (tmp_path / "text").write_text("hello " * 500)
    with pytest.raises(DiskError, match="is damaged"):
        describe_store(tmp_path / "text")
    sqlite3.connect(tmp_path / "other").execute("create table things (a)")
    with pytest.raises(DiskError, match="no store of exgrpo"):
        describe_store(tmp_path / "other")


# --- merge ------------------------------------------------------------------------------------------------


def test_a_merge_is_the_union_in_which_the_first_reply_stays_and_doing_it_again_changes_nothing(
    tmp_path: Path,
) -> None:
    first = fill(tmp_path / "a", (ask("a"), Reply("first")), (ask("f"), Reply(None, error="no", tries=2)))
    second = fill(tmp_path / "b", (ask("a"), Reply("second")), (ask("b"), Reply("b")))
    old = make_old(tmp_path / "c", (ask("c"), Reply("c")))
    before = [path.read_bytes() for path in (first, second, old)]
    assert merge_stores(tmp_path / "out", [first, second, old]) == 3
    assert merge_stores(tmp_path / "out", [first, second, old]) == 0
    assert [path.read_bytes() for path in (first, second, old)] == before
    with ReplyStore(tmp_path / "out") as store:
        found = store.find([ask("a"), ask("b"), ask("c"), ask("f")])
    assert {reply.text for reply in found.values()} == {"first", "b", "c"}
    assert describe_store(tmp_path / "out")[0].failures == 1


def test_a_merge_keeps_what_out_has(tmp_path: Path) -> None:
    out = fill(tmp_path / "out", (ask("a"), Reply("mine")))
    other = fill(tmp_path / "b", (ask("a"), Reply("theirs")))
    assert merge_stores(out, [other]) == 0
    with ReplyStore(out) as store:
        assert store.get(ask("a")) == Reply("mine")


def test_a_merge_refuses_a_newer_layout_before_it_writes(tmp_path: Path) -> None:
    newer = fill(tmp_path / "newer", (ask("a"), Reply("x")))
    with sqlite3.connect(newer) as connection:
        connection.execute("pragma user_version = 99")
    with pytest.raises(DiskError, match="newer exgrpo"):
        merge_stores(tmp_path / "out", [newer])
    assert not (tmp_path / "out").exists()


# --- export -----------------------------------------------------------------------------------------------


def test_an_export_holds_every_column_of_every_reply(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    path = fill(tmp_path / "r.sqlite", (ask("a"), Reply("x", 10, 2)), (ask("b"), Reply("y")))
    assert export_store(path, tmp_path / "r.parquet") == 2
    table = parquet.read_table(tmp_path / "r.parquet").to_pylist()
    assert {row["text"]: row["completion_tokens"] for row in table} == {"x": 2, "y": None}
    assert json.loads(table[0]["request"])["sampling"]["temperature"] == 0.5
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".part"] == []


def test_an_export_of_layout_1_has_nulls_for_what_it_did_not_keep(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    path = make_old(tmp_path / "r.sqlite", (ask("a"), Reply("x", 10, 2)))
    assert export_store(path, tmp_path / "r.parquet") == 1
    (row,) = parquet.read_table(tmp_path / "r.parquet").to_pylist()
    assert (row["text"], row["cost_usd"], row["request"]) == ("x", None, None)


def test_an_export_without_pyarrow_names_what_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = fill(tmp_path / "r.sqlite", (ask("a"), Reply("x")))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingDependencyError, match=r"exgrpo\[probe\]"):
        export_store(path, tmp_path / "r.parquet")
