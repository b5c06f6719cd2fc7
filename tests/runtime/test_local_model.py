"""Requests answered by a model on this machine: the same text whatever else is asked beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the extra `train`")

import torch

from exgrpo_artifact.errors import ModelError
from exgrpo_artifact.manifest import Model, Sampling
from exgrpo_runtime.teachers import local_model
from exgrpo_runtime.teachers.local_model import LocalModel
from exgrpo_runtime.teachers.teacher import Request
from tests.support.tiny_teacher import save_random_teacher

pytestmark = pytest.mark.train

GREEDY = Sampling(temperature=0.0, max_tokens=12)
DRAWN = Sampling(temperature=1.0, top_p=0.9, max_tokens=12)
QUESTIONS = ["Tom has 3 apples.", "What is 2 + 2?", "Ana buys 7 more apples. How many has she?", "Why?"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_random_teacher(tmp_path_factory.mktemp("model") / "teacher")


def declare(folder: Path, sampling: Sampling = GREEDY) -> Model:
    return Model(name="tutor", kind="hf", id=str(folder), dtype="float32", sampling=sampling)


def make_requests(model: Model, texts: Sequence[str] = QUESTIONS, **changes: Any) -> list[Request]:
    return [Request(model, ({"role": "user", "content": text},), **changes) for text in texts]


def test_greedy_replies_in_a_batch_are_those_of_generate_alone(folder: Path) -> None:
    model = declare(folder)
    local = LocalModel(model)
    replies = local.answer(make_requests(model), batch_size=4)
    for text, reply in zip(QUESTIONS, replies, strict=True):
        ids = torch.tensor([local.encode([{"role": "user", "content": text}])])
        alone = local.model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False
        )[0, ids.shape[1] :]
        assert reply.text == local.tokenizer.decode(alone, skip_special_tokens=True)
        assert (reply.prompt_tokens, reply.completion_tokens) == (ids.shape[1], len(alone))


def test_a_drawn_reply_is_the_same_again_and_alone_and_another_for_another_sample(folder: Path) -> None:
    model = declare(folder, DRAWN)
    requests = make_requests(model)
    first = [reply.text for reply in LocalModel(model).answer(requests, 4)]
    local = LocalModel(model)
    assert [local.answer([request], 1)[0].text for request in requests] == first
    others = [reply.text for reply in local.answer(make_requests(model, sample=1), 4)]
    assert others != first


def test_what_the_spec_leaves_open_the_model_decides(folder: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    for file in folder.iterdir():
        (own / file.name).write_bytes(file.read_bytes())
    config = json.loads((own / "generation_config.json").read_text("utf-8"))
    config |= {"do_sample": True, "temperature": 1.0, "top_p": 0.9, "max_new_tokens": 12}
    (own / "generation_config.json").write_text(json.dumps(config), "utf-8")
    model = declare(own, Sampling())
    drawn = LocalModel(model)
    samples = [drawn.answer(make_requests(model, sample=number), 4) for number in (0, 1)]
    assert samples[0] != samples[1]
    assert max(reply.completion_tokens or 0 for reply in samples[0]) == 12
    plain = LocalModel(declare(folder, Sampling()))  # its file says nothing, so the likeliest token is taken
    open_ended = make_requests(declare(folder), sampling=Sampling(max_tokens=12))
    assert plain.answer(open_ended, 4) == plain.answer(make_requests(declare(folder)), 4)


def test_requests_of_different_sampling_go_together_and_keep_their_order(folder: Path) -> None:
    model = declare(folder)
    short = Sampling(temperature=0.0, max_tokens=3)
    mixed = [
        request
        for pair in zip(make_requests(model), make_requests(model, sampling=short), strict=True)
        for request in pair
    ]
    replies = LocalModel(model).answer(mixed, 8)
    assert [reply.completion_tokens for reply in replies[1::2]] == [3] * 4
    whole = LocalModel(model).answer(make_requests(model), 4)
    assert replies[0::2] == whole


def test_a_prompt_that_fills_the_context_fails_alone(folder: Path) -> None:
    model = declare(folder)
    replies = LocalModel(model).answer(make_requests(model, ["Why?", "apples " * 300]), 2)
    assert replies[0].text is not None
    assert replies[1].text is None
    assert "fill the model's context of 256" in (replies[1].error or "")


def test_a_template_that_refuses_the_messages_fails_the_request(folder: Path) -> None:
    model = declare(folder)
    local = LocalModel(model)
    local.tokenizer.chat_template = "{{ raise_exception('no system role') }}"
    (reply,) = local.answer(make_requests(model, ["Why?"]), 1)
    assert reply.error == "its chat template refuses the messages: no system role"


def test_the_revision_that_the_spec_names_is_loaded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[tuple[str, str | None]] = []
    load = local_model.load_weights

    def note(source: str, model: Model, revision: str | None, dtype: Any) -> Any:
        loaded.append((source, revision))
        return load(source, model, revision, dtype)

    monkeypatch.setattr(local_model, "load_weights", note)
    LocalModel(Model(name="tutor", kind="hf", id=str(folder), revision="abc", dtype="float32"))
    assert loaded == [(str(folder), "abc")]


def test_without_a_chat_template_it_cannot_be_asked(folder: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    for file in folder.iterdir():
        if file.name != "chat_template.jinja":
            (bare / file.name).write_bytes(file.read_bytes())
    with pytest.raises(
        ModelError, match=r"Model `tutor` cannot be asked: the tokenizer of .* has no chat template"
    ):
        LocalModel(declare(bare))


def test_a_folder_that_holds_no_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="Model `tutor` cannot be loaded"):
        LocalModel(declare(tmp_path / "nowhere"))


def test_a_batch_that_the_memory_does_not_hold_is_asked_in_smaller_ones(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = declare(folder)
    local = LocalModel(model)
    expected = local.answer(make_requests(model), 4)
    tried: list[int] = []
    whole = local_model.sample_dialogues

    def sample_some(*arguments: Any, batch_size: int, **options: Any) -> Any:
        tried.append(batch_size)
        if batch_size > least:
            raise torch.OutOfMemoryError("too much")
        return whole(*arguments, batch_size=batch_size, **options)

    monkeypatch.setattr(local_model, "sample_dialogues", sample_some)
    least = 1
    assert local.answer(make_requests(model), 4) == expected
    assert tried == [4, 2, 1]
    least = 0
    with pytest.raises(ModelError, match="One reply of 12 tokens does not fit the memory"):
        local.answer(make_requests(model), 4)
