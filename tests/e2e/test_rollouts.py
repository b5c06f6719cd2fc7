"""`exgrpo rollouts` as a user reads what a student said in training."""

from __future__ import annotations

import contextlib
import json
import os
import pty
from pathlib import Path

import jsonschema
import pytest

from exgrpo_dsl.rollouts_text import write_rollout
from exgrpo_dsl.schemas import describe_output
from tests.support.cli import build_command, build_environment, call_exgrpo, run_exgrpo
from tests.support.report_run import make_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds `run`: ten steps of sixteen rollouts."""
    path = tmp_path_factory.mktemp("rollouts")
    make_run(path / "run", steps=10)
    return path


def list_json(folder: Path, *options: object) -> list[dict[str, object]]:
    called = call_exgrpo("rollouts", "run", "--format", "json", *options, cwd=folder)
    assert called.code == 0, called.err
    return [json.loads(line) for line in called.out.splitlines()]


def test_every_rollout_is_a_line_that_fits_its_schema(folder: Path) -> None:
    lines = list_json(folder)
    assert len(lines) == 160
    for line in lines:
        jsonschema.validate(line, describe_output("rollouts"))
    assert {line["stage"] for line in lines} == {"train"}


def test_conditions_are_met_together(folder: Path) -> None:
    everything = list_json(folder)
    assert len(list_json(folder, "--step", 3)) == 16
    chosen = list_json(folder, "--step", 3, "--scenario", "full", "--wrong")
    assert chosen == [
        line
        for line in everything
        if line["step"] == 3 and line["scenario"] == "full" and line["verdict"] == "wrong"
    ]
    assert 0 < len(chosen) < 8
    failed = list_json(folder, "--failed")
    assert failed == [line for line in everything if line["dropped"]]
    assert len(failed) == 2
    row = str(everything[5]["row"])
    assert [line["row"] for line in list_json(folder, "--item", row)] == [row]


def test_a_row_is_named_by_the_beginning_of_its_uid(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", steps=1)
    lines = [
        {"step": 1, "row": row, "scenario": "full", "terms": {}} for row in ("train:1:ab", "train:12:cd")
    ]
    path = run / "stages" / "04-train" / "rollouts.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert [line["row"] for line in list_json(tmp_path, "--item", "train:1")] == ["train:1:ab"]


def test_text_shows_each_turn_under_its_scores() -> None:
    text = write_rollout(
        {
            "stage": "train",
            "verdict": "wrong",
            "step": 4,
            "row": "train:7:ab",
            "scenario": "full",
            "trained": True,
            "dialogue": [
                {"role": "user", "content": "Why add?"},
                {"role": "assistant", "turn": "explain", "probe": 0, "content": "Because\nof 2."},
                {"role": "user", "content": "And now?"},
                {"role": "assistant", "turn": "explain", "probe": 1, "content": ""},
                {"role": "user", "content": "What is 2 + 2?"},
                {"role": "assistant", "turn": "final", "content": "5"},
            ],
            "terms": {"outcome": 0.0, "step": 0.5},
            "turn_terms": {"step": [1.0, 0.0]},
            "total": 0.25,
            "advantage": -0.7071,
            "truncated_turns": 1,
            "dropped": None,
        }
    )
    assert text.splitlines()[1:] == [
        "train step 4  train:7:ab  full  WRONG",
        "outcome 0 · step 0.5 · total 0.25 · advantage \u22120.71",
        "turns cut at the token limit: 1",
        "",
        "user:",
        "    Why add?",
        "assistant explain:   [step 1]",
        "    Because",
        "    of 2.",
        "user:",
        "    And now?",
        "assistant explain:   [step 0]",
        "    (nothing)",
        "user:",
        "    What is 2 + 2?",
        "assistant final:",
        "    5",
        "",
    ]


def test_a_pipe_gets_all_of_it_and_the_count_goes_beside_it(folder: Path) -> None:
    result = run_exgrpo("rollouts", "run", "--failed", cwd=folder)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("left out of its group: no-final-turn") == 2
    assert result.stderr == "2 rollouts of stage `train`; right: `outcome` is at least a half\n"


def test_a_terminal_gets_a_pager(folder: Path, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    pager = tmp_path / "pager"
    pager.write_text(f"#!/bin/sh\ncat > {seen}\n")
    pager.chmod(0o755)
    child, descriptor = pty.fork()
    if child == 0:
        os.chdir(folder)
        command = build_command("rollouts", "run", "--step", "1")
        os.execvpe(command[0], command, build_environment({"PAGER": str(pager), "TERM": "xterm"}))
    shown = b""
    with contextlib.suppress(OSError):  # how a terminal says that nobody writes to it any more
        while part := os.read(descriptor, 4096):
            shown += part
    os.close(descriptor)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0, shown
    assert seen.read_text().count("train step 1 ") == 16


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("elsewhere",), 2, "no run.json"),
        (("run", "--stage", "warmup"), 4, "no finished grpo stage `warmup`; finished ones: `train`"),
    ],
)
def test_what_is_not_there_is_said(folder: Path, arguments: tuple[str, ...], code: int, words: str) -> None:
    called = call_exgrpo("rollouts", *arguments, cwd=folder)
    assert called.code == code
    assert words in called.err


def test_no_match_is_no_failure(folder: Path) -> None:
    called = call_exgrpo("rollouts", "run", "--step", 99, cwd=folder)
    assert (called.code, called.out) == (0, "")
    assert called.err.startswith("0 rollouts of stage `train`")


def test_the_report_shows_the_scores_of_turns_too(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", steps=1)
    line = {
        "step": 1,
        "row": "train:1:ab",
        "scenario": "full",
        "dialogue": [
            {"role": "user", "content": "Why?"},
            {"role": "assistant", "turn": "explain", "probe": 0, "content": "So."},
            {"role": "assistant", "turn": "final", "content": "4"},
        ],
        "terms": {"outcome": 1.0},
        "turn_terms": {"step": [0.25], "clear": [None]},
    }
    (run / "stages" / "04-train" / "rollouts.jsonl").write_text(json.dumps(line) + "\n")
    assert call_exgrpo("report", "run", cwd=tmp_path).code == 0
    page = (run / "report.html").read_text("utf-8")
    assert page.count("<small>step 0.25 · clear \u2013</small>So.") == 1
