"""Fixes over every golden case: what was applied is gone, nothing is worse, comments stay, and a second time changes nothing."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from exgrpo_compiler.diagnostics import Diagnostic, Edit, Fix
from exgrpo_compiler.fixes import apply_fixes, list_fixable
from exgrpo_compiler.parse import parse_spec
from exgrpo_compiler.problems import is_one_slip, suggest_fix
from exgrpo_compiler.source import Source, Span
from exgrpo_dsl.fixing import Fixed, fix_spec
from exgrpo_dsl.linting import lint_source
from exgrpo_dsl.rewriting import read_spec_text
from tests.golden.harness import Case, read_cases
from tests.support.data import ROOT

GOLDEN = ROOT / "tests" / "golden"
CASES = [
    case
    for stage in ("parse", "check")
    for path in sorted((GOLDEN / stage).glob("*.md"))
    for case in read_cases(path)
]

REVEALING = frozenset(
    {
        "parse/recovery: A comment of another language that hides a brace",
        "check/leftovers: Answers and rubrics that are not there",
        "check/reward: A scenario that the dialogue lacks",
        "check/silences: A silence of an error",
        "check/task: An evaluation of what does not exist",
    }
)
"""Cases in which mending one mistake would show another that it hid, so that the edit is left to the author."""


def fix_case(case: Case, folder: Path, *, is_unsafe: bool) -> tuple[Source, Fixed]:
    """The spec of a case before and after."""
    (folder / "base.exg").write_text((GOLDEN / "check" / "base.exg").read_text("utf-8"), "utf-8")
    for fence in case.fences:
        if fence.info.startswith("exg "):
            (folder / fence.info.removeprefix("exg ")).write_text(fence.text, "utf-8")
    main = case.get_fence("exg")
    assert main is not None
    spec = folder / "spec.exg"
    spec.write_bytes(main.text.encode())
    before = read_spec_text(str(spec))
    return before.source, fix_spec(before, is_unsafe=is_unsafe)


def rank_errors(source: Source) -> tuple[int, int]:
    """How many errors the syntax has, and how many there are in all: a syntax error hides others."""
    parsed, found = parse_spec(source).diagnostics, lint_source(source)
    return sum(each.severity == "error" for each in parsed), sum(each.severity == "error" for each in found)


def count_comments(text: str) -> int:
    return sum("//" in line for line in text.split("\n"))


@pytest.mark.parametrize("is_unsafe", [False, True], ids=["safe", "unsafe"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_fix_mends_what_it_says(case: Case, is_unsafe: bool, tmp_path: Path) -> None:
    before, fixed = fix_case(case, tmp_path, is_unsafe=is_unsafe)
    found = Counter((each.id, each.message) for each in fixed.remaining)
    was = Counter((each.id, each.message) for each in lint_source(before))
    for id_, message in {(each.id, each.message) for each in fixed.applied}:
        assert found[id_, message] < max(1, was[id_, message]), f"{id_}: {message}"
    rank, was_rank = rank_errors(fixed.source), rank_errors(before)
    assert rank <= was_rank
    if any(each.severity == "error" for each in fixed.applied):
        assert rank < was_rank
    if rank[0] == was_rank[0]:  # no syntax error hid anything: every error that is left was there
        new = {each.message for each in fixed.remaining if each.severity == "error"}
        assert new <= {each.message for each in lint_source(before)}
    assert (fixed.source.text != before.text) == bool(fixed.applied)
    removed = sum(each.id == "unused-silence" for each in fixed.applied)
    turned = sum(each.id == "bad-character" for each in fixed.applied)
    assert count_comments(before.text) - removed <= count_comments(fixed.source.text)
    assert count_comments(fixed.source.text) <= count_comments(before.text) + turned
    (tmp_path / "spec.exg").write_bytes(fixed.source.text.encode())
    again = fix_spec(read_spec_text(str(tmp_path / "spec.exg")), is_unsafe=is_unsafe)
    assert (again.source.text, again.applied) == (fixed.source.text, ())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_the_advice_to_fix_holds(case: Case, tmp_path: Path) -> None:
    before, fixed = fix_case(case, tmp_path, is_unsafe=False)
    promised = list_fixable(before, lint_source(before), is_unsafe=False)
    if case.id not in REVEALING:
        assert bool(promised) == bool(fixed.applied)
        assert list_fixable(fixed.source, fixed.remaining, is_unsafe=False) == ()


def test_safe_fixes_are_found_for_many_mistakes(tmp_path: Path) -> None:
    """The golden cases hold at least these mistakes that are mended safely."""
    mended: set[str] = set()
    for number, case in enumerate(CASES):
        folder = tmp_path / str(number)
        folder.mkdir()
        mended |= {each.id for each in fix_case(case, folder, is_unsafe=False)[1].applied}
    assert {
        "unknown-type",
        "mixed-braces",
        "syntax-error",
        "unit-mismatch",
        "continued-line",
        "missing-edition",
        "dangling-doc",
    } <= mended


# --- edits


def make_diagnostic(source: Source, start: int, end: int, text: str) -> Diagnostic:
    span = Span(source, start, end)
    return Diagnostic("x", "error", "X.", span, fix=Fix("x", (Edit(span, text),), is_safe=True))


def apply(text: str, *edits: tuple[int, int, str]) -> str:
    source = Source("spec.exg", text, "spec.exg")
    return apply_fixes(source, [make_diagnostic(source, *edit) for edit in edits]).text


def test_edits_are_applied_together() -> None:
    assert apply("abc", (0, 1, "x"), (2, 3, "y")) == "xby"


def test_of_two_edits_that_touch_the_first_is_applied() -> None:
    assert apply("abc", (0, 2, "x"), (1, 3, "y")) == "xc"
    assert apply("abc", (1, 1, "x"), (1, 1, "y")) == "axbc"


def test_a_line_of_which_nothing_is_left_goes_too() -> None:
    assert apply("a\n  b\nc\n", (4, 5, "")) == "a\nc\n"
    assert apply("a\n  b // c\n", (4, 5, "")) == "a\n  // c\n"
    assert apply("a  // b\nc\n", (3, 7, "")) == "a\nc\n"


# --- names that were meant


def test_one_slip_is_one_letter() -> None:
    assert all(is_one_slip("steps", other) for other in ("step", "stepps", "steqs", "stesp", "stops"))
    assert not any(is_one_slip("steps", other) for other in ("steps", "setps2", "stp", "tseps2"))


@pytest.mark.parametrize(
    ("name", "known", "is_safe"),
    [
        ("temprature", ["temperature", "top_p"], True),
        ("stpes", ["steps", "split"], True),
        ("p_ful", ["p_full", "p_fuel"], False),
        ("p2", ["p1"], False),
        ("temperatur_", ["temperature"], True),
        ("tmprature", ["temperature"], False),
    ],
)
def test_a_rename_is_safe_where_only_one_name_can_have_been_meant(
    name: str, known: list[str], is_safe: bool
) -> None:
    fix = suggest_fix(Span(Source("s", name, "s"), 0, len(name)), name, known)
    assert (fix is not None and fix.is_safe) == is_safe
