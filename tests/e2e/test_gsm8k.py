"""The complete spec of the language, whole, on 32 real GSM8K rows, with a real HTTP teacher on loopback.

The teacher's replies are composed from the rows' own solutions: what is tested is the pipeline, not a model.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.support.cli import run_exgrpo
from tests.support.data import ROOT, find_data
from tests.support.openai_server import serve_teacher

pytestmark = pytest.mark.train

SPEC = ROOT / "specs" / "exgrpo_specs" / "tasks" / "gsm8k.exg"
ROWS = 32
RULES = 10


def build_options() -> list[str]:
    """The documented overrides: local files, no Eq. 2, a small student, few steps."""
    train, test = find_data("gsm8k_train.jsonl"), find_data("gsm8k_test.jsonl")
    overrides = [
        f'gsm8k.source=jsonl(train: "{train}", test: "{test}")',
        "invert.in_reach=off",
        "student=scratch { layers = 4; width = 192; heads = 4; vocab = 2048 }",
        "warmup.epochs=1",
        "train.steps=2",
        "train.items=2",
        "train.max_new=24tok",
        "test.max_new=24tok",
    ]
    return ["--limit", str(ROWS), *(part for override in overrides for part in ("--set", override))]


def read_gold(split: str) -> dict[str, tuple[str, str]]:
    """Question -> (worked solution, gold answer as text)."""
    lines = find_data(f"gsm8k_{split}.jsonl").read_text("utf-8").splitlines()[:ROWS]
    rows = [json.loads(line) for line in lines]
    return {
        row["question"].strip(): tuple(part.strip() for part in row["answer"].split("####")) for row in rows
    }  # type: ignore[misc]


def find_question(prompt: str, gold: dict[str, tuple[str, str]]) -> str:
    return next(question for question in gold if question in prompt)


def test_teacher_that_answers_nonsense_ends_with_no_probe_survived(tmp_path: Path) -> None:
    with serve_teacher(lambda _: "Colourless green ideas sleep furiously.") as server:
        result = run_exgrpo("run", SPEC, "--out", "out", *build_options(), cwd=tmp_path, env=server.env)
    output = result.stdout + result.stderr
    assert result.returncode == 4, output
    assert "no probe survived" in output
    assert f"{ROWS * RULES} malformed-reply" in output
    assert len(server.prompts) == 2 * ROWS * RULES, "each reply is sent back once"
    outcome = json.loads((tmp_path / "out" / "result.json").read_text())
    assert (outcome["status"], outcome["exit_code"]) == ("failed", 4)


def test_exactly_the_wrong_probes_are_rejected_and_the_rest_trains_a_student(tmp_path: Path) -> None:
    gold = read_gold("train")
    wrong: set[tuple[str, str]] = set()
    probes = 0

    def answer(prompt: str) -> str:
        """Writes a probe from the row's own solution, every fifth one with a planted error that derails the answer."""
        nonlocal probes
        question = find_question(prompt, gold)
        solution, answer_ = gold[question]
        rule = re.search(r'Rule "(\w+)"', prompt)
        if rule is None:
            return "So the answer is 987654321." if "PLANTED" in prompt else f"The answer is {answer_}."
        probes += 1
        is_wrong = probes % 5 == 0
        if is_wrong:
            wrong.add((question, rule[1]))
        return json.dumps(
            {
                "question": f"By the rule {rule[1]}, which step comes before the last one?",
                "rationale": solution.splitlines()[0] + (" PLANTED" if is_wrong else ""),
                "answer": "the step before the last",
            }
        )

    with serve_teacher(answer) as server:
        result = run_exgrpo(
            "run", SPEC, "--out", "out", *build_options(), cwd=tmp_path, env=server.env, timeout=500
        )
    assert result.returncode == 0, result.stdout + result.stderr
    assert probes == ROWS * RULES
    assert len(wrong) == ROWS * RULES // 5

    stages = tmp_path / "out" / "stages"
    rows = {
        line["row"]["uid"]: line["row"]["fields"] for line in read_lines(stages / "00-data" / "rows.jsonl")
    }

    def name(record: dict[str, str]) -> tuple[str, str]:
        return rows[record["row"]]["question"].strip(), record["rule"]

    rejections = read_lines(stages / "01-probe" / "rejections.jsonl")
    assert {name(record) for record in rejections} == wrong
    assert {record["reason"] for record in rejections} == {"consistent"}
    kept = {name(record) for record in read_lines(stages / "01-probe" / "probes.jsonl")}
    assert len(kept) == ROWS * RULES - len(wrong)
    assert not kept & wrong

    for stage in ("02-warmup", "03-train"):
        assert (stages / stage / "student" / "config.json").is_file()
    accuracy = json.loads((stages / "04-test" / "accuracy.json").read_text())
    assert [entry["after"] for entry in accuracy] == ["initial", "warmup", "train"]
    assert all(entry["n"] == ROWS for entry in accuracy)
    assert (tmp_path / "out" / "report.html").stat().st_size > 10_000


def test_no_file_of_a_run_holds_the_key(tmp_path: Path) -> None:
    with serve_teacher(lambda _: "no") as server:
        run_exgrpo("run", SPEC, "--out", "out", *build_options(), cwd=tmp_path, env=server.env)
        key = server.env["TEACHER_API_KEY"].encode()
    assert server.headers[0]["Authorization"].encode().endswith(key)
    for path in (tmp_path / "out").rglob("*"):
        assert not path.is_file() or key not in path.read_bytes(), path


def read_lines(path: Path) -> list[dict[str, dict[str, dict[str, str]]]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
