"""`exgrpo run --engine ray` on clusters of this machine: the results and the guarantees of a run without Ray."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray", reason="needs the extra `ray`: pip install 'exgrpo[ray]'")

from tests.support.cli import build_environment, call_exgrpo, run_exgrpo, start_exgrpo
from tests.support.endpoint import Response, chat, refuse, serve_script
from tests.support.openai_server import TeacherServer, serve_teacher
from tests.support.sums import answer_sums, write_sums

pytestmark = [pytest.mark.train, pytest.mark.slow]

ROWS = 6
TWO_WORKERS = """
import json, logging, os, sys
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
import ray
ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
"""
TWO_NODES = """
import json, logging, os, sys
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
import ray
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
cluster.add_node(num_cpus=1)
ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR)
"""
RUN = """
import sys
from exgrpo_dsl.cli.app import run_command
code = run_command(sys.argv[1:])
if "cluster" in globals():
    ray.shutdown()
    cluster.shutdown()
sys.exit(code)
"""


def run_on(
    cluster: str, *arguments: str, cwd: Path, server: TeacherServer, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Runs the probe stage with `--engine ray` on a cluster that the program starts first."""
    return subprocess.run(
        [
            sys.executable,
            "-c",
            cluster + RUN,
            "run",
            "sums.exg",
            "--stage",
            "probe",
            "--engine",
            "ray",
            *arguments,
        ],
        cwd=cwd,
        env=build_environment({**server.env, **variables}),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def read_engine(run_dir: Path) -> Any:
    return json.loads((run_dir / "stages/01-probe/done.json").read_text())["summary"]["engine"]


def find_files_with(text: str, *directories: Path) -> list[Path]:
    files = [path for directory in directories for path in directory.rglob("*") if path.is_file()]
    return [path for path in files if text.encode() in path.read_bytes()]


def list_keys(store: Path) -> set[str]:
    with closing(sqlite3.connect(store)) as connection:
        return {key for (key,) in connection.execute("select key from replies")}


@pytest.mark.parametrize(("cluster", "nodes"), [(TWO_WORKERS, 1), (TWO_NODES, 2)])
def test_results_are_those_of_a_run_without_ray(tmp_path: Path, cluster: str, nodes: int) -> None:
    write_sums(tmp_path, rows=ROWS)
    plain = ("run", "sums.exg", "--stage", "probe", "--out", "plain")
    with serve_teacher(answer_sums) as server:
        assert run_exgrpo(*plain, cwd=tmp_path, env=server.env).returncode == 0
        before = len(server.prompts)
        result = run_on(cluster, "--out", "out", cwd=tmp_path, server=server)
        asked = Counter(server.prompts[before:])
        again = run_on(
            cluster, "--out", "again", "--store", "out/replies.sqlite", cwd=tmp_path, server=server
        )
        total = len(server.prompts)
    assert result.returncode == 0, result.stdout + result.stderr
    assert again.returncode == 0, again.stdout + again.stderr
    assert set(asked.values()) == {1}
    assert (len(asked), total) == (24, before + 24)
    for name in ("probes.jsonl", "rejections.jsonl", "dataset/data/train.jsonl"):
        expected = (tmp_path / "plain/stages/01-probe" / name).read_bytes()
        for run in ("out", "again"):
            assert (tmp_path / run / "stages/01-probe" / name).read_bytes() == expected
    assert list_keys(tmp_path / "out/replies.sqlite") == list_keys(tmp_path / "plain/replies.sqlite")
    engine = read_engine(tmp_path / "out")
    assert engine == {
        "name": "ray",
        "workers": 2,
        "nodes": nodes,
        "requests": 24,
        "failures": 0,
        "errors": [],
    }
    assert read_engine(tmp_path / "again")["requests"] == 0
    assert not (tmp_path / "out/workers").exists()


KILLED = (
    TWO_WORKERS
    + """
import signal, threading, time
from pathlib import Path
def kill():
    while not Path("kill.now").exists():
        time.sleep(0.02)
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes()
            parent = (path.parent / "status").read_text()
        except OSError:
            continue
        if words.startswith(b"ray::MapWorker") and session in (path.parent / "environ").read_bytes():
            os.kill(int(path.parent.name), signal.SIGKILL)
            Path("killed").write_text(words.decode())
            return
session = os.environ["RAY_TEST_MARK"].encode()
threading.Thread(target=kill, daemon=True).start()
"""
)


def test_neither_the_run_nor_the_logs_of_ray_have_the_key(tmp_path: Path) -> None:
    write_sums(tmp_path, rows=2)
    with (
        tempfile.TemporaryDirectory(prefix="ray") as logs,  # short, as the paths of its sockets must be
        serve_teacher(answer_sums) as server,
    ):
        result = run_on(TWO_WORKERS, "--out", "out", cwd=tmp_path, server=server, RAY_TMPDIR=logs)
        assert result.returncode == 0, result.stdout + result.stderr
        assert any(Path(logs).rglob("*.log"))
        key = server.env["TEACHER_API_KEY"]
        assert server.headers[0]["Authorization"] == f"Bearer {key}"
        assert key not in result.stdout + result.stderr
        assert find_files_with(key, tmp_path, Path(logs)) == []


def test_a_worker_that_is_killed_loses_nothing_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_TEST_MARK", f"mark-{tmp_path.name}-{os.getpid()}")
    write_sums(tmp_path, rows=ROWS)

    def slow(number: int) -> None:
        time.sleep(0.2)
        if number == 9:
            (tmp_path / "kill.now").touch()

    with serve_teacher(answer_sums, before=slow) as server:
        result = run_on(
            KILLED, "--out", "out", "--set", "tutor.limits.concurrency=2", cwd=tmp_path, server=server
        )
        asked = Counter(server.prompts)
    assert result.returncode == 0, result.stdout + result.stderr
    assert (tmp_path / "killed").is_file()
    assert len(asked) == 24
    # Each of the two workers has one request in flight, which is all that a kill can cost.
    assert sum(asked.values()) <= 25
    assert len(list_keys(tmp_path / "out/replies.sqlite")) == 24


def test_what_fails_for_good_is_sent_no_oftener_than_without_ray(tmp_path: Path) -> None:
    write_sums(tmp_path, rows=ROWS)

    def script(_: int, body: dict[str, Any]) -> Response:
        prompt = body["messages"][-1]["content"]
        is_bad = 'Rule "why"' in prompt and "has 13 apples" in prompt
        return refuse(400, "this one never") if is_bad else chat(answer_sums(prompt))

    with serve_script(script) as endpoint:
        server = TeacherServer(endpoint.url)
        result = run_on(TWO_WORKERS, "--out", "out", cwd=tmp_path, server=server)
        asked = Counter(endpoint.prompts)
    assert result.returncode == 5, result.stdout + result.stderr
    assert "1 teacher request failed for good" in result.stdout
    assert set(asked.values()) == {1}
    assert len(asked) == 23  # twelve probes, and a check of each of the eleven that there are
    rejected = (tmp_path / "out/stages/01-probe/rejections.jsonl").read_text()
    assert '"reason": "teacher-failed"' in rejected
    assert "this one never" in rejected


def test_a_stopped_run_leaves_what_its_workers_stored_for_the_next(tmp_path: Path) -> None:
    write_sums(tmp_path, rows=ROWS)
    with serve_teacher(answer_sums) as server:
        plain = run_exgrpo(
            "run", "sums.exg", "--stage", "probe", "--out", "plain", cwd=tmp_path, env=server.env
        )
        assert plain.returncode == 0
        (tmp_path / "out/workers").mkdir(parents=True)
        (tmp_path / "out/run.json").write_text('{"task": "sums_exgrpo"}')
        (tmp_path / "plain/replies.sqlite").rename(tmp_path / "out/workers/0a1b.sqlite")
        before = len(server.prompts)
        result = run_on(TWO_WORKERS, "--out", "out", "--resume", cwd=tmp_path, server=server)
        asked = len(server.prompts) - before
    assert result.returncode == 0, result.stdout + result.stderr
    assert asked == 0


def test_ctrl_c_keeps_what_the_workers_have_stored(tmp_path: Path) -> None:
    write_sums(tmp_path, rows=ROWS)
    command = ("run", "sums.exg", "--stage", "probe", "--out", "out", "--engine", "ray")
    with serve_teacher(answer_sums, before=lambda _: time.sleep(0.3)) as server:
        process = start_exgrpo(*command, "--set", "tutor.limits.concurrency=1", cwd=tmp_path, env=server.env)
        deadline = time.monotonic() + 120
        while len(server.prompts) < 6 and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
        before = len(server.prompts)
        stored = len(list_keys(tmp_path / "out/replies.sqlite"))
        again = run_exgrpo(*command, "--resume", cwd=tmp_path, env=server.env)
        asked = len(server.prompts) - before
    assert process.returncode == 130, output
    assert "Traceback" not in output
    assert stored >= before - 1  # one request was in flight
    assert again.returncode == 0, again.stdout + again.stderr
    assert asked == 24 - stored
    assert not (tmp_path / "out/workers").exists()


@pytest.mark.parametrize(
    ("stage", "teacher", "words"),
    [
        ("data", None, "--engine ray: stage `data` is the last, and sends no requests"),
        ("probe", 'hf("weights")', "--engine ray: teacher `tutor` is weights in this process"),
    ],
)
def test_what_a_cluster_cannot_do_is_a_usage_error(
    tmp_path: Path, stage: str, teacher: str | None, words: str
) -> None:
    spec = write_sums(tmp_path)
    if teacher is not None:
        text = spec.read_text()
        begin, end = text.index('openai("tutor"'), text.index(" {\n  temperature")
        spec.write_text(text[:begin] + teacher + text[end:])
    called = call_exgrpo("run", "sums.exg", "--stage", stage, "--out", "out", "--engine", "ray", cwd=tmp_path)
    assert called.code == 2, called.out + called.err
    assert words in re.sub(r"\s+", " ", called.err)
    assert not (tmp_path / "out").exists()


def test_without_ray_the_command_that_installs_it_is_told(tmp_path: Path) -> None:
    write_sums(tmp_path)
    with serve_teacher(answer_sums) as server:
        result = run_on(
            "import sys\nsys.modules['ray'] = None\n", "--out", "out", cwd=tmp_path, server=server
        )
        asked = len(server.prompts)
    assert result.returncode == 3
    assert "`--engine ray` needs the extra `ray`: pip install 'exgrpo[ray]'" in result.stderr
    assert asked == 0
