"""`fmt`, `lint`, `fix` and `new` as a user runs them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.cli import build_command, build_environment, run_exgrpo

UGLY = 'exg 1\nmodel   tutor=plugin( "x" )   // why\n'
NEAT = 'exg 1\n\nmodel tutor = plugin("x")   // why\n'
BROKEN = "exg 1\n\nmodel tutor = \n"
MISSPELT = 'exg 1\n\n/// Asked.\nmodel tutor = plugin("x") { temprature = 0.5; timeout = 30 }  // kept\n'


def pipe(text: bytes, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[bytes]:
    command = build_command(*arguments)
    return subprocess.run(
        command, cwd=cwd, env=build_environment(), input=text, capture_output=True, check=False
    )


# --- fmt


def test_fmt_writes_what_changes_and_names_it(tmp_path: Path) -> None:
    folder = tmp_path / "specs"
    folder.mkdir()
    (folder / "ugly.exg").write_text(UGLY)
    (folder / "neat.exg").write_text(NEAT)
    (folder / "ugly.exg").chmod(0o640)
    result = run_exgrpo("fmt", "specs", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (0, "changed specs/ugly.exg\n")
    assert (folder / "ugly.exg").read_text() == NEAT
    assert (folder / "ugly.exg").stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in folder.iterdir()) == ["neat.exg", "ugly.exg"]
    again = run_exgrpo("fmt", "specs", cwd=tmp_path)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "2 specs are formatted.\n")


def test_fmt_check_and_diff_write_nothing(tmp_path: Path) -> None:
    spec = tmp_path / "ugly.exg"
    spec.write_text(UGLY)
    checked = run_exgrpo("fmt", "--check", "ugly.exg", cwd=tmp_path)
    assert (checked.returncode, checked.stdout) == (1, "would change ugly.exg\n")
    shown = run_exgrpo("fmt", "--diff", "ugly.exg", cwd=tmp_path)
    assert shown.returncode == 0
    assert '-model   tutor=plugin( "x" )   // why\n+\n+model tutor = plugin("x")   // why\n' in shown.stdout
    assert run_exgrpo("fmt", "--check", "--diff", "ugly.exg", cwd=tmp_path).returncode == 1
    assert spec.read_text() == UGLY


def test_fmt_leaves_a_broken_file_alone_and_formats_the_others(tmp_path: Path) -> None:
    (tmp_path / "broken.exg").write_text(BROKEN)
    (tmp_path / "latin.exg").write_bytes(b"exg 1\n// caf\xe9\n")
    (tmp_path / "ugly.exg").write_text(UGLY)
    result = run_exgrpo("fmt", "broken.exg", "latin.exg", "ugly.exg", cwd=tmp_path)
    assert result.returncode == 1
    assert "error[syntax-error]" in result.stderr
    assert "error[not-utf8]" in result.stderr
    assert (tmp_path / "broken.exg").read_text() == BROKEN
    assert (tmp_path / "ugly.exg").read_text() == NEAT


def test_fmt_says_what_is_not_there(tmp_path: Path) -> None:
    missing = run_exgrpo("fmt", "nowhere.exg", cwd=tmp_path)
    assert (missing.returncode, missing.stderr) == (2, "error: nowhere.exg: no such file.\n")
    empty = run_exgrpo("fmt", ".", cwd=tmp_path)
    assert (empty.returncode, empty.stderr) == (2, "error: . holds no .exg file.\n")


def test_fmt_reads_standard_input(tmp_path: Path) -> None:
    result = pipe(UGLY.encode(), "fmt", "-", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (0, NEAT.encode())
    assert pipe(UGLY.encode(), "fmt", "--check", "-", cwd=tmp_path).returncode == 1
    broken = pipe(BROKEN.encode(), "fmt", "-", cwd=tmp_path)
    assert (broken.returncode, broken.stdout) == (1, b"")


def test_fmt_keeps_the_line_ends_of_the_first_line(tmp_path: Path) -> None:
    spec = tmp_path / "dos.exg"
    spec.write_bytes(NEAT.replace("\n", "\r\n").encode())
    assert run_exgrpo("fmt", "--check", "dos.exg", cwd=tmp_path).returncode == 0
    spec.write_bytes(UGLY.replace("\n", "\r\n", 1).encode())
    assert run_exgrpo("fmt", "dos.exg", cwd=tmp_path).returncode == 0
    assert spec.read_bytes() == NEAT.replace("\n", "\r\n").encode()


def test_fmt_follows_links_and_keeps_them(tmp_path: Path) -> None:
    (tmp_path / "real.exg").write_text(UGLY)
    (tmp_path / "link.exg").symlink_to("real.exg")
    assert run_exgrpo("fmt", "link.exg", cwd=tmp_path).returncode == 0
    assert (tmp_path / "link.exg").is_symlink()
    assert (tmp_path / "real.exg").read_text() == NEAT


# --- lint and fix


def test_lint_adds_warnings_and_lists_what_fix_can_do(tmp_path: Path) -> None:
    (tmp_path / "spec.exg").write_text('exg 1\n\nmodel tutor = openai("big")\n')
    result = run_exgrpo("lint", "spec.exg", cwd=tmp_path)
    assert result.returncode == 0
    assert re.findall(r"warning\[([\w-]+)\]", result.stderr) == ["missing-doc", "no-budget"]
    (tmp_path / "spec.exg").write_text(MISSPELT)
    result = run_exgrpo("lint", "spec.exg", cwd=tmp_path)
    assert result.returncode == 1
    assert "write `temperature`\n" in result.stderr
    assert "write `30s`\n" in result.stderr


def test_a_lint_is_silenced_in_place_and_an_unused_silence_is_reported(tmp_path: Path) -> None:
    silence = "// allow: missing-doc -- its name says it all\n"
    (tmp_path / "spec.exg").write_text(f'exg 1\n\n{silence}model tutor = plugin("x")\n')
    assert run_exgrpo("lint", "spec.exg", cwd=tmp_path).stderr == "1 spec is fine.\n"
    assert run_exgrpo("check", "--no-cache", "spec.exg", cwd=tmp_path).stderr == "1 spec is fine.\n"
    (tmp_path / "spec.exg").write_text(f'exg 1\n\n/// Asked.\n{silence}model tutor = plugin("x")\n')
    result = run_exgrpo("lint", "spec.exg", cwd=tmp_path)
    assert re.findall(r"warning\[([\w-]+)\]", result.stderr) == ["unused-silence"]


def test_fix_applies_safe_edits_and_names_them(tmp_path: Path) -> None:
    spec = tmp_path / "spec.exg"
    spec.write_text(MISSPELT)
    shown = run_exgrpo("fix", "--diff", "spec.exg", cwd=tmp_path)
    assert "+model tutor" in shown.stdout
    assert spec.read_text() == MISSPELT
    result = run_exgrpo("fix", "spec.exg", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert spec.read_text() == MISSPELT.replace("temprature", "temperature").replace("30 ", "30s ")
    assert result.stdout == (
        "spec.exg:4:29: write `temperature` [unknown-key]\nspec.exg:4:57: write `30s` [unit-mismatch]\n"
    )
    again = run_exgrpo("fix", "spec.exg", cwd=tmp_path)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "0 edits applied.\n")


def test_fix_asks_before_what_may_not_be_meant(tmp_path: Path) -> None:
    spec = tmp_path / "spec.exg"
    text = 'exg 1\n\n/// Asked.\nmodel tutor = plugin("x") {\n  timeout = 30s\n  timeout = 60s // why\n}\n'
    spec.write_text(text)
    result = run_exgrpo("fix", "spec.exg", cwd=tmp_path)
    assert result.returncode == 1
    assert "--unsafe has 1 more" in result.stderr
    assert spec.read_text() == text
    assert run_exgrpo("fix", "--unsafe", "spec.exg", cwd=tmp_path).returncode == 0
    assert spec.read_text() == text.replace("timeout = 60s // why", "// why")


# --- new


def read_files(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text("utf-8") for path in folder.iterdir()}


@pytest.mark.parametrize("kind", ["math", "choice", "yesno", "free"])
def test_a_new_spec_is_clean_formatted_and_green(kind: str, tmp_path: Path) -> None:
    made = run_exgrpo("new", "my_task", "--kind", kind, "-o", "here", cwd=tmp_path)
    assert (made.returncode, made.stdout) == (0, "wrote here/my_task.exg\nwrote here/rows.jsonl\n")
    files = read_files(tmp_path / "here")
    assert sorted(files) == ["my_task.exg", "rows.jsonl"]
    assert len(files["rows.jsonl"].splitlines()) == 3
    assert "starter" not in files["my_task.exg"]
    lint = run_exgrpo("lint", "here", cwd=tmp_path)
    assert (lint.returncode, lint.stderr) == (0, "1 spec is fine.\n")
    assert run_exgrpo("fmt", "--check", "here", cwd=tmp_path).returncode == 0
    tests = run_exgrpo("test", "here/my_task.exg", cwd=tmp_path)
    assert tests.returncode == 0, tests.stdout + tests.stderr
    assert "3 passed" in tests.stdout + tests.stderr
    assert run_exgrpo("stress", "here/my_task.exg", cwd=tmp_path).returncode == 0, "junk pays in no starter"
    again = run_exgrpo("new", "my_task", "--kind", kind, "-o", "here", cwd=tmp_path)
    assert (again.returncode, again.stderr) == (
        2,
        "error: here/my_task.exg exists and is left alone. Give another name, or another -o.\n",
    )
    assert read_files(tmp_path / "here") == files


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("My-Task", "Try `my_task`."),
        ("2nd.exg", "Try `nd`."),
        ("rule", "Try `my_rule`."),
        ("für", "Try `f_r`."),
        ("", "names are written in a-z"),
        ("../up", "Try `up`."),
    ],
)
def test_a_name_that_no_spec_can_have_is_refused(name: str, hint: str, tmp_path: Path) -> None:
    result = run_exgrpo("new", name, cwd=tmp_path)
    assert result.returncode == 2
    assert hint in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_kinds_are_listed_and_another_is_refused(tmp_path: Path) -> None:
    listed = run_exgrpo("new", "--list", cwd=tmp_path)
    assert listed.returncode == 0
    assert [line.split()[0] for line in listed.stdout.splitlines()] == ["math", "choice", "yesno", "free"]
    refused = run_exgrpo("new", "a_task", "--kind", "poem", cwd=tmp_path)
    assert (refused.returncode, "the kinds are math, choice" in refused.stderr) == (2, True)


@pytest.mark.train
def test_a_new_spec_trains_on_its_three_rows(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    assert run_exgrpo("new", "my_task", cwd=tmp_path).returncode == 0
    result = run_exgrpo("run", "my_task.exg", cwd=tmp_path, timeout=120)
    assert result.returncode == 0, result.stdout + result.stderr
    for stage in ("data", "probe", "warmup", "train", "test"):
        assert re.search(rf"^✓ {stage}\b", result.stdout + result.stderr, re.MULTILINE), stage
    assert (tmp_path / "runs" / "my_task" / "report.html").is_file()
