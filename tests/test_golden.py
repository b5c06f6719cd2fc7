"""Every golden case of `tests/golden/STAGE/*.md`. `UPDATE_GOLDEN=1` rewrites what is expected; read the diff."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from exgrpo_compiler.diagnostics import Diagnostic, has_errors
from exgrpo_compiler.lint.program import lint_program
from exgrpo_compiler.parse import parse_spec
from exgrpo_compiler.pipeline import check_spec
from exgrpo_compiler.source import Source
from tests.golden.harness import Case, Stage, read_cases, rewrite_case, run_case

GOLDEN = Path(__file__).parent / "golden"


def run_parse(source: Source, files: Mapping[str, Source]) -> Sequence[Diagnostic]:
    return parse_spec(source).diagnostics


def run_check(source: Source, files: Mapping[str, Source]) -> Sequence[Diagnostic]:
    base = Source("base.exg", (GOLDEN / "check" / "base.exg").read_text("utf-8"), "base")
    known = {"base.exg": base, **files}
    return check_spec(source, lambda target, _: known.get(target.removeprefix("./"))).diagnostics


def run_lint(source: Source, files: Mapping[str, Source]) -> Sequence[Diagnostic]:
    checked = check_spec(source, lambda target, _: files.get(target.removeprefix("./")))
    parsed = parse_spec(source).value
    if checked.value is None or parsed is None or has_errors(checked.diagnostics):
        return checked.diagnostics
    return (*checked.diagnostics, *lint_program(parsed, checked.value.program))


STAGES: dict[str, Stage] = {"parse": run_parse, "check": run_check, "lint": run_lint}


def find_cases() -> list[Case]:
    return [case for path in sorted(GOLDEN.glob("*/*.md")) for case in read_cases(path)]


@pytest.mark.parametrize("case", find_cases(), ids=lambda case: case.id)
def test_a_case_reports_what_is_expected(case: Case) -> None:
    actual = run_case(case, STAGES[case.path.parent.name])
    if os.environ.get("UPDATE_GOLDEN") == "1":
        rewrite_case(case, actual)
    else:
        assert actual == case.get_expected()


def test_every_stage_with_a_folder_has_cases() -> None:
    folders = {case.path.parent.name for case in find_cases()}
    assert folders == set(STAGES)


def test_an_unclosed_fence_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.md"
    path.write_text("# Case\nwhy\n```exg\nexg 1\n", encoding="utf-8")
    with pytest.raises(ValueError, match="never closed"):
        read_cases(path)


def test_a_heading_inside_a_fence_is_text(tmp_path: Path) -> None:
    path = tmp_path / "good.md"
    path.write_text("# Case\nwhy\n```exg\n# not a heading\n```\n", encoding="utf-8")
    assert [case.name for case in read_cases(path)] == ["Case"]


def test_a_case_without_prose_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.md"
    path.write_text("# Case\n```exg\nexg 1\n```\n", encoding="utf-8")
    with pytest.raises(ValueError, match="why the case is there"):
        read_cases(path)


def test_rewriting_adds_changes_and_removes_the_expectation(tmp_path: Path) -> None:
    path = tmp_path / "case.md"
    original = "# Case\nwhy\n\n```exg\nexg 1\n```\n\n# Next\nwhy\n\n```exg\nexg 1\n```\n"
    path.write_text(original, encoding="utf-8")
    for text in ("first", "second\nline"):
        rewrite_case(read_cases(path)[0], text)
        assert [case.get_expected() for case in read_cases(path)] == [text, ""]
    rewrite_case(read_cases(path)[0], "")
    assert path.read_text(encoding="utf-8") == original
