from __future__ import annotations

import math
import os
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

from exgrpo_artifact.manifest import Model
from exgrpo_runtime.teachers.owners import is_dead, name_owner
from exgrpo_runtime.teachers.store import ReplyStore
from exgrpo_runtime.teachers.teacher import Reply, Request
from tests.runtime.test_store import build_env

MODEL = Model(name="tutor", kind="openai", id="big")


def take(
    store: ReplyStore, *keys: str, usd: float = 0.0, room: float = math.inf
) -> tuple[list[str], list[str]]:
    claimed = store.claim("tutor", dict.fromkeys(keys, usd), lambda reserved: room - reserved)
    return claimed.mine, claimed.elsewhere


def test_what_one_store_claims_no_other_gets_until_it_is_released(tmp_path: Path) -> None:
    with ReplyStore(tmp_path / "r") as one, ReplyStore(tmp_path / "r") as two:
        assert take(one, "a", "b") == (["a", "b"], [])
        assert take(two, "b", "c") == (["c"], ["b"])
        one.release(["b"])
        assert take(two, "a", "b") == (["b"], ["a"])


def test_what_was_stored_meanwhile_is_not_claimed(tmp_path: Path) -> None:
    request = Request(MODEL, ({"role": "user", "content": "a"},))
    with ReplyStore(tmp_path / "r") as one, ReplyStore(tmp_path / "r") as two:
        assert take(one, request.key) == ([request.key], [])
        one.put(request, Reply("x"))
        claimed = two.claim("tutor", {request.key: 0.0}, lambda _: math.inf)
        assert claimed.answered == [request.key]


def test_a_budget_holds_over_what_all_have_reserved(tmp_path: Path) -> None:
    with ReplyStore(tmp_path / "r") as one, ReplyStore(tmp_path / "r") as two:
        assert take(one, "a", "b", "c", usd=0.4, room=1.0) == (["a", "b"], [])
        assert take(two, "d", usd=0.4, room=1.0) == ([], [])
        one.release(["a"])
        assert take(two, "d", usd=0.4, room=1.0) == (["d"], [])


def test_the_claims_of_a_process_that_was_killed_are_taken_over(tmp_path: Path) -> None:
    code = """
import math, sys, time
from pathlib import Path
from exgrpo_runtime.teachers.store import ReplyStore
store = ReplyStore(Path(sys.argv[1]))
store.claim("tutor", {"a": 0.0}, lambda _: math.inf)
print("claimed", flush=True)
time.sleep(600)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "r")], stdout=subprocess.PIPE, text=True, env=build_env()
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "claimed\n"
    with ReplyStore(tmp_path / "r") as store:
        assert take(store, "a") == ([], ["a"])
        process.kill()
        process.wait()
        process.stdout.close()
        assert take(store, "a") == (["a"], [])


def test_a_claim_from_another_host_is_taken_over_when_it_expires(tmp_path: Path) -> None:
    with ReplyStore(tmp_path / "r") as store:
        with sqlite3.connect(tmp_path / "r") as connection:
            claims = [("a", time.time() - 1), ("b", time.time() + 60)]
            connection.executemany("insert into claims values (?, 'tutor', 'elsewhere 1 2 3', ?, 0)", claims)
        connection.close()
        assert take(store, "a", "b") == (["a"], ["b"])


def test_renewal_puts_off_the_expiry(tmp_path: Path) -> None:
    with ReplyStore(tmp_path / "r") as one, ReplyStore(tmp_path / "r") as two:
        take(one, "a")
        with sqlite3.connect(tmp_path / "r") as connection:
            connection.execute("update claims set expires = 0")
        connection.close()
        one.renew()
        assert take(two, "a") == ([], ["a"])


def test_an_owner_is_dead_when_its_number_belongs_to_another_process() -> None:
    owner = name_owner()
    host, pid, _, token = owner.split(" ")
    assert not is_dead(owner)
    assert is_dead(f"{host} {pid} 1 {token}")
    assert not is_dead(f"not-{socket.gethostname()} {pid} 1 {token}")
    assert is_dead(f"{host} {_find_free_pid()} 1 {token}")


def _find_free_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert os.getpid() != process.pid
    return process.pid
