"""`kill -9` at random moments: every stored reply is kept, and at most what was in flight is asked again."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.support.cli import build_command, build_environment, run_exgrpo
from tests.support.loopback import Loopback, serve_loopback
from tests.support.probe_task import write_probe_task

CONCURRENCY = 8


def read_stored(store: Path) -> dict[str, str]:
    """Prompt -> reply, of what the store holds."""
    if not store.is_file():
        return {}
    connection = sqlite3.connect(f"file:{store}?mode=ro", uri=True, timeout=30)
    try:
        rows = connection.execute("select request, text from replies").fetchall()
    except sqlite3.OperationalError:  # killed before it had made the tables
        return {}
    finally:
        connection.close()
    return {json.loads(request)["messages"][-1]["content"]: text for request, text in rows}


def run_and_kill(spec: Path, server: Loopback, delay_s: float) -> bool:
    """Starts a run and kills it after so long; whether it was still running."""
    process = subprocess.Popen(
        build_command("run", spec, "--out", "out", "--stage", "probe", "--resume"),
        cwd=spec.parent,
        env=build_environment({"TEACHER_BASE_URL": server.url}),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        process.wait(timeout=delay_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True
    return False


def kill_often(directory: Path, *, kills: int, num_rows: int, latency_s: float) -> None:
    generator = random.Random(20)
    spec = write_probe_task(directory, num_rows, settings=f"limits {{ concurrency = {CONCURRENCY} }}")
    store = directory / "out" / "replies.sqlite"
    stored: dict[str, str] = {}
    asked: Counter[str] = Counter()
    runs = hits = 0
    with serve_loopback(latency_s=latency_s) as server:
        while hits < kills:
            before = len(stored)
            runs += 1
            # From the start of the process on; half of them well into the asking.
            was_running = run_and_kill(spec, server, generator.uniform(0.2, 4.0))
            now = Counter(server.get("/counts")["counts"])
            arrived = now - asked
            assert not arrived.keys() & stored.keys(), "what is stored was asked again"
            assert all(times == 1 for times in arrived.values())
            asked = now
            kept = read_stored(store)
            assert kept.items() >= stored.items(), "a stored reply was lost"
            assert len(arrived.keys() - kept.keys()) <= CONCURRENCY, "more was lost than was in flight"
            stored = kept
            hits += was_running and len(stored) > before
            assert was_running, "the run ended before it was killed often enough: more rows are needed"
        server.get("/latency/0")
        end = run_exgrpo(
            "run",
            spec,
            "--out",
            "out",
            "--stage",
            "probe",
            "--resume",
            cwd=directory,
            env={"TEACHER_BASE_URL": server.url},
        )
        assert end.returncode == 0, end.stdout + end.stderr
        counts = server.get("/counts")["counts"]
    assert len(counts) == num_rows == len(read_stored(store))
    assert sum(counts.values()) - num_rows <= runs * CONCURRENCY


def test_two_kills_lose_at_most_what_is_in_flight(tmp_path: Path) -> None:
    kill_often(tmp_path, kills=2, num_rows=1_500, latency_s=0.1)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_fifty_kills_lose_at_most_what_is_in_flight(tmp_path: Path) -> None:
    kill_often(tmp_path, kills=50, num_rows=11_000, latency_s=0.1)


def test_two_processes_with_one_store_ask_for_nothing_twice(tmp_path: Path) -> None:
    spec = write_probe_task(tmp_path, 300)
    with serve_loopback(latency_s=0.05) as server:
        processes = [
            subprocess.Popen(
                build_command("run", spec, "--out", out, "--stage", "probe", "--store", "shared.sqlite"),
                cwd=tmp_path,
                env=build_environment({"TEACHER_BASE_URL": server.url}),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for out in ("one", "two")
        ]
        outputs = [process.communicate(timeout=120)[0] for process in processes]
        assert [process.returncode for process in processes] == [0, 0], outputs
        counts = server.get("/counts")["counts"]
    assert len(counts) == 300
    assert set(counts.values()) == {1}
    asked = [
        json.loads((tmp_path / out / "stages" / "01-probe" / "done.json").read_text())["summary"]["asked"]
        for out in ("one", "two")
    ]
    assert sum(asked) == 300
    assert all(asked), "one of them did all the work"


def test_a_process_that_is_killed_leaves_its_claims_to_the_other(tmp_path: Path) -> None:
    spec = write_probe_task(tmp_path, 200)
    with serve_loopback(latency_s=30.0) as server:
        first = subprocess.Popen(
            build_command("run", spec, "--out", "one", "--stage", "probe", "--store", "shared.sqlite"),
            cwd=tmp_path,
            env=build_environment({"TEACHER_BASE_URL": server.url}),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while sum(server.get("/counts")["counts"].values()) < CONCURRENCY:
            time.sleep(0.05)
        first.kill()
        first.wait()
        server.get("/latency/0")
        second = run_exgrpo(
            "run",
            spec,
            "--out",
            "two",
            "--stage",
            "probe",
            "--store",
            "shared.sqlite",
            cwd=tmp_path,
            env={"TEACHER_BASE_URL": server.url},
        )
        assert second.returncode == 0, second.stdout + second.stderr
        counts = server.get("/counts")["counts"]
    assert sum(counts.values()) == 200 + CONCURRENCY
