"""One slip of an author is one report, at its place, and two slips are two: a sample of what `benchmarks/slips.py` counts."""

from __future__ import annotations

from functools import cache

import pytest

from benchmarks import slips
from benchmarks.slips import Slip, count_reports, draw_slips, find_reports, join_slips, list_slips, misspell
from exgrpo_compiler.fixes import apply_fixes
from tests.support.compiling import GSM8K


@cache
def read_specs() -> dict[str, str]:
    return slips.read_specs()


def show(slip: Slip) -> str:
    return f"{slip.kind}: {slip.put}"


def test_the_specs_of_the_library_the_tests_and_the_readme_are_slipped_in() -> None:
    names = " ".join(read_specs())
    assert all(
        name in names for name in ("gsm8k.exg", "lessons.exg", "rules.exg", "word_problems.exg", "README.md")
    )


def test_a_slip_is_never_more_than_two_reports_and_nearly_always_one_that_shows_its_line() -> None:
    found = [counted for slip in draw_slips(read_specs(), 2) if (counted := count_reports(slip)).reports]
    assert len(found) > 350
    assert [show(each.slip) for each in found if len(each.reports) > 2] == []
    assert sum(len(each.reports) == 1 for each in found) >= 0.95 * len(found)
    assert sum(each.is_placed for each in found) >= 0.95 * len(found)


def test_slips_in_two_declarations_are_both_reported() -> None:
    pairs = [(slip, len(find_reports(slip.name, slip.text))) for slip in join_slips(read_specs(), 4)]
    assert len(pairs) > 15
    assert [show(slip) for slip, count in pairs if count != 2] == []


def test_a_misspelt_word_is_one_letter_from_the_word() -> None:
    assert list(misspell("split")) == ["splt", "spliit", "splti"]


@pytest.mark.parametrize(
    ("written", "slip", "message"),
    [
        ("    assistant explain =", "    assistent explain =", "`assistent` begins no statement."),
        (
            '  user = "{{ item.question',
            '  usr = "{{ item.question',
            "Dialogue `tutorial` has no setting `usr`.",
        ),
        ("reward exgrpo(d", "reward exgrpo d", "Expected `{`, `(` or `->`, found `d`."),
        (" else 0\n  total", " else: 0\n  total", "No `:` follows `else`."),
        ("teacher = tutor", "model = tutor", "Probes `invert` has no setting `model`."),
        ("group = [ full", "group = full", "This `]` closes nothing."),
        ("for probe in sample(probes, 5) {", "for probe in sample(probes, 5):", "Expected `{`, found `:`."),
        ("sample(probes, 5)", "sample(5, probes)", "`sample` draws from `probes` here."),
        ("uniform(1, k - 1)", "uniform(k - 1, 1)", "`uniform` draws from its first number up to its second"),
        ("  total   =", "  totl   =", "Reward `exgrpo` has no `total`."),
        ("matches(d.final, item.gold)", "matches(item.solution, d.final)", "`matches` takes the turn first"),
    ],
)
def test_a_mistake_that_used_to_be_several_is_one(written: str, slip: str, message: str) -> None:
    assert GSM8K.count(written) >= 1
    (found,) = find_reports("gsm8k.exg", GSM8K.replace(written, slip))
    assert found.message.startswith(message)


def test_a_name_that_is_declared_wrong_is_said_once_and_mended_everywhere() -> None:
    text = GSM8K.replace("reward exgrpo(", "reward exgropo(")
    (found,) = find_reports("gsm8k.exg", text)
    assert found.message == "There is no reward `exgrpo`."
    assert len(found.labels) > 1
    assert found.fix is not None
    mended = apply_fixes(found.span.source, [found]).text
    assert find_reports("gsm8k.exg", mended) == ()


def test_every_slip_of_a_kind_stands_where_it_is_said_to() -> None:
    for slip in list_slips("gsm8k.exg", GSM8K):
        assert slip.text != GSM8K
        assert slip.text[: slip.start] == GSM8K[: slip.start]
