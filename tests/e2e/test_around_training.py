"""What a user does with a run that has trained a student: read its rollouts, its card, and load it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.cli import call_exgrpo, run_exgrpo
from tests.support.openai_server import serve_teacher
from tests.support.sums import answer_sums, write_sums

pytestmark = pytest.mark.train

STUDENT = "out/stages/03-train/student"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds sums.exg and `out`, a finished run of it."""
    path = tmp_path_factory.mktemp("around")
    write_sums(path)
    with serve_teacher(answer_sums) as server:
        result = run_exgrpo("run", "sums.exg", "--out", "out", cwd=path, env=server.env)
    assert result.returncode == 0, result.stderr
    return path


def test_every_kept_rollout_is_there_to_read(folder: Path) -> None:
    called = call_exgrpo("rollouts", "out", "--format", "json", cwd=folder)
    lines = [json.loads(line) for line in called.out.splitlines()]
    assert (called.code, len(lines)) == (0, 8)
    assert {line["step"] for line in lines} == {1, 2}
    assert {line["dialogue"][-1]["turn"] for line in lines} == {"final"}
    text = call_exgrpo("rollouts", "out", "--step", 1, "--scenario", "full", cwd=folder).out
    assert text.count("assistant final:") == 2
    assert text.count("assistant explain:") == 4


def test_the_students_folder_is_an_ordinary_one_with_a_card_of_the_figures(folder: Path) -> None:
    hub = pytest.importorskip("huggingface_hub")
    transformers = pytest.importorskip("transformers")
    (accuracy,) = json.loads((folder / "out" / "result.json").read_text())["accuracy"].values()
    measured = {line["after"]: line["mean"] for line in accuracy}
    card = hub.ModelCard.load(folder / STUDENT / "README.md")
    assert [result.metric_value for result in card.data.eval_results] == [measured["train"]]
    assert "exgrpo run sums.exg --task sums_exgrpo --stage train" in card.text
    artifact = json.loads((folder / "out" / "artifact" / "manifest.json").read_text())
    assert f"| artifact | `{artifact['content_hash']}` |" in card.text
    model = transformers.AutoModelForCausalLM.from_pretrained(folder / STUDENT)
    assert model.config.hidden_size == 32
    assert transformers.AutoTokenizer.from_pretrained(folder / STUDENT).chat_template
