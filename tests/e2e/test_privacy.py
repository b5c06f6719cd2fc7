"""An API key is read from the environment and is nowhere else: in no file of a run, on no stream, however the run ends."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.cli import call_exgrpo, run_exgrpo, start_exgrpo
from tests.support.endpoint import Endpoint, Response, chat, serve_script
from tests.support.sums import answer_sums, write_sums

pytestmark = pytest.mark.train

KEY = "sk-planted-0c4f7d2a9b"
ROWS = 4
Answer = Callable[[int, str], Response]
"""Number of the request and its prompt -> the response."""


def echo(status: int, **headers: str) -> Response:
    """An error that says back every header that it was sent, as a careless proxy does."""
    sent = {"Authorization": f"Bearer {KEY}", "api-key": KEY}
    body = {
        "error": {
            "message": f"denied; request headers were {sent}",
            "headers": sent,
            "key": f"?api_key={KEY}",
        }
    }
    return Response(json.dumps(body).encode(), status, {**headers, "X-Echo": KEY})


def answer_well(number: int, prompt: str) -> Response:
    """Too many requests and a broken server at first, then right answers."""
    if number == 1:
        return echo(429, **{"Retry-After": "0"})
    return echo(503) if number == 2 else chat(answer_sums(prompt), prompt_tokens=9, completion_tokens=3)


def refuse_one(number: int, prompt: str) -> Response:
    """One request is refused for good."""
    return echo(400) if "has 13 apples" in prompt and '"why"' in prompt else answer_well(number + 2, prompt)


def answer_slowly(number: int, prompt: str) -> Response:
    return Response(answer_well(number + 2, prompt).body, delay_s=0.5)


def start(path: Path, endpoint: Endpoint, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    """A run up to its probes in a home, and with a directory for temporary files, of its own."""
    write_sums(path, rows=ROWS)
    places = {name: str(path / name.lower()) for name in ("HOME", "TMPDIR")}
    for place in places.values():
        Path(place).mkdir()
    keys = {"TEACHER_BASE_URL": endpoint.url, "TEACHER_API_KEY": KEY}
    command = ("run", "sums.exg", "--stage", "probe", "--out", "out", *arguments)
    return start_exgrpo(*command, cwd=path, env={**places, **keys, **variables})


def assert_kept(path: Path, endpoint: Endpoint, output: str) -> None:
    """The endpoint was sent the key, and nothing else has it."""
    assert endpoint.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert KEY not in output
    files = [file for file in path.rglob("*") if file.is_file()]
    assert (path / "out/run.json") in files
    assert [file for file in files if KEY.encode() in file.read_bytes()] == []


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        (answer_well, 0, "8 probes kept for 4 of 4 rows"),
        (refuse_one, 5, "1 teacher request failed for good"),
        (lambda _number, _prompt: echo(401), 3, "401"),
        (lambda _number, _prompt: echo(404), 3, "404"),
        (lambda _number, _prompt: echo(400), 4, "no probe survived"),
        (lambda _number, _prompt: echo(500), 4, "no probe survived"),
        (lambda _number, _prompt: echo(302, Location=f"http://elsewhere.invalid/?key={KEY}"), 3, "redirect"),
        (lambda _number, _prompt: Response(f"<html>{KEY}</html>".encode()), 3, ""),
    ],
    ids=["success", "partial", "unauthorised", "absent", "refused", "broken", "redirected", "no JSON"],
)
@pytest.mark.parametrize("debug", ["", "1"])
def test_no_file_and_no_stream_has_the_key(
    tmp_path: Path, answer: Answer, code: int, words: str, debug: str
) -> None:
    with serve_script(lambda number, body: answer(number, body["messages"][-1]["content"])) as endpoint:
        process = start(tmp_path, endpoint, "--set", "tutor.tries=2", EXGRPO_DEBUG=debug)
        output, _ = process.communicate(timeout=120)
    assert process.returncode == code, output
    assert words in output
    assert_kept(tmp_path, endpoint, output)


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_leaves_no_key_behind(tmp_path: Path, times: int) -> None:
    with serve_script(
        lambda number, body: answer_slowly(number, body["messages"][-1]["content"])
    ) as endpoint:
        process = start(tmp_path, endpoint)
        deadline = time.monotonic() + 60
        while endpoint.num_hits < 1 and time.monotonic() < deadline:
            time.sleep(0.01)
        for _ in range(times):
            process.send_signal(signal.SIGINT)
            time.sleep(0.15)
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 130, output
    assert_kept(tmp_path, endpoint, output)


def test_a_resumed_run_leaves_no_key_behind(tmp_path: Path) -> None:
    with serve_script(lambda number, body: refuse_one(number, body["messages"][-1]["content"])) as endpoint:
        first, _ = start(tmp_path, endpoint).communicate(timeout=120)
        keys = {"TEACHER_BASE_URL": endpoint.url, "TEACHER_API_KEY": KEY}
        command = ("run", "sums.exg", "--stage", "probe", "--out", "out", "--resume", "--allow-partial")
        result = run_exgrpo(*command, cwd=tmp_path, env=keys)
    assert result.returncode == 0, result.stderr
    assert_kept(tmp_path, endpoint, first + result.stdout + result.stderr)


# --- specs ------------------------------------------------------------------------------------------------

URL = "https://me:hunter2secret@teacher.example/v1"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('env("TEACHER_BASE_URL")', f'"{URL}"'),
        ('jsonl(train: "train.jsonl"', f'jsonl(train: "{URL}"'),
        ("Sums of two numbers.\ndataset", f'Sums of two numbers.\nconst place = "{URL}"\ndataset'),
    ],
    ids=["base_url", "source", "const"],
)
@pytest.mark.parametrize("command", ["check", "compile", "run"])
def test_a_url_with_credentials_is_refused_in_a_spec(
    tmp_path: Path, old: str, new: str, command: str
) -> None:
    spec = write_sums(tmp_path)
    spec.write_text(spec.read_text().replace(old, new))
    called = call_exgrpo(command, "sums.exg", cwd=tmp_path)
    assert (called.code, "secret-in-spec" in called.out + called.err) == (1, True), called.out + called.err
    assert not (tmp_path / "build").exists()
    assert not (tmp_path / "runs").exists()


def test_neither_is_one_given_by_an_override(tmp_path: Path) -> None:
    write_sums(tmp_path)
    called = call_exgrpo("compile", "sums.exg", "--set", f'tutor.base_url="{URL}"', cwd=tmp_path)
    assert called.code == 1
    assert "secret-in-spec" in called.out + called.err
    assert not (tmp_path / "build").exists()


def test_a_key_in_a_spec_is_refused(tmp_path: Path) -> None:
    spec = write_sums(tmp_path)
    spec.write_text(
        spec.read_text().replace('env("TEACHER_API_KEY")', '"sk-proj-0123456789abcdefghij0123456789"')
    )
    called = call_exgrpo("compile", "sums.exg", cwd=tmp_path)
    assert called.code == 1
    assert re.search("secret-in-spec|type-mismatch|invalid-value", called.out + called.err)
    assert not (tmp_path / "build").exists()
