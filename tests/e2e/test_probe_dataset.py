"""The dataset that a run's probe stage leaves: loaded as a user loads it, and made again by the command on its card."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli import build_command, build_environment, run_exgrpo
from tests.support.openai_server import serve_teacher
from tests.support.sums import answer_sums, write_sums

pytestmark = pytest.mark.train

FOLDER = "stages/01-probe/dataset"
LIMIT = ("--set", "tutor.temperature=0.7", "--limit", "4")


def answer_mostly(prompt: str) -> str:
    """Right but for one row, of which there is no probe that can be read, not when it is asked for again either."""
    if "apples" in prompt and not ("has 13 apples" in prompt and "Rule" in prompt):
        return answer_sums(prompt)
    return "I would rather not."


def read_card(run: Path) -> str:
    return (run / FOLDER / "README.md").read_text("utf-8")


def test_it_loads_and_the_command_on_its_card_makes_it_again(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    write_sums(tmp_path)
    with serve_teacher(answer_mostly) as server:
        first = run_exgrpo(
            "run", "sums.exg", "--stage", "probe", "--out", "first", *LIMIT, cwd=tmp_path, env=server.env
        )
        assert first.returncode == 0, first.stderr
        card = read_card(tmp_path / "first")
        (command,) = re.findall(r"```sh\n(exgrpo run .*)\n```", card)
        asked = len(server.prompts)
        words = [*shlex.split(command)[1:], "--out", "second", "--store", "first/replies.sqlite"]
        second = run_exgrpo(*words, cwd=tmp_path, env=server.env)
        assert second.returncode == 0, second.stderr
        assert len(server.prompts) == asked
    folders = [tmp_path / run / FOLDER for run in ("first", "second")]
    files = [
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.jsonl")}
        for folder in folders
    ]
    assert files[0] == files[1]
    assert read_card(tmp_path / "second").splitlines()[-12:] == card.splitlines()[-12:]

    cache = str(tmp_path / "cache")
    probes = datasets.load_dataset(str(folders[0]), cache_dir=cache)["train"]
    written = [json.loads(line) for line in (folders[0].parent / "probes.jsonl").read_text().splitlines()]
    assert [(each["row"], each["rule"], each["probe"]) for each in probes] == [
        (each["row"], each["rule"], each["fields"]) for each in written
    ]
    assert [each["item"]["gold"] for each in probes] == [12, 12, 20, 20, 24, 24]
    rejections = datasets.load_dataset(str(folders[0]), "rejections", cache_dir=cache)["train"]
    assert [each["reason"] for each in rejections] == ["malformed-reply"] * 2
    assert "| why | 4 | 3 | 25.0% | 1 malformed-reply |" in card
    assert "6 probes about 3 of 4 rows of `sums` (split `train`)" in card


def test_a_licence_that_is_declared_later_is_on_the_card_and_nothing_is_run_again(tmp_path: Path) -> None:
    spec = write_sums(tmp_path)
    command = ("run", "sums.exg", "--stage", "probe", "--out", "out", "--limit", "2")
    with serve_teacher(answer_sums) as server:
        assert run_exgrpo(*command, cwd=tmp_path, env=server.env).returncode == 0
        assert "license:" not in read_card(tmp_path / "out")
        assert read_card(tmp_path / "out").count("| not declared |") == 2
        asked = len(server.prompts)
        text = spec.read_text().replace("  source = jsonl(", '  license = "cc-by-4.0"\n  source = jsonl(')
        spec.write_text(
            text.replace("  temperature = 0.5", '  license = "vendor terms"\n  temperature = 0.5')
        )
        again = run_exgrpo(*command, "--resume", cwd=tmp_path, env=server.env)
        assert len(server.prompts) == asked
    assert again.stdout.count("reused") == 2, again.stdout + again.stderr
    card = read_card(tmp_path / "out")
    assert 'license: "cc-by-4.0"' in card
    assert "| vendor terms |" in card
    assert "| not declared |" not in card


# --- memory -----------------------------------------------------------------------------------------------

PEAK = """
import resource, subprocess, sys
process = subprocess.run(sys.argv[1:], capture_output=True, text=True)
sys.stderr.write(process.stdout + process.stderr)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(process.returncode)
"""
LARGE_ROWS, ROW_BYTES, REPLY_BYTES = 2_400, 16_000, 8_000
ALLOWED_GROWTH_MB = 20


def measure_probe_run(path: Path, num_rows: int) -> int:
    """Peak memory of `exgrpo run --stage probe` over so many rows, in kB."""
    path.mkdir()
    spec = write_sums(path, rows=1)
    rule = "rules   = [why, decompose]"
    checks = next(line for line in spec.read_text().splitlines() if "keep probe consistent" in line)
    spec.write_text(spec.read_text().replace(rule, "rules   = [why]").replace(checks, ""))
    with (path / "train.jsonl").open("w") as stream:
        for number in range(num_rows):
            question = f"Row {number}: " + "word " * (ROW_BYTES // 5) + "?"
            stream.write(json.dumps({"question": question, "solution": "None.", "gold": number + 0.5}) + "\n")
    rationale = "and so on " * (REPLY_BYTES // 10)
    reply = json.dumps({"question": "Why so?", "rationale": rationale, "answer": "because"})
    with serve_teacher(lambda _: reply) as server:
        command = build_command("run", "sums.exg", "--stage", "probe", "--out", "out")
        process = subprocess.run(
            [sys.executable, "-c", PEAK, *command],
            cwd=path,
            env=build_environment(server.env),
            capture_output=True,
            text=True,
            check=False,
        )
    assert process.returncode == 0, process.stderr
    assert f"{num_rows} probes kept for {num_rows} of {num_rows} rows" in process.stderr
    return int(process.stdout)


@pytest.mark.slow
def test_memory_of_a_probe_run_does_not_grow_with_its_rows(tmp_path: Path) -> None:
    large_mb = LARGE_ROWS * (ROW_BYTES + REPLY_BYTES) / 2**20
    assert large_mb > 2.5 * ALLOWED_GROWTH_MB
    few = measure_probe_run(tmp_path / "few", 600)
    many = measure_probe_run(tmp_path / "many", LARGE_ROWS)
    assert many - few < ALLOWED_GROWTH_MB * 1024
    assert many < 120 * 1024
