"""Asking teachers as a user meets it: failed requests, shared stores, Ctrl-C, full disks, no torch."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("httpx")

from tests.support.cli import build_command, build_environment, run_exgrpo
from tests.support.endpoint import Endpoint, Response, chat, refuse, serve_script
from tests.support.loopback import PROBE, serve_loopback
from tests.support.probe_task import write_probe_task

PROBES = ("--stage", "probe", "--out", "out")


def answer(number: int, body: dict[str, Any]) -> Response:
    return chat(PROBE, prompt_tokens=100, completion_tokens=30)


def run(directory: Path, endpoint: Endpoint, *arguments: object) -> subprocess.CompletedProcess[str]:
    return run_exgrpo(
        "run", "asking.exg", *PROBES, *arguments, cwd=directory, env={"TEACHER_BASE_URL": endpoint.url}
    )


# --- failed requests --------------------------------------------------------------------------------------


def test_failed_requests_make_the_run_partial_until_they_succeed_or_are_allowed(tmp_path: Path) -> None:
    is_broken = [True]

    def script(number: int, body: dict[str, Any]) -> Response:
        if is_broken[0] and "What is 3 plus" in body["messages"][-1]["content"]:
            return refuse(500, "poison")
        return answer(number, body)

    write_probe_task(tmp_path, 8, settings="tries = 2")
    with serve_script(script) as endpoint:
        first = run(tmp_path, endpoint)
        assert first.returncode == 5, first.stdout + first.stderr
        assert "1 teacher request failed for good" in first.stdout
        assert "--resume asks for them again, --allow-partial takes what there is" in first.stdout
        assert json.loads((tmp_path / "out" / "result.json").read_text())["exit_code"] == 5
        assert sum("What is 3 plus" in prompt for prompt in endpoint.prompts) == 2

        allowed = run(tmp_path, endpoint, "--resume", "--allow-partial")
        assert allowed.returncode == 0, allowed.stdout + allowed.stderr
        assert "failed for good" in allowed.stdout
        assert endpoint.num_hits == 9, "a stage that may be partial is kept as it is"

        is_broken[0] = False
        mended = run(tmp_path, endpoint, "--resume")
        assert mended.returncode == 0, mended.stdout + mended.stderr
        assert endpoint.num_hits == 10
    probes = (tmp_path / "out" / "stages" / "01-probe" / "probes.jsonl").read_text().splitlines()
    assert len(probes) == 8


# --- stores -----------------------------------------------------------------------------------------------


def test_a_store_given_to_a_second_run_answers_all_of_it(tmp_path: Path) -> None:
    write_probe_task(tmp_path, 12, settings="price { input = 1usd; output = 10usd }")
    with serve_script(answer) as endpoint:
        assert run(tmp_path, endpoint, "--store", "shared.sqlite").returncode == 0
        hits = endpoint.num_hits
        (tmp_path / "out").rename(tmp_path / "first")
        assert not (tmp_path / "first" / "replies.sqlite").exists()
        assert run(tmp_path, endpoint, "--store", "shared.sqlite").returncode == 0
        assert (hits, endpoint.num_hits) == (12, 12)
    info = run_exgrpo("store", "info", "shared.sqlite", cwd=tmp_path)
    assert info.stdout == "tutor: 12 replies, 1,200 + 360 tokens, 0.0048 usd\n"
    merged = run_exgrpo("store", "merge", "all.sqlite", "shared.sqlite", cwd=tmp_path)
    assert merged.stdout == "12 replies added to all.sqlite, which now holds 12\n"
    exported = run_exgrpo("store", "export", "all.sqlite", "all.parquet", cwd=tmp_path)
    assert exported.stdout == "12 replies written to all.parquet\n"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("run", "asking.exg", "--store", "absent/r.sqlite"), 2, "there is no directory absent"),
        (("run", "asking.exg", "--store", "."), 2, "is a directory"),
        (("run", "asking.exg", "--store", "asking.exg"), 3, "file is not a database"),
        (("store", "info", "absent.sqlite"), 3, "there is no store absent.sqlite"),
        (("store", "info", "rows.jsonl"), 3, "rows.jsonl is damaged"),
        (("store", "merge", "all.sqlite"), 2, "Missing argument"),
        (("store", "merge", "all.sqlite", "absent.sqlite"), 3, "there is no store absent.sqlite"),
        (("store", "export", "absent.sqlite", "x.parquet"), 3, "there is no store absent.sqlite"),
        (("store", "imfo", "x"), 2, "No such command"),
    ],
)
def test_bad_input_is_told(tmp_path: Path, arguments: tuple[str, ...], code: int, words: str) -> None:
    write_probe_task(tmp_path, 3)
    result = run_exgrpo(*arguments, cwd=tmp_path, env={"TEACHER_BASE_URL": "http://127.0.0.1:9/v1"})
    assert result.returncode == code, result.stdout + result.stderr
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "all.sqlite").exists()


# --- without torch ----------------------------------------------------------------------------------------


def test_a_run_that_ends_with_its_probes_imports_no_training_library(tmp_path: Path) -> None:
    write_probe_task(tmp_path, 4)
    planted = tmp_path / "planted"
    for name in ("torch", "transformers", "trl", "peft", "datasets", "accelerate"):
        (planted / name).mkdir(parents=True)
        (planted / name / "__init__.py").write_text(f"raise ImportError('{name} was imported')", "utf-8")
    with serve_script(answer) as endpoint:
        environment = build_environment({"TEACHER_BASE_URL": endpoint.url})
        environment["PYTHONPATH"] = os.pathsep.join([str(planted), environment["PYTHONPATH"]])
        result = subprocess.run(
            build_command("run", "asking.exg", *PROBES),
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert result.returncode == 0, result.stdout + result.stderr


# --- Ctrl-C -----------------------------------------------------------------------------------------------


@contextmanager
def start_asking(directory: Path, url: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        build_command("run", "asking.exg", *PROBES),
        cwd=directory,
        env=build_environment({"TEACHER_BASE_URL": url}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_the_first_ctrl_c_waits_for_what_is_in_flight_and_says_so(tmp_path: Path) -> None:
    write_probe_task(tmp_path, 100, settings="limits { concurrency = 5 }")
    with serve_loopback(latency_s=1.5) as server:
        with start_asking(tmp_path, server.url) as process:
            wait_for(lambda: sum(server.get("/counts")["counts"].values()) == 10)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
            assert process.returncode == 130
        assert "5 requests are in flight and waited for" in err
        assert len(server.get("/counts")["counts"]) == 10
    info = run_exgrpo("store", "info", "out/replies.sqlite", "--format", "json", cwd=tmp_path)
    assert json.loads(info.stdout)["models"][0]["replies"] == 10
    assert json.loads((tmp_path / "out" / "result.json").read_text())["status"] == "interrupted"


def test_the_second_ctrl_c_leaves_at_once(tmp_path: Path) -> None:
    write_probe_task(tmp_path, 100, settings="limits { concurrency = 5 }; timeout = 600s")
    with serve_loopback(latency_s=500.0) as server, start_asking(tmp_path, server.url) as process:
        wait_for(lambda: sum(server.get("/counts")["counts"].values()) == 5)
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        assert process.returncode == 130


def wait_for(condition: Any) -> None:
    while not condition():
        time.sleep(0.05)


# --- a full disk ------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 600 KB."""
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(place)]
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("this system does not allow mounting")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_stops_the_run_and_space_lets_it_go_on(tmp_path: Path, small_disk: Path) -> None:
    write_probe_task(tmp_path, 3000)
    with serve_script(answer) as endpoint:
        full = run(tmp_path, endpoint, "--store", small_disk / "r.sqlite")
        assert full.returncode == 3, full.stdout + full.stderr
        assert "the disk is full" in full.stderr
        assert "--resume" in full.stderr
        hits = endpoint.num_hits
        subprocess.run(["mount", "-o", "remount,size=100m", str(small_disk)], check=True)
        info = run_exgrpo("store", "info", small_disk / "r.sqlite", "--format", "json", cwd=tmp_path)
        stored = json.loads(info.stdout)["models"][0]["replies"]
        assert 0 < hits - stored <= 8
        rest = run(tmp_path, endpoint, "--store", small_disk / "r.sqlite", "--resume")
        assert rest.returncode == 0, rest.stdout + rest.stderr
        assert endpoint.num_hits - hits == 3000 - stored


# --- secrets ----------------------------------------------------------------------------------------------


def test_a_key_is_in_no_file_and_no_output_whatever_the_endpoint_says(tmp_path: Path) -> None:
    key = "sk-planted-77ab77ab"

    def script(number: int, body: dict[str, Any]) -> Response:
        return refuse(400, f"bad key {key}") if number == 2 else answer(number, body)

    spec = write_probe_task(tmp_path, 6, settings="tries = 1")
    text = spec.read_text("utf-8").replace(
        '("TEACHER_BASE_URL"))', '("TEACHER_BASE_URL"), api_key: env("TEACHER_API_KEY"))'
    )
    spec.write_text(text, "utf-8")
    with serve_script(script) as endpoint:
        url = endpoint.url.replace("http://", "http://me:hidden-word@")
        result = run_exgrpo(
            "run", "asking.exg", *PROBES, cwd=tmp_path, env={"TEACHER_BASE_URL": url, "TEACHER_API_KEY": key}
        )
        assert result.returncode == 5, result.stdout + result.stderr
        assert endpoint.headers[0]["Authorization"] == f"Bearer {key}"
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for secret in (key, "hidden-word"):
        assert secret not in result.stdout + result.stderr
        assert secret.encode() not in written
