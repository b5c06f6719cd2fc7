"""docs/teachers.md, followed by the letter: its spec and rows against an endpoint, then from what that run recorded."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.runtime.factory import read_lines
from tests.support.cli import call_exgrpo, run_exgrpo
from tests.support.data import ROOT
from tests.support.openai_server import serve_teacher

PROBE = {"question": "Why does one add here?", "rationale": "Because she gets more.", "answer": "a sum"}

pytestmark = pytest.mark.train


def write_page(directory: Path) -> Path:
    """The spec and the rows of the page."""
    page = (ROOT / "docs" / "teachers.md").read_text("utf-8")
    spec, rows = (
        re.search(pattern, page, re.DOTALL) for pattern in (r"```exg\n(.*?)```", r"<<'ROWS'\n(.*?)ROWS\n")
    )
    assert spec is not None
    assert rows is not None
    (directory / "rows.jsonl").write_text(rows[1], "utf-8")
    (directory / "probing.exg").write_text(spec[1], "utf-8")
    return directory / "probing.exg"


def replace_tutor(spec: Path, model: str) -> None:
    text = spec.read_text("utf-8")
    spec.write_text(re.sub(r"^model tutor .*$", f"model tutor = {model}", text, flags=re.MULTILINE), "utf-8")


def test_a_run_is_repeated_from_its_own_store_without_any_endpoint(tmp_path: Path) -> None:
    spec = write_page(tmp_path)
    with serve_teacher(lambda _: json.dumps(PROBE)) as server:
        replace_tutor(spec, f'openai("any", base_url: "{server.url}") {{ max_tokens = 600tok }}')
        first = run_exgrpo("run", "probing.exg", "-o", "runs/probing", cwd=tmp_path)
    assert first.returncode == 0, first.stdout + first.stderr
    assert len(server.prompts) == 4
    replace_tutor(spec, 'replay("runs/probing/replies.sqlite")')
    plan = json.loads(call_exgrpo("plan", "probing.exg", "--format", "json", cwd=tmp_path).out)
    assert plan["usd"] == {"low": 0, "expected": 0, "worst": 0}
    again = run_exgrpo("run", "probing.exg", "-o", "runs/again", cwd=tmp_path)
    assert again.returncode == 0, again.stdout + again.stderr
    probes = [
        read_lines(tmp_path / "runs" / run / "stages/01-probe/probes.jsonl") for run in ("probing", "again")
    ]
    assert probes[0] == probes[1]
    assert [probe["fields"] for probe in probes[0]] == [PROBE] * 4


def test_a_row_that_was_not_recorded_stops_the_replay_beside_the_nearest(tmp_path: Path) -> None:
    spec = write_page(tmp_path)
    replace_tutor(spec, 'replay("recorded.jsonl")')
    (tmp_path / "recorded.jsonl").write_text('{"prompt": "Question: Ann has 3 apples.", "text": "7"}\n')
    result = run_exgrpo("run", "probing.exg", "-o", "out", cwd=tmp_path)
    assert result.returncode == 3
    assert (
        "model `tutor`: recorded.jsonl holds no reply to this request. The nearest recorded request"
        in result.stderr
    )
    assert re.search(
        r"differs first at character 26: it was '.*apples\.', and is '.*apples and gets 4 more", result.stderr
    )
