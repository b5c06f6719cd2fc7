"""What a user does with a run that has trained a student: read its rollouts, its card, and load it."""

from __future__ import annotations

import json
import re
import shutil
from importlib.util import find_spec
from pathlib import Path

import jsonschema
import pytest

from exgrpo_dsl.schemas import describe_output
from tests.support.cli import call_exgrpo, run_exgrpo
from tests.support.openai_server import serve_teacher
from tests.support.sums import answer_sums, write_sums

pytestmark = pytest.mark.train

REPORTED = ("--report-to", "tensorboard") if find_spec("tensorboard") else ()
STUDENT = "out/stages/03-train/student"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds sums.exg and `out`, a finished run of it."""
    path = tmp_path_factory.mktemp("around")
    write_sums(path)
    with serve_teacher(answer_sums) as server:
        result = run_exgrpo("run", "sums.exg", "--out", "out", *REPORTED, cwd=path, env=server.env)
    assert result.returncode == 0, result.stderr
    return path


def test_what_was_reported_lies_in_the_runs_directory(folder: Path) -> None:
    written = [path.parent.name for path in (folder / "out" / "tracking").rglob("*tfevents*")]
    assert sorted(written) == (["train", "warmup"] if REPORTED else [])
    assert not list(folder.glob("runs"))


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


def test_a_students_figure_is_the_one_that_its_run_measured(folder: Path) -> None:
    called = call_exgrpo("eval", STUDENT, "--spec", "sums.exg", "--format", "json", cwd=folder)
    assert called.code == 0, called.err
    found = json.loads(called.out)
    jsonschema.validate(found, describe_output("eval"))
    (accuracy,) = json.loads((folder / "out" / "result.json").read_text())["accuracy"].values()
    line = next(line for line in accuracy if line["after"] == "train")
    (estimate,) = found["estimates"]
    assert estimate == {"name": "greedy", **{part: line[part] for part in ("mean", "low", "high", "n")}}
    assert (found["rows"], found["asked"], found["term"]) == ("sums.test", "tutorial.plain", "exgrpo.outcome")


def test_several_answers_are_the_same_each_time_and_written_where_asked(folder: Path) -> None:
    command = ("eval", STUDENT, "--spec", "out/artifact", "--on", "sums.train", "--limit", 3, "--samples", 4)
    first = call_exgrpo(*command, "--completions", "one.jsonl", cwd=folder)
    second = call_exgrpo(*command, "--completions", "two.jsonl", cwd=folder)
    assert (first.code, first.out) == (0, second.out)
    assert f"{STUDENT} on 3 rows of sums.train: tutorial.plain by exgrpo.outcome, temperature 1" in first.out
    assert [line.split()[0] for line in first.out.splitlines() if "@" in line] == [
        "mean@4",
        "pass@1",
        "pass@2",
        "pass@4",
        "majority@4",
    ]
    lines = [json.loads(line) for line in (folder / "one.jsonl").read_text().splitlines()]
    assert [line["sample"] for line in lines] == [0, 1, 2, 3] * 3
    assert len({line["completion"] for line in lines[:4]}) > 1
    for line in lines:
        jsonschema.validate(line, describe_output("completion"))
    assert (folder / "one.jsonl").read_bytes() == (folder / "two.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ((STUDENT, "--on", "sums.valid"), 4, "has no rows `sums.valid`; it has sums.train, sums.test."),
        ((STUDENT, "--stage", "train"), 4, "has the evaluate stages `test`"),
        (("elsewhere",), 3, "neither a folder here nor a model that the hub gave us"),
        ((STUDENT, "--set", "test=off"), 4, "has no evaluate stage"),
    ],
)
def test_what_cannot_be_evaluated_is_said(
    folder: Path, options: tuple[str, ...], code: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    called = call_exgrpo("eval", *options, "--spec", "sums.exg", cwd=folder)
    assert called.code == code, called.err
    assert words in called.err


def test_a_scenario_that_asks_probes_is_refused(folder: Path) -> None:
    text = (folder / "sums.exg").read_text().replace("evaluate(tutorial.plain", "evaluate(tutorial.full")
    (folder / "probed.exg").write_text(text)
    called = call_exgrpo("eval", STUDENT, "--spec", "probed.exg", cwd=folder)
    assert called.code == 4, called.err
    assert "asks probes before the question (scenario `full`), and there are none here" in called.err


def test_a_student_that_cannot_hold_a_dialogue_is_refused_before_a_teacher_is_asked(
    folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder / STUDENT, tmp_path / "silent")
    (tmp_path / "silent" / "chat_template.jinja").unlink()
    spec = write_sums(tmp_path)
    text = re.sub(r"model student = .*", 'model student = hf("silent")', spec.read_text())
    spec.write_text(text)
    with serve_teacher(answer_sums) as server:
        result = run_exgrpo("run", "sums.exg", "--out", "out", cwd=tmp_path, env=server.env)
        assert server.prompts == []
    assert result.returncode == 3, result.stderr
    assert "The tokenizer of silent has no chat template" in result.stderr
