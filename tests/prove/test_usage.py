"""Names that nothing needs: the edit that removes an import, and what counts as a use."""

from __future__ import annotations

import pytest

from exgrpo_compiler.ir import CheckedProbes
from exgrpo_compiler.prove.filters import build_condition, can_be_met
from tests.support.compiling import GSM8K, check
from tests.support.training import find_cases

BASE = """exg 1
use "./base.exg".{ITEMS}

task t {
  data = rows; student = student
  stage probe = ask(split: train)
  stage train = grpo(lesson, reward: score, steps: 1, group: { full: 4, partial: 4 })
}
"""


@pytest.mark.parametrize(
    "items",
    [
        "{poems, rows, student, ask, lesson, score}",
        "{rows, student, poems, ask, lesson, score}",
        "{rows, student, ask, lesson, score, poems}",
        "{rows, student, ask, lesson, score, poems as verses}",
        "{rows, student, ask, lesson, score, why}",
    ],
)
def test_the_fix_takes_an_unused_import_out_and_nothing_else(items: str) -> None:
    text = BASE.replace("{ITEMS}", items)
    (found,) = check(text)
    assert found.id in ("unused-import", "unused-rule")
    assert found.fix is not None
    assert found.fix.is_safe
    (edit,) = found.fix.edits
    mended = text[: edit.span.start] + edit.text + text[edit.span.end :]
    assert check(mended) == ()
    assert mended == BASE.replace("{ITEMS}", "{rows, student, ask, lesson, score}")


@pytest.mark.parametrize(
    ("condition", "most", "is_met", "is_met_untrained"),
    [
        ("1 <= solved(student, probes) < count(probes)", 10, True, False),
        ("1 <= solved(student, probes) < count(probes)", 1, False, False),
        ("solved(student, probes) > count(probes)", 10, False, False),
        ("solved(student, probes) == count(probes)", 3, True, False),
        ("solved(student, probes) < count(probes)", 1, True, True),
        ("count(probes) >= 5", 4, False, False),
        ("count(probes) >= 5", 5, True, True),
        ("solved(student, probes) >= 2 or count(probes) == 3", 3, True, True),
        ("2 * solved(student, probes) > count(probes)", 3, True, False),
        ("words(item.question) > 3", 3, True, True),
    ],
)
def test_what_a_filter_lets_through(condition: str, most: int, is_met: bool, is_met_untrained: bool) -> None:
    written = "1 <= solved(student, probes) < count(probes)"
    (case,) = find_cases(GSM8K.replace(written, condition)).rewards
    (probes,) = [one for one in case.program.known.values() if isinstance(one, CheckedProbes)]
    built = build_condition(probes.keeps[1].condition)
    assert can_be_met(built, most) == is_met
    assert can_be_met(built, most, is_untrained=True) == is_met_untrained
