"""`hf(…)` as a teacher: what is asked at once is answered in batches, by transformers or by vLLM."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the extra `train`")

from exgrpo_artifact.errors import ModelError
from exgrpo_artifact.manifest import Model, Sampling
from exgrpo_runtime.teachers import local_teacher
from exgrpo_runtime.teachers.asking import Asker
from exgrpo_runtime.teachers.local_model import LocalModel
from exgrpo_runtime.teachers.local_teacher import BATCH, LocalTeacher
from exgrpo_runtime.teachers.store import ReplyStore
from exgrpo_runtime.teachers.teacher import Reply, Request, open_teacher
from exgrpo_runtime.teachers.vllm_model import VllmModel
from tests.runtime.factory import read_lines
from tests.support import vllm_stand_in
from tests.support.cli import call_exgrpo, run_exgrpo
from tests.support.sums import write_sums
from tests.support.tiny_teacher import save_random_teacher, save_trained_teacher

pytestmark = pytest.mark.train

GREEDY = Sampling(temperature=0.0, max_tokens=8)
PROBE = {"question": "Why add?", "rationale": "Adding counts both.", "answer": "a sum"}


def declare(folder: Path | str, sampling: Sampling = GREEDY) -> Model:
    return Model(name="tutor", kind="hf", id=str(folder), dtype="float32", sampling=sampling)


def make_requests(model: Model, count: int) -> list[Request]:
    return [Request(model, ({"role": "user", "content": f"What is {n} + 2?"},)) for n in range(count)]


class Echo:
    """An engine that repeats the prompt and remembers its batches; `wait` is called before each answer."""

    def __init__(self, wait: Callable[[], object] = lambda: None) -> None:
        self.batches: list[int] = []
        self._wait = wait

    def answer(self, requests: Sequence[Request], batch_size: int) -> list[Reply]:
        self.batches.append(len(requests))
        self._wait()
        return [Reply(request.messages[0]["content"]) for request in requests]


def open_with(engine: Echo, monkeypatch: pytest.MonkeyPatch) -> LocalTeacher:
    monkeypatch.setattr(local_teacher, "_open_engine", lambda *_, **__: engine)
    return LocalTeacher(declare("nowhere"))


def test_what_is_asked_at_once_is_one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Echo()
    teacher = open_with(engine, monkeypatch)
    requests = make_requests(declare("nowhere"), BATCH + 3)

    async def ask_all() -> list[Reply]:
        return await asyncio.gather(*(teacher.ask(request) for request in requests))

    replies = asyncio.run(ask_all())
    assert [reply.text for reply in replies] == [request.messages[0]["content"] for request in requests]
    assert engine.batches == [BATCH, 3]


def test_stopping_finishes_the_batch_and_asks_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        may_end.wait(30)

    engine = Echo(wait)
    teacher = open_with(engine, monkeypatch)
    requests = make_requests(declare("nowhere"), BATCH + 2)

    async def ask_and_stop() -> list[Reply]:
        tasks = [asyncio.create_task(teacher.ask(request)) for request in requests]
        await asyncio.to_thread(begun.wait, 30)
        teacher.stop()
        may_end.set()
        replies = await asyncio.gather(*tasks)
        return [*replies, await teacher.ask(requests[0])]

    replies = asyncio.run(ask_and_stop())
    assert engine.batches == [BATCH]
    assert [reply.is_unsent for reply in replies] == [False] * BATCH + [True] * 3


def test_replies_are_stored_with_their_tokens_and_weights_are_loaded_only_where_something_is_asked(
    tmp_path: Path,
) -> None:
    folder = save_random_teacher(tmp_path / "teacher")
    model = declare(folder)
    requests = make_requests(model, 5)
    with ReplyStore(tmp_path / "replies.sqlite") as store:
        asker = Asker(store)
        replies = asker.ask_all(requests)
    assert replies == LocalModel(model).answer(requests, 5)
    assert asker.tally.asked == 5
    assert asker.tally.prompt_tokens == sum(reply.prompt_tokens or 0 for reply in replies)
    folder.rename(tmp_path / "moved")
    with ReplyStore(tmp_path / "replies.sqlite") as store:
        assert [reply.text for reply in Asker(store).ask_all(requests)] == [reply.text for reply in replies]


def test_weights_that_cannot_be_loaded_stop_the_stage(tmp_path: Path) -> None:
    model = declare(tmp_path / "nowhere")
    with (
        ReplyStore(tmp_path / "replies.sqlite") as store,
        pytest.raises(ModelError, match="Model `tutor` cannot be loaded"),
    ):
        Asker(store).ask_all(make_requests(model, 3))


def test_a_run_is_probed_by_a_model_on_this_machine(tmp_path: Path) -> None:
    prompts = [
        f'Question: Ann has {a} apples and gets 2 more.\nSolution: {a} + 2\nAnswer: {a + 2}\nRule "{rule}": Ask.'
        for a in (10, 13, 40)
        for rule in ("why", "decompose")
    ]
    save_trained_teacher(tmp_path / "teacher", json.dumps(PROBE), prompts)
    spec = write_sums(tmp_path, rows=4)
    text = spec.read_text("utf-8")
    start, end = text.index('openai("tutor"'), text.index(" {\n  temperature")
    spec.write_text(text[:start] + 'hf("teacher")' + text[end:], "utf-8")
    plan = call_exgrpo("plan", "sums.exg", "--format", "json", cwd=tmp_path)
    assert json.loads(plan.out)["usd"] == {"low": 0, "expected": 0, "worst": 0}
    assert "prompts counted with teacher (8 of 8" in json.loads(plan.out)["measured"]["probe"]
    options = ["--set", "invert.consistent=off", "--stage", "probe", "-o", "out"]
    result = run_exgrpo("run", "sums.exg", *options, cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    stage = tmp_path / "out" / "stages" / "01-probe"
    probes, rejections = read_lines(stage / "probes.jsonl"), read_lines(stage / "rejections.jsonl")
    assert len(probes) + len(rejections) == 8
    assert [probe["fields"] for probe in probes] == [PROBE] * len(probes)


# --- vLLM ---------------------------------------------------------------------------------------------------


def test_vllm_gets_the_messages_the_sampling_and_a_seed_for_each_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = vllm_stand_in.install(monkeypatch)
    model = Model(name="tutor", kind="hf", id="org/model", revision="abc", dtype="bfloat16", sampling=GREEDY)
    requests = [*make_requests(model, 2), Request(model, ({"role": "user", "content": ""},), Sampling())]
    replies = VllmModel(model).answer(requests, 16)
    assert engine.loaded == {"model": "org/model", "revision": "abc", "dtype": "bfloat16"}
    assert engine.batches == [3]
    assert [(one.temperature, one.top_p, one.max_tokens) for one in engine.params] == [
        (0.0, 0.95, 8),
        (0.0, 0.95, 8),
        (0.6, 0.95, 1024),
    ]
    assert [one.seed for one in engine.params] == [int(request.key[:12], 16) for request in requests]
    assert replies[0] == Reply("What is 0 + 2?", prompt_tokens=15, completion_tokens=14)
    assert replies[2].error == "the model answered with an empty message"


def test_a_prompt_that_vllm_refuses_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = vllm_stand_in.install(monkeypatch)
    model = declare("org/model")
    requests = [*make_requests(model, 2), Request(model, ({"role": "user", "content": "x" * 200},))]
    replies = VllmModel(model).answer(requests, 16)
    assert engine.batches == [3, 1, 1, 1]
    assert [reply.text for reply in replies] == ["What is 0 + 2?", "What is 1 + 2?", None]
    assert replies[2].error == "vLLM refuses the request: the prompt is longer than the maximum model length"


def test_what_vllm_cannot_load_or_ask_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = vllm_stand_in.install(monkeypatch)
    with pytest.raises(ModelError, match="Model `tutor` cannot be loaded by vLLM: no such model"):
        VllmModel(declare("missing"))
    engine.chat_template = None
    with pytest.raises(ModelError, match="has no chat template"):
        VllmModel(declare("org/model"))


@pytest.mark.parametrize("is_on_gpu", [True, False])
def test_vllm_is_taken_on_a_gpu_where_it_is_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, is_on_gpu: bool
) -> None:
    vllm_stand_in.install(monkeypatch)
    model = declare(save_random_teacher(tmp_path / "teacher"))
    engine = local_teacher._open_engine(model, is_on_gpu=is_on_gpu)
    assert isinstance(engine, VllmModel if is_on_gpu else LocalModel)


def test_models_that_answer_nothing_are_told() -> None:
    from exgrpo_artifact.errors import TeacherError

    with pytest.raises(TeacherError, match="is scratch"):
        open_teacher(Model(name="tiny", kind="scratch"))
