"""The tools around the language on files that are no specs: one message, its exit code, and nothing written or changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.cli import call_exgrpo, run_exgrpo

COMMANDS = [
    *(
        ["check"],
        ["check", "--format", "sarif"],
        ["check", "--format", "json"],
        ["check", "--format", "github"],
    ),
    *(
        ["fmt"],
        ["fmt", "--check"],
        ["lint"],
        ["fix"],
        ["fix", "--unsafe"],
        ["test"],
        ["test", "--mutate"],
        ["stress"],
    ),
    *(["preview"], ["graph"], ["graph", "--format", "svg"], ["compile"], ["compile", "--emit", "tokens"]),
    *(["compile", "--emit", "resolved"], ["compile", "--emit", "ir"]),
]
NO_SPECS: dict[str, bytes] = {
    "empty": b"",
    "binary": bytes(range(256)) * 20,
    "latin": b"exg 1\n// caf\xe9\n",
    "utf16": "exg 1\n".encode("utf-16"),
    "null": b"exg 1\x00\n",
    "blank": b"\xef\xbb\xbf\r\n \r\n",
    "quote": b'exg 1\nmodel m = "',
    "braces": b"exg 1\n" + b"{" * 3000,
}


def list_contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_told(called: object, codes: set[int]) -> None:
    out, err, code = called.out, called.err, called.code  # type: ignore[attr-defined]
    assert code in codes, (code, err)
    assert out or err, "something is said"
    assert "Traceback" not in err
    assert "internal error" not in err


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_what_is_no_spec_is_told_and_left_alone(command: list[str], tmp_path: Path) -> None:
    for name, content in NO_SPECS.items():
        (tmp_path / f"{name}.exg").write_bytes(content)
    before = list_contents(tmp_path)
    for name in NO_SPECS:
        # A file without a test, a reward or a task is a mistake of the command (2); tokens are not judged.
        mends = command[0] == "fix" and name in ("empty", "blank")
        codes = {0} if mends or command[-1] == "tokens" else {1, 2}
        assert_told(call_exgrpo(*command, f"{name}.exg", cwd=tmp_path), codes | {1})
        if mends:
            assert (tmp_path / f"{name}.exg").read_bytes().lstrip(b"\xef\xbb\xbf").startswith(b"exg 1")
            (tmp_path / f"{name}.exg").write_bytes(before[f"{name}.exg"])
        assert list_contents(tmp_path) == before, name


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_what_cannot_be_read_is_told_by_its_name(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "loop.exg").symlink_to("loop.exg")
    (tmp_path / "folder").mkdir()
    with (tmp_path / "huge.exg").open("wb") as file:
        file.truncate(17 << 20)
    for name in ("missing.exg", "loop.exg", "folder", "huge.exg", "/dev/null"):
        called = call_exgrpo(*command, name, cwd=tmp_path)
        assert_told(called, {2})
        assert name in called.err


@pytest.mark.parametrize(
    "command", [one for one in COMMANDS if one[0] != "fmt" and one[-1] != "tokens"], ids=" ".join
)
def test_an_import_that_cannot_be_read_is_told_by_its_name(command: list[str], tmp_path: Path) -> None:
    with (tmp_path / "huge.exg").open("wb") as file:
        file.truncate(17 << 20)
    (tmp_path / "loop.exg").symlink_to("loop.exg")
    (tmp_path / "latin.exg").write_bytes(NO_SPECS["latin"])
    for name in ("huge", "loop", "latin"):
        (tmp_path / "spec.exg").write_text(f'exg 1\n\nuse "./{name}.exg".{{x}}\n')
        called = call_exgrpo(*command, "spec.exg", cwd=tmp_path)
        assert_told(called, {1, 2})
        assert f"{name}.exg" in called.out + called.err


def test_a_file_whose_name_is_no_text_is_reported_in_every_format(tmp_path: Path) -> None:
    (tmp_path / "caf\udce9.exg").write_text("exg 1\nconst maxTokens = 1\n")
    for format_ in ("human", "json", "sarif", "github"):
        result = run_exgrpo("check", tmp_path, "--format", format_, cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        assert "name-style" in result.stdout + result.stderr
    log = json.loads(run_exgrpo("check", tmp_path, "--format", "sarif", cwd=tmp_path).stdout)
    (place,) = log["runs"][0]["results"][0]["locations"]
    assert place["physicalLocation"]["artifactLocation"]["uri"] == "caf%E9.exg"


def test_output_that_cannot_be_written_is_told_with_what_to_do(tmp_path: Path) -> None:
    assert call_exgrpo("new", "sums", "--kind", "math", cwd=tmp_path).code == 0
    before = list_contents(tmp_path)
    for command in (["graph", "sums.exg", "-o", "/proc/no/where.mmd"], ["doc", ".", "-o", "/proc/no/where"]):
        called = call_exgrpo(*command, cwd=tmp_path)
        assert_told(called, {3})
        assert "cannot be written" in called.err
        assert called.err.rstrip().endswith("Give another -o.")
    called = call_exgrpo("graph", "sums.exg", "-o", ".", cwd=tmp_path)
    assert_told(called, {2})
    assert "is a directory" in called.err
    assert list_contents(tmp_path) == before
