"""SARIF logs against the schema of the standard itself, whatever a command finds in whatever files.

`tests/support/sarif.py` needs nothing installed and asks for more (rules that are named by their index, nothing that exgrpo has no use
for); this is what says that it asks for no less.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft4Validator, FormatChecker

from exgrpo_compiler.render.sarif import render_sarif
from tests.compiler.test_formats import BROKEN, PROBLEM, spoil
from tests.support.cli import call_exgrpo
from tests.support.node import load_sarif_schema
from tests.support.sarif import find_violations

CLEAN = "exg 1\n\nconst delta = 0.5\n"
LEAK = """exg 1

use "./rows.exg".{rows}

model student = hf("s")

dialogue tell(item: rows) {
  user = "{{ item.gold }}"
  assistant final: number.last
  scenario plain = all
}
"""
ROWS = """exg 1

dataset rows {
  source = jsonl("rows.jsonl")
  split train = 100%
  field question: text
  secret field gold: number
}
"""
FILES: dict[str, dict[str, str | bytes]] = {
    "a clean spec": {"a.exg": CLEAN},
    "hits of lints": {
        "a.exg": 'exg 1\n\nmodel tutor = openai("x")\n\nrule why {\n  instruction = "Why?"\n}\n'
    },
    "a syntax error": {"a.exg": "exg 1\n\nconst = \nmodel { { (\n"},
    "a file without a line break": {"a.exg": "exg"},
    "an empty file": {"a.exg": ""},
    "no text": {"a.exg": b"\xff\xfe\x00"},
    "a silenced warning": {"a.exg": "exg 1\n\n// allow: name-style -- theirs\nconst maxTokens = 5\n"},
    "a silence of nothing": {"a.exg": "exg 1\n\n// allow: no-budget -- theirs\nconst delta = 5\n"},
    "several files": {"a.exg": CLEAN, "b.exg": "exg 1\nconst b = c\n", "c.exg": "exg 1\nmodel\n"},
    "labels in another file": {"a.exg": LEAK, "rows.exg": ROWS},
    "characters of every kind": {
        "äöü 界 #%&?.exg": 'exg 1\n\nrule ü {\n  instruction = "\U0001f600 {{ outcom }} \u202e\u2028"\n}\nconst 界 = \x07\n'
    },
    "line ends of another system": {
        "a.exg": b"\xef\xbb\xbfexg 1\r\n\r\nconst maxTokens = 5\r\nconst a = b\r\n"
    },
    "edits": {"a.exg": 'exg 1\nmodel m = openai("x") { temprature = 1 }\n'},
}


@pytest.fixture(scope="module")
def find_faults() -> Callable[[Any], list[str]]:
    """What the schema of the standard says against a log."""
    schema = load_sarif_schema()
    Draft4Validator.check_schema(schema)
    validator = Draft4Validator(schema, format_checker=FormatChecker(["uri", "uri-reference"]))
    return lambda log: [f"{list(error.path)}: {error.message}" for error in validator.iter_errors(log)]


@pytest.mark.parametrize("command", ["check", "lint"])
@pytest.mark.parametrize("files", FILES.values(), ids=FILES)
def test_a_log_is_valid_whatever_was_found(
    files: dict[str, str | bytes], command: str, tmp_path: Path, find_faults: Callable[[Any], list[str]]
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    called = call_exgrpo(command, *files, "--format", "sarif", cwd=tmp_path)
    log = json.loads(called.out)
    assert find_faults(log) == []
    assert find_violations(log) == []
    found = [result["level"] for result in log["runs"][0]["results"]]
    assert (called.code, called.err) == (1 if "error" in found else 0, "")


def test_the_logs_above_hold_what_they_are_called(tmp_path: Path) -> None:
    for case, files in FILES.items():
        folder = tmp_path / case
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    ids = {
        case: {
            result["ruleId"]
            for result in json.loads(
                call_exgrpo("lint", *files, "--format", "sarif", cwd=tmp_path / case).out
            )["runs"][0]["results"]
        }
        for case, files in FILES.items()
    }
    assert ids["a clean spec"] == ids["a silenced warning"] == {"missing-doc"}
    assert {"no-budget", "missing-doc"} <= ids["hits of lints"]
    assert "syntax-error" in ids["a syntax error"] | ids["a file without a line break"]
    assert ids["a silence of nothing"] == {"missing-doc", "unused-silence"}
    assert "secret-leak" in ids["labels in another file"]
    assert ids["no text"] == {"not-utf8"}


def test_a_log_of_a_wrong_override_is_valid(tmp_path: Path, find_faults: Callable[[Any], list[str]]) -> None:
    (tmp_path / "a.exg").write_text(CLEAN)
    called = call_exgrpo("check", "a.exg", "--set", "nobody.home=1", "--format", "sarif", cwd=tmp_path)
    assert called.code == 1
    assert find_faults(json.loads(called.out)) == []


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_the_schema_agrees_with_the_parts_written_out_here(
    text: str, find_faults: Callable[[Any], list[str]]
) -> None:
    from tests.support.compiling import check

    log = json.loads(render_sarif(check(text)))
    assert find_faults(log) == find_violations(log) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("version", "2.0.0"),
        ("runs.0.extra", 1),
        ("runs.0.results.0.level", "fatal"),
        ("runs.0.results.0.message", {}),
        ("runs.0.results.0.locations.0.physicalLocation.region.startColumn", 0),
        ("runs.0.results.0.fixes.0.artifactChanges", []),
        ("runs.0.tool.driver.informationUri", "no uri"),
        ("runs.0.results.0.relatedLocations", [{"id": 1}, {"id": 1}]),
    ],
)
def test_the_schema_refuses_an_invalid_log(
    path: str, value: object, find_faults: Callable[[Any], list[str]]
) -> None:
    log = json.loads(render_sarif([PROBLEM]))
    spoil(log, path, value)
    assert find_faults(log) != []
