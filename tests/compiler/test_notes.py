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


REWARD = """
model tiny = scratch { layers = 3; width = 96; heads = 4; vocab = 512 }
reward right(d: lesson, item: rows) -> 0..1 {
  outcome = matches(d.final, item.gold)
  total   = outcome
}
task math {
  data = rows; student = tiny; seed = 1
  stage warmup = sft(lesson, epochs: 1, lr: 2e-2)
  stage train  = grpo(lesson, reward: right, group: { plain: 4 }, steps: 20, lr: 2e-4, scale: group, max_new: 64tok)
}
"""


def test_proofs_about_a_reward_compare_no_mathematics(spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checking starts no process and needs no extra, though attacks on the reward are run."""
    monkeypatch.setattr(boxed, "has_math", lambda: False)
    monkeypatch.setattr(boxed, "_compare", lambda answer, gold: pytest.fail("asked the worker"))
    lesson = SPEC.replace("KIND", "math.boxed")
    text = lesson[: lesson.rindex("}")] + "  scenario plain = all\n}\n" + REWARD
    spec.write_text(text, "utf-8")
    checked = CheckSession().check(str(spec))
    assert [item.id for item in checked.diagnostics if item.severity == "error"] == []
    assert any("`lesson.final`" in note for note in checked.notes)
