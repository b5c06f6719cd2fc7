"""`exgrpo run --shard I/N`: N runs ask about all rows and about none twice."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import call_exgrpo, run_exgrpo
from tests.support.openai_server import serve_teacher
from tests.support.sums import answer_sums, write_sums

pytestmark = pytest.mark.train

ROWS = 6
UP_TO_PROBES = ("run", "sums.exg", "--stage", "probe")


def read_json(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def list_positions(run_dir: Path) -> list[int]:
    """Positions in the split of the rows that have probes, in the order of the probes."""
    lines = (run_dir / "stages/01-probe/probes.jsonl").read_text("utf-8").splitlines()
    return list(dict.fromkeys(int(json.loads(line)["row"].split(":")[1]) for line in lines))


@pytest.mark.parametrize(
    ("shard", "words"),
    [
        ("0/4", "there is no shard 0/4: the first of 4 is 1/4, the last is 4/4"),
        ("5/4", "there is no shard 5/4"),
        ("1/0", "there is no shard 1/0"),
        ("a/b", "`a/b` is no shard; write i/n, as 2/8 for the second of eight"),
        ("1", "`1` is no shard"),
        ("1/2/3", "`1/2/3` is no shard"),
        ("-1/4", "`-1/4` is no shard"),
    ],
)
def test_what_names_no_shard_is_a_usage_error(tmp_path: Path, shard: str, words: str) -> None:
    write_sums(tmp_path)
    called = call_exgrpo(*UP_TO_PROBES, "--out", "out", "--shard", shard, cwd=tmp_path)
    assert (called.code, words in re.sub(r"\s+", " ", called.err)) == (2, True), called.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("stage", [(), ("--stage", "warmup"), ("--stage", "test")])
def test_a_shard_goes_no_further_than_the_probes(tmp_path: Path, stage: tuple[str, ...]) -> None:
    write_sums(tmp_path)
    called = call_exgrpo("run", "sums.exg", *stage, "--out", "out", "--shard", "1/2", cwd=tmp_path)
    assert called.code == 2
    assert "--shard 1/2: a shard goes as far as the probes: give --stage probe." in called.err
    assert "Stage `warmup` (sft) needs all rows." in called.err
    assert not (tmp_path / "out").exists()


def test_a_shard_has_every_nth_row_and_is_known_by_it(tmp_path: Path) -> None:
    write_sums(tmp_path, rows=ROWS)
    asked: list[set[str]] = []
    for number in (1, 2, 3, 4):
        with serve_teacher(answer_sums) as server:
            arguments = ("--out", f"out{number}", "--shard", f"{number}/4")
            result = run_exgrpo(*UP_TO_PROBES, *arguments, cwd=tmp_path, env=server.env)
            asked.append(set(server.prompts))
        assert result.returncode == 0, result.stderr
        assert list_positions(tmp_path / f"out{number}") == list(range(number - 1, ROWS, 4))
        assert read_json(tmp_path / f"out{number}/run.json")["shard"] == f"{number}/4"
        done = read_json(tmp_path / f"out{number}/stages/01-probe/done.json")
        assert done["summary"]["rows"] == len(range(number - 1, ROWS, 4))
        # The data stage is the same for all: whoever resumes without a shard reads no source again.
        assert read_json(tmp_path / f"out{number}/stages/00-data/done.json")["summary"]["datasets"]["sums"][
            "rows"
        ] == (2 * ROWS)
    assert [len(prompts) for prompts in asked] == [8, 8, 4, 4]
    assert len(set.union(*asked)) == 24
    inputs = {read_json(path)["inputs"] for path in tmp_path.glob("out*/stages/01-probe/done.json")}
    assert len(inputs) == 4


def test_a_shard_resumed_is_reused_and_resumed_without_it_asks_for_the_rest(tmp_path: Path) -> None:
    write_sums(tmp_path, rows=ROWS)
    with serve_teacher(answer_sums) as server:
        first = run_exgrpo(*UP_TO_PROBES, "--out", "out", "--shard", "2/2", cwd=tmp_path, env=server.env)
        again = run_exgrpo(
            *UP_TO_PROBES, "--out", "out", "--shard", "2/2", "--resume", cwd=tmp_path, env=server.env
        )
        half = len(server.prompts)
        whole = run_exgrpo(*UP_TO_PROBES, "--out", "out", "--resume", cwd=tmp_path, env=server.env)
        total = len(server.prompts)
    for result in (first, again, whole):
        assert result.returncode == 0, result.stderr
    assert again.stdout.count("reused") == 2
    assert (half, total) == (12, 24)
    assert list_positions(tmp_path / "out") == list(range(ROWS))


def test_a_shard_without_a_row_is_told(tmp_path: Path) -> None:
    write_sums(tmp_path, rows=2)
    with serve_teacher(answer_sums) as server:
        result = run_exgrpo(*UP_TO_PROBES, "--out", "out", "--shard", "3/3", cwd=tmp_path, env=server.env)
    assert result.returncode == 4, result.stderr
    assert "shard 3/3 has no row: split `train` of dataset `sums` has 2. Take fewer shards." in result.stderr


def test_merged_stores_of_all_shards_are_the_store_of_one_run(tmp_path: Path) -> None:
    write_sums(tmp_path, rows=ROWS)
    with serve_teacher(answer_sums) as server:
        plain = run_exgrpo(*UP_TO_PROBES, "--out", "plain", cwd=tmp_path, env=server.env)
        for number in (1, 2, 3):
            shard = ("--out", f"out{number}", "--shard", f"{number}/3")
            assert run_exgrpo(*UP_TO_PROBES, *shard, cwd=tmp_path, env=server.env).returncode == 0
        stores = [f"out{number}/replies.sqlite" for number in (3, 1, 2)]
        merged = run_exgrpo("store", "merge", "all.sqlite", *stores, cwd=tmp_path)
        before = len(server.prompts)
        whole = run_exgrpo(
            *UP_TO_PROBES, "--out", "whole", "--store", "all.sqlite", cwd=tmp_path, env=server.env
        )
        asked = len(server.prompts) - before
    assert (plain.returncode, merged.returncode, whole.returncode) == (0, 0, 0), merged.stderr + whole.stderr
    assert "24 replies added to all.sqlite, which now holds 24" in merged.stdout
    assert asked == 0
    for name in ("probes.jsonl", "rejections.jsonl", "dataset/data/train.jsonl"):
        one, other = (tmp_path / run / "stages/01-probe" / name for run in ("plain", "whole"))
        assert one.read_bytes() == other.read_bytes()
    cards = [(tmp_path / run / "stages/01-probe/dataset/README.md").read_text() for run in ("plain", "whole")]
    assert [line for line in cards[0].splitlines() if "stored replies" in line] == [
        line for line in cards[1].splitlines() if "stored replies" in line
    ]
