"""Students and tokenizers that cannot work are refused before anything is spent or generated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from exgrpo_artifact.errors import ModelError
from exgrpo_artifact.manifest import Model
from exgrpo_artifact.record import replace
from exgrpo_runtime import evaluation
from exgrpo_runtime.evaluation import evaluate_student
from exgrpo_runtime.student import create_student, load_for_stage, save_student
from exgrpo_runtime.student_checks import require_room, require_student
from tests.runtime.factory import make_artifact, make_context, make_evaluate, make_grpo
from tests.support.tiny_student import make_chatml_tokenizer, make_student

pytestmark = pytest.mark.train


def save(path: Path, *, tokens: tuple[str, ...] = (), special: bool = False, **changes: Any) -> Path:
    """A student's folder; `tokens` are added to its tokenizer without an embedding."""
    student = make_student(**changes)
    if tokens:
        student.tokenizer.add_tokens(list(tokens), special_tokens=special)
    save_student(student, path)
    return path


def check(folder: Path, *stages: Any) -> None:
    artifact = make_artifact(*stages)
    models = {**artifact.manifest.models, "tiny": Model(name="tiny", kind="hf", id=str(folder))}
    artifact = artifact._replace(manifest=replace(artifact.manifest, models=models))
    require_student(artifact, stages, make_context(folder, artifact).rows)


def test_a_student_that_can_work_is_let_pass(tmp_path: Path) -> None:
    check(save(tmp_path), make_grpo(), make_evaluate())


def test_no_chat_template_is_said_before_a_stage_runs(tmp_path: Path) -> None:
    student = make_student()
    student.tokenizer.chat_template = None
    save_student(student, tmp_path)
    with pytest.raises(ModelError, match="has no chat template"):
        check(tmp_path, make_grpo())


def test_a_tokenizer_of_another_model_is_refused_with_its_first_token_too_many(tmp_path: Path) -> None:
    folder = save(tmp_path, tokens=("zebra", "giraffe"))
    words = r"token (\d+) \('zebra'\) and 1 more have no embedding, of which there are \1\."
    with pytest.raises(ModelError, match=words):
        check(folder, make_grpo())
    with pytest.raises(ModelError, match=words):
        create_student(Model(name="s", kind="hf", id=str(folder)), (), seed=0)


def test_a_special_token_that_no_dialogue_uses_may_lie_beyond(tmp_path: Path) -> None:
    folder = save(tmp_path, tokens=("<image>",), special=True)
    check(folder, make_grpo())
    student = create_student(Model(name="s", kind="hf", id=str(folder)), (), seed=0)
    size = student.model.get_input_embeddings().num_embeddings
    assert max(student.chat.encode_opening(None, "an <image> of text")) < size


def test_a_template_whose_marks_have_no_embedding_is_refused(tmp_path: Path) -> None:
    student = make_student()
    save_student(student, tmp_path)
    tokenizer = make_chatml_tokenizer()
    tokenizer.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "vocab_size": len(tokenizer) - 2}))
    with pytest.raises(ModelError, match=r"'<\|im_start\|>'\) and 1 more have no embedding"):
        check(tmp_path, make_grpo())


def test_a_context_that_holds_no_dialogue_is_refused_with_the_numbers(tmp_path: Path) -> None:
    folder = save(tmp_path, context=48)
    with pytest.raises(
        ModelError,
        match=r"`train`: no dialogue fits the student's context of 48 tokens: the shortest needs \d+, with 40",
    ):
        check(folder, make_grpo(max_new=40))


def test_a_scratch_students_answers_alone_may_be_too_long(tmp_path: Path) -> None:
    stage = make_grpo(max_new=256)
    artifact = make_artifact(stage)
    rows = make_context(tmp_path, artifact).rows
    with pytest.raises(ModelError, match="context of 256 tokens: the shortest needs 257"):
        require_student(artifact, [stage], rows)
    require_student(artifact, [make_grpo(max_new=255)], rows)


def test_a_run_that_ends_with_its_probes_reads_no_student(tmp_path: Path) -> None:
    artifact = make_artifact()
    models = {**artifact.manifest.models, "tiny": Model(name="tiny", kind="hf", id="no/where")}
    artifact = artifact._replace(manifest=replace(artifact.manifest, models=models))
    require_student(artifact, artifact.manifest.stages, make_context(tmp_path, artifact).rows)


def test_an_evaluation_generates_nothing_where_nothing_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = make_context(tmp_path, make_artifact(make_evaluate(), scratch={"context": 8}))
    monkeypatch.setattr(evaluation, "sample_dialogues", None)
    with pytest.raises(ModelError, match="no dialogue fits the student's context of 8 tokens"):
        evaluate_student(load_for_stage(context), make_evaluate(), context)


def test_some_dialogues_that_fit_are_enough() -> None:
    from exgrpo_runtime.plans import DialoguePrompt

    prompts = [DialoguePrompt([1] * 90, []), DialoguePrompt([1] * 5, [[2] * 3])]
    require_room("train", prompts, 30, 10)  # 5 + 3 + 2 · 11 = 30
    with pytest.raises(ModelError, match="the shortest needs 30, with 10"):
        require_room("train", prompts, 29, 10)
