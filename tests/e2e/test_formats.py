"""Formats of `check` and `compile`, and `explain`, as a user runs them."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from exgrpo_compiler.registry import list_ids
from tests.support.cli import build_command, build_environment, run_exgrpo
from tests.support.sarif import find_violations
from tests.support.sums import write_sums

SHARED = "exg 1\n\nconst maxTokens = 500tok\n"
IMPORTER = 'exg 1\nuse "./shared.exg".{maxTokens}\n\nmodel tutor = openai("small") { temprature = 1 }\n'


@pytest.fixture
def specs(tmp_path: Path) -> Path:
    """Two specs that share a file with a warning, one of them a syntax error, one that is no text, one that is fine."""
    folder = tmp_path / "my specs"
    folder.mkdir()
    (folder / "shared.exg").write_text(SHARED)
    (folder / "one.exg").write_text(IMPORTER)
    (folder / "two.exg").write_text(IMPORTER.replace("temprature = 1 }", "temperature 1"))
    (folder / "latin.exg").write_bytes(b"exg 1\n// caf\xe9\n")
    (folder / "fine.exg").write_text("exg 1\n\nconst delta = 0.5\n")
    return folder


def run_check(specs: Path, format_: str, *names: str) -> subprocess.CompletedProcess[str]:
    return run_exgrpo("check", *(specs / name for name in names), "--format", format_, cwd=specs.parent)


def test_sarif_is_one_log_for_several_files(specs: Path) -> None:
    result = run_check(specs, "sarif", "one.exg", "two.exg", "latin.exg", "fine.exg")
    assert (result.returncode, result.stderr) == (1, "")
    log = json.loads(result.stdout)
    assert find_violations(log) == []
    found = [
        (each["ruleId"], each["locations"][0]["physicalLocation"]["artifactLocation"]["uri"])
        for each in log["runs"][0]["results"]
    ]
    assert ("not-utf8", "my%20specs/latin.exg") in found
    assert ("unknown-key", "my%20specs/one.exg") in found
    assert "my%20specs/two.exg" in {uri for _, uri in found}
    assert [uri for id_, uri in found if id_ == "name-style"] == ["my%20specs/shared.exg"], (
        "once, though imported twice"
    )


def test_sarif_of_a_right_spec_is_a_log_without_results(specs: Path) -> None:
    result = run_check(specs, "sarif", "fine.exg")
    assert (result.returncode, result.stderr) == (0, "")
    log = json.loads(result.stdout)
    assert find_violations(log) == []
    assert log["runs"][0]["results"] == []


def test_warnings_alone_exit_0_in_every_format(specs: Path) -> None:
    for format_ in ("human", "json", "sarif", "github"):
        assert run_check(specs, format_, "shared.exg").returncode == 0


def test_json_and_github_are_a_line_for_each(specs: Path) -> None:
    result = run_check(specs, "json", "one.exg", "latin.exg")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.returncode == 1
    assert {line["code"] for line in lines} == {"name-style", "unknown-key", "not-utf8"}
    assert (
        next(line for line in lines if line["code"] == "unknown-key")["data"]["fix"]["edits"][0]["newText"]
        == "temperature"
    )
    result = run_check(specs, "github", "one.exg", "latin.exg")
    assert result.returncode == 1
    commands = result.stdout.splitlines()
    assert len(commands) == len(lines)
    assert (
        "::error file=my specs/latin.exg,line=2,col=7,endLine=2,endColumn=8,title=not-utf8::" in result.stdout
    )


def test_human_output_ends_with_what_to_type_next(specs: Path) -> None:
    result = run_check(specs, "human", "one.exg")
    assert result.stdout == ""
    assert "\x1b" not in result.stderr
    *_, summary, advice = [
        line for line in result.stderr.splitlines() if not line.startswith("help: exgrpo fix")
    ]
    assert summary == "1 error, 1 warning"
    assert sorted(advice.removeprefix("help: exgrpo explain ").split()) == ["name-style", "unknown-key"]


def test_compile_keeps_stdout_for_the_document(tmp_path: Path) -> None:
    spec = write_sums(tmp_path)
    result = run_exgrpo("compile", spec, "--format", "sarif", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert find_violations(json.loads(result.stdout)) == []
    assert "build" in result.stderr


def read_terminal(arguments: list[str], cwd: Path, **env: str) -> str:
    """What a command writes where a person looks at it."""
    return watch(build_command(*arguments), cwd, env)


def watch(command: list[str], cwd: Path, env: dict[str, str]) -> str:
    """What a process writes to the terminal that it is started in."""
    parent, child = pty.openpty()
    environment = {**build_environment(), "TERM": "xterm-256color", "COLUMNS": "100", **env}
    process = subprocess.Popen(command, cwd=cwd, env=environment, stdout=child, stderr=child)
    os.close(child)
    shown = b""
    while True:
        try:
            part = os.read(parent, 65536)
        except OSError:
            break
        if not part:
            break
        shown += part
    os.close(parent)
    process.wait()
    return shown.decode("utf-8").replace("\r\n", "\n")


def test_a_terminal_gets_color_unless_it_wants_none(specs: Path) -> None:
    arguments = ["check", str(specs / "one.exg")]
    colored = read_terminal(arguments, specs)
    plain = read_terminal(arguments, specs, NO_COLOR="1")
    assert "\x1b[1;31m" in colored
    assert "\x1b" not in plain
    assert re.sub(r"\x1b\[[0-9;]*m", "", colored) == plain


def strip_codes(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"NO_COLOR": "1", "FORCE_COLOR": "1"}])
def test_a_terminal_without_color_gets_no_codes(specs: Path, env: dict[str, str]) -> None:
    shown = read_terminal(["check", str(specs / "one.exg")], specs, **env)
    assert "\x1b" not in shown
    assert "error[unknown-key]" in shown


def test_color_is_forced_where_there_is_no_terminal(specs: Path) -> None:
    plain = run_check(specs, "human", "one.exg").stderr
    forced = run_exgrpo(
        "check", specs / "one.exg", cwd=specs.parent, env={"FORCE_COLOR": "1", "COLUMNS": "40"}
    ).stderr
    assert "\x1b[1;31m" in forced
    assert strip_codes(forced) == plain, "and nothing is wrapped"


def test_a_narrow_terminal_wraps_messages_and_hints_and_never_source_lines(specs: Path) -> None:
    command = ["check", str(specs / "one.exg")]
    wide = strip_codes(read_terminal(command, specs, COLUMNS="500"))
    assert wide == run_check(specs, "human", "one.exg").stderr
    narrow = strip_codes(read_terminal(command, specs, COLUMNS="40"))
    source = [line for line in wide.splitlines() if re.match(r" *\d* \|", line) or "-->" in line]
    assert max(map(len, source)) > 40
    assert [line for line in narrow.splitlines() if re.match(r" *\d* \|", line) or "-->" in line] == source
    message = next(line for line in wide.splitlines() if line.startswith("error["))
    assert len(message) > 40
    at = narrow.splitlines().index(next(line for line in narrow.splitlines() if line.startswith("error[")))
    first, second = narrow.splitlines()[at : at + 2]
    assert second.startswith("  ")
    assert len(first) <= 40
    assert " ".join(narrow.split()) == " ".join(wide.split()), "not a word is lost"


def test_rich_is_loaded_for_a_terminal_that_shows_something_and_else_never(specs: Path) -> None:
    script = (
        "import sys\nfrom exgrpo_dsl.cli.quick import run_quickly\n"
        "run_quickly(['check', sys.argv[1]])\nprint('rich' in sys.modules, file=sys.stderr)\n"
    )

    def check(name: str) -> list[str]:
        return [sys.executable, "-c", script, str(specs / name)]

    assert watch(check("one.exg"), specs, {}).split()[-1] == "True"
    assert watch(check("fine.exg"), specs, {}).split()[-1] == "False"
    piped = subprocess.run(
        check("one.exg"), env=build_environment(), capture_output=True, text=True, check=False
    )
    assert piped.stderr.split()[-1] == "False"


def test_explain_shows_a_page_plainly_or_for_a_terminal(tmp_path: Path) -> None:
    result = run_exgrpo("explain", "unknown-key", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("# unknown-key\n\nerror: ")
    shown = read_terminal(["explain", "unknown-key"], tmp_path)
    assert "\x1b" in shown
    assert "##" not in shown
    assert "Why it is bad" in shown


def test_explain_alone_lists_every_diagnostic(tmp_path: Path) -> None:
    result = run_exgrpo("explain", cwd=tmp_path)
    assert [line.split()[0] for line in result.stdout.splitlines()] == list(list_ids())
    result = run_exgrpo("explain", "--format", "json", cwd=tmp_path)
    pages = [json.loads(line) for line in result.stdout.splitlines()]
    assert [page["id"] for page in pages] == list(list_ids())
    assert set(pages[0]) == {"id", "severity", "summary", "what", "why", "example", "fix", "url"}


def test_explain_of_an_unknown_id_says_which_was_meant(tmp_path: Path) -> None:
    result = run_exgrpo("explain", "unkown-key", cwd=tmp_path)
    assert result.returncode == 2
    assert "did you mean `unknown-key`?" in result.stderr
    assert "Traceback" not in result.stderr
