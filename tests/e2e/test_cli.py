"""`check`, `compile` and `doctor` as a user sees them."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.support.cli import run_exgrpo
from tests.support.data import ROOT
from tests.support.sums import SPEC, write_sums

LESSONS = ROOT / "tests" / "specs" / "lessons.exg"
SPECS = [*sorted((ROOT / "specs").rglob("*.exg")), LESSONS]


def read_tree(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize("spec", SPECS, ids=lambda path: path.stem)
def test_every_spec_of_the_project_checks_without_a_diagnostic(spec: Path, tmp_path: Path) -> None:
    result = run_exgrpo("check", spec, "--format", "json", cwd=tmp_path)
    found = [json.loads(line)["code"] for line in result.stdout.splitlines()]
    # The reference example of smaller pieces declares an answer only to show how.
    assert (result.returncode, found) == (0, ["unused-declaration"] if spec.stem == "lessons" else [])


def test_reference_examples_are_the_ones_that_are_shipped() -> None:
    reference = ROOT.parent / "shared" / "reference" / "language.md"
    if not reference.is_file():
        pytest.skip("the design page of the language is not part of the project")
    blocks = re.findall(r"```exg\n(.*?)```", reference.read_text("utf-8"), re.DOTALL)
    assert blocks[0] == (ROOT / "specs" / "exgrpo_specs" / "tasks" / "gsm8k.exg").read_text("utf-8")
    assert blocks[1] == LESSONS.read_text("utf-8")


@pytest.mark.parametrize(
    "spec", [path for path in SPECS if "task " in path.read_text("utf-8")], ids=lambda path: path.stem
)
def test_artifacts_are_byte_identical_on_every_run_and_hash_seed(spec: Path, tmp_path: Path) -> None:
    trees = []
    for place, seed in (("a", "0"), ("b", "1"), ("b/deeper", "4711")):
        directory = tmp_path / place
        directory.mkdir()
        result = run_exgrpo("compile", spec, "-o", "build", cwd=directory, env={"PYTHONHASHSEED": seed})
        assert result.returncode == 0, result.stderr
        trees.append(read_tree(directory / "build"))
    assert trees[0]
    assert trees[0] == trees[1] == trees[2]
    assert str(tmp_path).encode() not in b"".join(trees[0].values())


def test_artifact_does_not_depend_on_where_the_spec_lies(tmp_path: Path) -> None:
    trees = []
    for name in ("here", "elsewhere"):
        directory = tmp_path / name
        directory.mkdir()
        spec = write_sums(directory)
        assert run_exgrpo("compile", spec, "-o", directory / "build", cwd=tmp_path).returncode == 0
        trees.append(read_tree(directory / "build"))
    assert trees[0] == trees[1]


def test_artifact_directory_is_the_documented_one(tmp_path: Path) -> None:
    write_sums(tmp_path)
    result = run_exgrpo("compile", "sums.exg", "-o", "build", cwd=tmp_path)
    assert result.stdout.strip() == "build/sums_exgrpo"
    names = set(read_tree(tmp_path / "build" / "sums_exgrpo"))
    assert {
        "manifest.json",
        "reward.json",
        "prompts/invert.jinja",
        "prompts/tutorial.final.user.jinja",
    } <= names
    assert {name for name in names if not name.startswith("prompts/")} == {"manifest.json", "reward.json"}


def test_json_output_is_one_language_server_diagnostic_a_line(tmp_path: Path) -> None:
    broken = SPEC.replace("{{ item.question }}\n    Solution", "{{ item.qestion }}\n    Solution").replace(
        "lr: 1e-3", "lrr: 1e-3"
    )
    (tmp_path / "broken.exg").write_text(broken)
    result = run_exgrpo("check", "broken.exg", "--format", "json", cwd=tmp_path)
    assert result.returncode == 1
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(lines) == 2
    for line in lines:
        assert line["severity"] == 1
        assert line["source"] == "exgrpo"
        assert re.fullmatch(r"[a-z]+(-[a-z0-9]+)*", line["code"])
        assert set(line["range"]) == {"start", "end"}
    source = broken.splitlines()
    marked = []
    for line in lines:
        start, end = line["range"]["start"], line["range"]["end"]
        assert start["line"] == end["line"]
        marked.append(source[start["line"]][start["character"] : end["character"]])
    assert sorted(marked) == ["lrr", "qestion"]


def test_human_output_points_at_the_place_and_says_what_was_meant(tmp_path: Path) -> None:
    (tmp_path / "broken.exg").write_text(SPEC.replace("item.gold }}.", "item.gld }}."))
    result = run_exgrpo("check", "broken.exg", cwd=tmp_path)
    assert result.returncode == 1
    lines = result.stderr.splitlines()
    place = next(index for index, line in enumerate(lines) if "item.gld }}." in line)
    assert lines[place + 1].index("^") == lines[place].index("gld")
    assert "did you mean `gold`?" in result.stderr
    assert re.search(r"broken\.exg:\d+:\d+", result.stderr)


def test_warnings_alone_exit_zero(tmp_path: Path) -> None:
    (tmp_path / "library.exg").write_text("exg 1\n\nconst delta = 0.5\n\n/// documents nothing\n")
    result = run_exgrpo("check", "library.exg", "--format", "json", cwd=tmp_path)
    assert result.returncode == 0
    assert [json.loads(line)["severity"] for line in result.stdout.splitlines()] == [2]


def test_overrides_are_recorded_and_typed_like_the_spec(tmp_path: Path) -> None:
    write_sums(tmp_path)
    good = ("--set", "train.steps=7", "--set", "invert.consistent=off", "--set", "tutor.max_tokens=50tok")
    assert run_exgrpo("compile", "sums.exg", *good, cwd=tmp_path).returncode == 0
    manifest = json.loads((tmp_path / "build" / "sums_exgrpo" / "manifest.json").read_text())
    train = next(stage for stage in manifest["stages"] if stage["name"] == "train")
    assert train["steps"] == 7
    assert manifest["models"]["tutor"]["sampling"]["max_tokens"] == 50
    assert manifest["probes"]["invert"]["keeps"] == []
    assert manifest["provenance"]["turned_off"] == ["invert.consistent"]
    assert len(manifest["provenance"]["overrides"]) == 3
    for wrong, word in (
        ("train.steps=many", "many"),
        ("tutor.max_tokens=50", "tok"),
        ("train.steps=7tok", "tok"),
    ):
        result = run_exgrpo("compile", "sums.exg", "-o", "other", "--set", wrong, cwd=tmp_path)
        assert result.returncode == 1, wrong
        assert word in result.stderr
    assert not (tmp_path / "other").exists()


def test_imports_of_other_files_are_found_beside_the_importer(tmp_path: Path) -> None:
    (tmp_path / "team").mkdir()
    write_sums(tmp_path / "team")
    model = re.search(r"model student = .*\n", SPEC)
    assert model is not None
    (tmp_path / "team" / "shared.exg").write_text("exg 1\n\n" + model[0])
    importing = SPEC.replace(model[0], "").replace(
        "use std.rules", 'use "./shared.exg".{student}\nuse std.rules'
    )
    (tmp_path / "team" / "sums.exg").write_text(importing)
    result = run_exgrpo("check", "team/sums.exg", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    (tmp_path / "team" / "shared.exg").write_text("exg 1\n\n" + model[0].replace("layers", "layer"))
    result = run_exgrpo("check", "team/sums.exg", cwd=tmp_path)
    assert result.returncode == 1
    assert "shared.exg:3:" in result.stderr


def test_doctor_says_what_is_there(tmp_path: Path) -> None:
    result = run_exgrpo("doctor", cwd=tmp_path)
    assert result.returncode == 0
    for word in ("lark", "torch", "device", "coherence", "word-problem-tutor"):
        assert word in result.stdout


@pytest.mark.parametrize(
    "arguments", [["chekc"], ["check"], ["check", "--format", "xml", "a.exg"], ["run", "--limit", "0"]]
)
def test_usage_errors_exit_two(arguments: list[str], tmp_path: Path) -> None:
    assert run_exgrpo(*arguments, cwd=tmp_path).returncode == 2


def test_a_crash_says_that_it_is_ours(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    for root in ("exgrpo_dsl", "compiler", "runtime", "specs"):
        shutil.copytree(ROOT / root, copy / root)
    broken = copy / "exgrpo_dsl" / "notes.py"
    broken.write_text(
        broken.read_text().replace("def list_notes(", "def list_notes(*_):\n    1 / 0\n\n\ndef _old(")
    )
    write_sums(tmp_path)
    paths = ":".join(str(copy / root) for root in ("", "compiler", "runtime", "specs"))
    result = run_exgrpo("check", "sums.exg", cwd=tmp_path, env={"PYTHONPATH": paths})
    assert result.returncode == 70
    assert "internal error: ZeroDivisionError" in result.stderr
    assert "This is a bug in exgrpo" in result.stderr
    assert "Traceback" not in result.stderr
