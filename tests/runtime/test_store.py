from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from exgrpo_artifact.errors import DiskError
from exgrpo_artifact.manifest import Model
from exgrpo_runtime.teachers.store import ReplyStore
from exgrpo_runtime.teachers.teacher import Reply, Request
from exgrpo_runtime.teachers.usage import Usage
from tests.support.data import ROOT

MODEL = Model(name="tutor", kind="openai", id="big")


def make_request(text: str) -> Request:
    return Request(MODEL, ({"role": "user", "content": text},))


def test_a_reply_is_there_for_the_next_process(tmp_path: Path) -> None:
    reply = Reply("Because \u2192 caf\u00e9.", 7, None)
    with ReplyStore(tmp_path / "r.sqlite") as store:
        assert store.get(make_request("a")) is None
        store.put(make_request("a"), reply)
    with ReplyStore(tmp_path / "r.sqlite") as store:
        assert store.get(make_request("a")) == reply
        assert store.get(make_request("b")) is None


def test_the_first_reply_stays_and_a_failed_one_is_not_stored(tmp_path: Path) -> None:
    with ReplyStore(tmp_path / "r.sqlite") as store:
        store.put(make_request("a"), Reply(None, error="HTTP 500"))
        assert store.get(make_request("a")) is None
        store.put(make_request("a"), Reply("first"))
        store.put(make_request("a"), Reply("second"))
        assert store.get(make_request("a")) == Reply("first")


def test_usage_is_summed_over_runs_and_by_model(tmp_path: Path) -> None:
    other = Request(Model(name="judge", kind="openai", id="bigger"), ({"role": "user", "content": "a"},))
    for text in ("a", "b"):
        with ReplyStore(tmp_path / "r.sqlite") as store:
            store.put(make_request(text), Reply("x", 10, 3))
            store.put(other, Reply("x", 100, 100))
    with ReplyStore(tmp_path / "r.sqlite") as store:
        used = Usage(2, 20, 6, uncosted_prompt_tokens=20, uncosted_completion_tokens=6, longest=3)
        assert store.sum_usage("tutor") == used
        assert store.sum_usage("nobody") == Usage(0, 0, 0)


def test_threads_may_share_it(tmp_path: Path) -> None:
    with ReplyStore(tmp_path / "r.sqlite") as store:
        threads = [
            threading.Thread(target=store.put, args=(make_request(str(i)), Reply(str(i)))) for i in range(40)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [store.get(make_request(str(i))) for i in range(40)] == [Reply(str(i)) for i in range(40)]


def test_a_killed_process_loses_no_reply_that_put_returned_for(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from exgrpo_artifact.manifest import Model
from exgrpo_runtime.teachers.store import ReplyStore
from exgrpo_runtime.teachers.teacher import Reply, Request
store = ReplyStore(Path(sys.argv[1]))
model = Model(name="tutor", kind="openai", id="big")
for i in range(10**6):
    store.put(Request(model, ({"role": "user", "content": str(i)},)), Reply("x" * 1000))
    print(i, flush=True)
"""
    command = [sys.executable, "-c", code, str(tmp_path / "r.sqlite")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=build_env())
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == "50":
            break
    process.send_signal(signal.SIGKILL)
    last = max([50, *(int(line) for line in process.stdout.read().split())])
    process.wait()
    with ReplyStore(tmp_path / "r.sqlite") as store:
        assert all(store.get(make_request(str(i))) for i in range(last + 1))


def build_env() -> dict[str, str]:
    import os

    paths = [str(ROOT / part) for part in ("compiler", "runtime")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join([*paths, os.environ.get("PYTHONPATH", "")])}


# --- disks that fail --------------------------------------------------------------------------------------


def test_a_directory_that_is_not_there_is_a_disk_error(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match="cannot be opened"):
        ReplyStore(tmp_path / "absent" / "r.sqlite")


def test_a_file_that_is_no_store_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "r.sqlite").write_bytes(b"nonsense" * 1000)
    with pytest.raises(DiskError, match=r"is damaged .*Move it away"):
        ReplyStore(tmp_path / "r.sqlite")


def test_a_store_of_a_newer_layout_is_refused(tmp_path: Path) -> None:
    ReplyStore(tmp_path / "r.sqlite").close()
    with sqlite3.connect(tmp_path / "r.sqlite") as connection:
        connection.execute("pragma user_version = 99")
    with pytest.raises(DiskError, match="Upgrade exgrpo"):
        ReplyStore(tmp_path / "r.sqlite")


def test_a_full_disk_is_told_and_earlier_replies_stay(tmp_path: Path) -> None:
    store = ReplyStore(tmp_path / "r.sqlite")
    store.put(make_request("a"), Reply("kept"))
    # The page limit makes sqlite itself report a full disk.
    pages = store._connection.execute("pragma page_count").fetchone()[0]
    store._connection.execute(f"pragma max_page_count = {pages}")
    with pytest.raises(DiskError, match=r"the disk is full.*--resume"):
        store.put(make_request("b"), Reply("x" * 100_000))
    assert store.get(make_request("a")) == Reply("kept")
    store.close()


def test_a_store_that_may_only_be_read_is_told(tmp_path: Path) -> None:
    store = ReplyStore(tmp_path / "r.sqlite")
    store._connection.execute("pragma query_only = on")
    with pytest.raises(DiskError, match="read-only"):
        store.put(make_request("a"), Reply("x"))
    store.close()
