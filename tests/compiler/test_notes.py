"""What `check` says that it could not look at."""

from __future__ import annotations

from pathlib import Path

import pytest

from exgrpo_artifact import boxed
from exgrpo_dsl.checking import CheckSession
from exgrpo_dsl.cli.quick import check_paths

SPEC = '''exg 1

dataset rows {
  source = jsonl("rows.jsonl")
  split train = 80%
  field question: text
  secret field gold: text
}

dialogue lesson(item: rows) {
  user = "{{ item.question }}"
  assistant final: KIND = """\\boxed{ {{ item.gold }} }"""
}
'''


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    return tmp_path / "spec.exg"


def test_math_equality_is_said_to_be_unchecked_without_math_verify(
    spec: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(boxed, "has_math", lambda: False)
    spec.write_text(SPEC.replace("KIND", "math.boxed"), "utf-8")
    checked = CheckSession().check(str(spec))
    assert checked.diagnostics == ()
    assert len(checked.notes) == 1
    assert "`lesson.final`" in checked.notes[0]
    assert "exgrpo[math]" in checked.notes[0]
    assert check_paths([str(spec)], None) == 0
    assert capsys.readouterr().err.startswith("note: Mathematical equality is unchecked")


def test_nothing_is_said_where_it_is_installed_or_not_needed(
    spec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boxed, "has_math", lambda: True)
    spec.write_text(SPEC.replace("KIND", "math.boxed"), "utf-8")
    assert CheckSession().check(str(spec)).notes == ()
    monkeypatch.setattr(boxed, "has_math", lambda: False)
    spec.write_text(SPEC.replace("KIND", "number.boxed"), "utf-8")
    assert CheckSession().check(str(spec)).notes == ()
