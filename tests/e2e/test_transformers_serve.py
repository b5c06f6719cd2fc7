"""A real teacher on this machine: a tiny model behind `transformers serve`, probed as any other endpoint is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

pytest.importorskip("torch", reason="needs the extra `train`")

from exgrpo_artifact.manifest import Model, Sampling
from exgrpo_runtime.teachers.http_teacher import HttpTeacher
from exgrpo_runtime.teachers.local_model import LocalModel
from exgrpo_runtime.teachers.teacher import Message, Reply, Request
from tests.runtime.factory import read_lines
from tests.support.cli import run_exgrpo
from tests.support.sums import write_sums
from tests.support.tiny_teacher import save_trained_teacher
from tests.support.transformers_server import serve_model

PROBE = {"question": "Why add?", "rationale": "Adding counts both.", "answer": "a sum"}
PROMPTS = [
    f"Question: Ann has {a} apples and gets {b} more. How many apples has she?\nSolution: {a} + {b} = {a + b}.\n"
    f'Answer: {a + b}\nRule "{rule}": Ask why a step is right.'
    for a, b in ((10, 2), (13, 3), (40, 9))
    for rule in ("why", "decompose")
]

pytestmark = pytest.mark.train


class Served(NamedTuple):
    """A model, and where it answers."""

    model: Path
    url: str


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    directory = tmp_path_factory.mktemp("served")
    model = save_trained_teacher(directory / "teacher", json.dumps(PROBE), PROMPTS)
    with serve_model(model, directory / "serve.log") as url:
        yield Served(model, url)


def test_a_run_probes_it_as_it_would_any_endpoint(served: Served, tmp_path: Path) -> None:
    spec = write_sums(tmp_path, rows=4)
    spec.write_text(spec.read_text("utf-8").replace('openai("tutor"', f'openai("{served.model}"'), "utf-8")
    options = ["--set", "invert.consistent=off", "--stage", "probe", "-o", "out"]
    env = {"TEACHER_BASE_URL": served.url, "TEACHER_API_KEY": "none-needed"}
    result = run_exgrpo("run", "sums.exg", *options, cwd=tmp_path, env=env)
    assert result.returncode == 0, result.stdout + result.stderr
    stage = tmp_path / "out" / "stages" / "01-probe"
    probes, rejections = read_lines(stage / "probes.jsonl"), read_lines(stage / "rejections.jsonl")
    assert (
        len(probes) + len(rejections) == 8
    )  # 4 rows, 2 rules: every reply is a probe or a counted rejection
    assert [probe["fields"] for probe in probes] == [PROBE] * len(probes)
    summary = json.loads((stage / "done.json").read_text("utf-8"))["summary"]
    assert summary["asked"] == 8
    assert min(summary["tokens"]["prompt"], summary["tokens"]["completion"]) > 0


async def ask_served(model: Model, messages: Sequence[tuple[Message, ...]]) -> list[Reply]:
    teacher = HttpTeacher(model)
    replies = [await teacher.ask(Request(model, each)) for each in messages]
    await teacher.close()
    return replies


def test_the_same_model_loaded_here_says_what_the_server_says(served: Served) -> None:
    greedy = Sampling(temperature=0.0, max_tokens=40)
    remote = Model(name="remote", kind="openai", id=str(served.model), base_url=served.url, sampling=greedy)
    local = Model(name="local", kind="hf", id=str(served.model), sampling=greedy)
    prompts = [PROMPTS[0], "Ann has", "What is 2 + 3?", "42"]
    messages = [({"role": "user", "content": prompt},) for prompt in prompts]
    expected = asyncio.run(ask_served(remote, messages))
    replies = LocalModel(local).answer([Request(local, each) for each in messages], 4)
    assert [reply.text for reply in replies] == [reply.text for reply in expected]
    assert [reply.prompt_tokens for reply in replies] == [reply.prompt_tokens for reply in expected]
