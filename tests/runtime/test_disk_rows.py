from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from exgrpo_artifact.errors import DataError
from exgrpo_runtime.data.disk_rows import RowWriter, open_rows
from exgrpo_runtime.records import Row
from tests.support.cli import build_environment


def make_row(split: str, number: int) -> Row:
    return Row(f"{split}:{number}:ab", split, {"question": f"{number} \u2028 pomo\u010d?\n", "gold": number})


TRAIN = [make_row("train", number) for number in range(10)]
TEST = [make_row("test", number) for number in range(3)]


def write(path: Path) -> Path:
    with RowWriter(path) as rows:
        rows.begin("sums", ["train", "empty", "test"])
        for row in TRAIN + TEST:
            rows.write(row)
        rows.begin("extra", ["test"])
        rows.write(TEST[1])
    return path


def test_rows_come_back_by_dataset_and_split(tmp_path: Path) -> None:
    rows = open_rows(write(tmp_path))
    found = {name: {split: list(each) for split, each in splits.items()} for name, splits in rows.items()}
    assert found == {"sums": {"train": TRAIN, "empty": [], "test": TEST}, "extra": {"test": [TEST[1]]}}


def test_they_are_indexed_and_sliced_as_a_list_is(tmp_path: Path) -> None:
    rows = open_rows(write(tmp_path))["sums"]["train"]
    assert (len(rows), rows[0], rows[-1], rows[7]) == (10, TRAIN[0], TRAIN[-1], TRAIN[7])
    for cut in (slice(2, 5), slice(1, None, 4), slice(None, None, -3), slice(8, 99), slice(5, 5)):
        assert list(rows[cut]) == TRAIN[cut]
        assert len(rows[cut]) == len(TRAIN[cut])
    assert list(rows[2:9][1::2][1:]) == TRAIN[2:9][1::2][1:]
    assert rows[1::4][2] == TRAIN[9]
    for place in (10, -11):
        with pytest.raises(IndexError):
            rows[place]


def test_two_passes_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    rows = open_rows(write(tmp_path))["sums"]["train"]
    assert list(zip(rows, rows[::-1], rows, strict=True)) == list(zip(TRAIN, TRAIN[::-1], TRAIN, strict=True))


def test_they_stay_readable_after_their_directory_was_moved_or_replaced(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    rows = open_rows(write(tmp_path / "old"))["sums"]["train"]
    (tmp_path / "old").rename(tmp_path / "new")
    assert rows[4] == TRAIN[4]


def test_a_writer_that_breaks_off_leaves_nothing_that_opens(tmp_path: Path) -> None:
    def fail() -> None:
        with RowWriter(tmp_path) as rows:
            rows.begin("sums", ["train"])
            rows.write(TRAIN[0])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    with pytest.raises(DataError, match="holds no whole rows"):
        open_rows(tmp_path)


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.index", "sections.json"])
def test_a_missing_file_is_told(tmp_path: Path, name: str) -> None:
    (write(tmp_path) / name).unlink()
    with pytest.raises(DataError, match="holds no whole rows"):
        open_rows(tmp_path)


# --- memory -------------------------------------------------------------------------------------------------

NUM_ROWS = 120_000
ALLOWED_GROWTH_MB = 6
PROGRAM = """
import resource, sys
from pathlib import Path
from exgrpo_artifact.graph import Graph, Node
from exgrpo_artifact.manifest import DataField, Dataset, EvaluateStage, FieldType, Manifest, Source, Split
from exgrpo_artifact.record import replace
from exgrpo_artifact.storage import Artifact
from exgrpo_runtime.context import SilentProgress
from exgrpo_runtime.data.stage import run_data_stage
from exgrpo_runtime.run_dir import RunDir
from tests.runtime.factory import make_artifact

def run(location, out):
    artifact = make_artifact()
    dataset = replace(
        artifact.manifest.datasets["sums"],
        source=Source(kind="jsonl", location=location),
        splits={"train": Split(fraction=0.75), "test": Split(fraction=0.25)},
    )
    artifact = artifact._replace(manifest=replace(artifact.manifest, datasets={"sums": dataset}))
    with RunDir(Path(out)) as run_dir:
        rows, result = run_data_stage(artifact, run_dir, out, None, SilentProgress())
        seen = sum(row.fields["gold"] for split in rows["sums"].values() for row in split)
        seen += sum(row.fields["gold"] for row in rows["sums"]["train"][3::1000])
    return result.summary["datasets"]["sums"], seen

run(sys.argv[1], sys.argv[3])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
summary, seen = run(sys.argv[2], sys.argv[4])
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(after - before, summary["rows"], summary["splits"]["train"]["valid"], summary["reasons"])
"""


def test_a_data_set_much_larger_than_what_memory_grows_by_is_read_split_and_walked(tmp_path: Path) -> None:
    small, large = tmp_path / "small.jsonl", tmp_path / "large.jsonl"
    padding = "word " * 60
    with large.open("w") as stream:
        for number in range(NUM_ROWS):
            gold = number if number % 10 else "many"
            stream.write(json.dumps({"question": f"{number} {padding}?", "gold": gold}) + "\n")
    small.write_text("".join(json.dumps({"question": "a?", "gold": 1}) + "\n" for _ in range(100)))
    assert large.stat().st_size > 6 * ALLOWED_GROWTH_MB * 2**20
    arguments = [str(small), str(large), str(tmp_path / "one"), str(tmp_path / "two")]
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        env=build_environment(),
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    growth_kb, num_rows, num_train, *reasons = process.stdout.split(maxsplit=3)
    assert (int(num_rows), int(num_train)) == (NUM_ROWS * 9 // 10, NUM_ROWS * 3 // 4 * 9 // 10)
    assert "".join(reasons).strip() == str({"not-a-number": NUM_ROWS // 10})
    assert int(growth_kb) < ALLOWED_GROWTH_MB * 1024
    rejected = (tmp_path / "two/stages/00-data/rejections.jsonl").open()
    assert all(json.loads(line)["reason"] == "not-a-number" for line in rejected)
