"""What the pages show is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from exgrpo_artifact.manifest import GrpoStage, SftStage
from exgrpo_artifact.record import get_fields
from exgrpo_compiler.builtins import AGGREGATES, FILTER_CALLS, FORMS, FUNCTIONS, JUDGES, OUTCOMES, STAGES
from exgrpo_compiler.diagnostics import Diagnostic
from exgrpo_compiler.pipeline import check_spec
from exgrpo_compiler.render.human import render_human
from exgrpo_compiler.source import Source
from exgrpo_dsl.loading import load_module
from scripts.build_docs import build_diagnostics, build_language, write_files
from tests.support.data import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def find_blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text("utf-8"), re.DOTALL)


def check_text(text: str) -> tuple[Diagnostic, ...]:
    return check_spec(Source("page.exg", text, "page.exg"), load_module).diagnostics


def test_readme_shows_a_complete_spec_that_checks() -> None:
    blocks = find_blocks(ROOT / "README.md", "exg")
    assert len(blocks) == 1
    assert check_text(blocks[0]) == ()


def test_readme_shows_the_message_that_a_mistake_in_that_spec_gives() -> None:
    (spec,) = find_blocks(ROOT / "README.md", "exg")
    diagnostics = check_text(
        spec.replace("Worked solution: {{ item.solution }}", "Worked solution: {{ item.soluton }}")
    )
    shown = render_human(diagnostics, color=False).replace("page.exg", "gsm8k.exg")
    assert shown.strip() in (ROOT / "README.md").read_text("utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_fences_are_closed(page: Path) -> None:
    assert page.read_text("utf-8").count("```") % 2 == 0


def test_declarations_of_the_language_page_are_a_spec() -> None:
    """Put together, the pieces of the page are one spec; what needs more than the page is left out by name."""
    blocks = find_blocks(ROOT / "docs" / "language.md", "exg")
    imports, rest = blocks[0], blocks[1:]
    assert "use std.rules as r" in imports
    imports = re.sub(r'.*"\./shared\.exg".*\n', "", imports)
    spec = "exg 1\n\n" + imports + "\n".join(rest)
    spec = spec.replace(" … Rule:", " Rule:")
    found = [diagnostic for diagnostic in check_text(spec) if diagnostic.severity == "error"]
    assert found == [], render_human(found, color=False)


def test_the_sources_of_the_data_page_check() -> None:
    (spec,) = find_blocks(ROOT / "docs" / "data.md", "exg")
    assert check_text(spec) == ()


def test_every_teacher_of_the_teachers_page_fits_its_spec() -> None:
    spec, *models = find_blocks(ROOT / "docs" / "teachers.md", "exg")
    assert check_text(spec) == ()
    declared = next(line for line in spec.splitlines() if line.startswith("model tutor"))
    assert len(models) >= 6
    for model in models:
        found = check_text(spec.replace(declared, model))
        assert found == (), model + render_human(found, color=False)


@pytest.mark.parametrize("stage", [GrpoStage, SftStage])
def test_options_that_the_method_page_names_exist(stage: type) -> None:
    text = (ROOT / "docs" / "method.md").read_text("utf-8")
    named = set(re.findall(r"`(group|compare|baseline|scale|loss|kl|clip|clip_high|aux|aux_batch)\b", text))
    assert named <= set(get_fields(GrpoStage))
    assert {"baseline", "scale", "kl", "aux"} <= named
    assert stage.__doc__


OPTIMIZER_DETAILS = ("embed_lr", "weight_decay", "warmup_steps", "schedule")


def test_the_method_page_names_every_choice_of_a_grpo_stage_with_its_default() -> None:
    """Where the paper is silent the choice is an option, and the page says which, why, and what it changes."""
    text = (ROOT / "docs" / "method.md").read_text("utf-8")
    rows = [
        line.split(" | ") for line in text.splitlines() if line.startswith("| ") and line.count(" | ") >= 3
    ]
    for name, setting in STAGES["grpo"].items():
        if name in ("dialogue", "reward", "split", "steps"):
            continue
        row = next((row for row in rows if re.search(rf"`{name}[`:]", row[2])), None)
        assert row is not None, name
        if setting.is_required or setting.default is None or name in OPTIMIZER_DETAILS:
            continue
        shown = f"{setting.default:g}" if isinstance(setting.default, float) else str(setting.default)
        assert re.search(rf"`{shown}(tok)?`", row[1]), (name, row[1])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_placeholder_is_left(page: Path) -> None:
    assert re.findall(r"^@[A-Z]+@$", page.read_text("utf-8"), re.MULTILINE) == []


def test_the_pages_of_the_diagnostics_are_those_of_the_registry() -> None:
    """`make docs` writes them."""
    directory = ROOT / "docs" / "diagnostics"
    written = {path.name: path.read_text("utf-8") for path in directory.iterdir()}
    assert written == build_diagnostics()


def test_the_tables_of_the_language_page_are_those_of_the_program() -> None:
    """`make docs` writes them."""
    page = (ROOT / "docs" / "language.md").read_text("utf-8")
    assert build_language(page) == page
    documented = {form.written.partition("(")[0] for form in FORMS}
    judges = {f"judge.{name}" for name in JUDGES}
    assert documented >= {*AGGREGATES, *OUTCOMES, *FILTER_CALLS, *judges}
    assert all(function.doc for function in FUNCTIONS.values())


def test_the_silence_that_the_index_shows_silences() -> None:
    (spec,) = find_blocks(ROOT / "docs" / "diagnostics" / "README.md", "exg")
    assert check_text(spec) == ()
    without = "\n".join(line for line in spec.split("\n") if "allow:" not in line)
    assert [found.id for found in check_text(without)] == ["name-style"]


def test_a_page_that_is_left_over_is_removed(tmp_path: Path) -> None:
    (tmp_path / "old.md").write_text("old")
    write_files(tmp_path, {"new.md": "new"})
    assert [path.name for path in tmp_path.iterdir()] == ["new.md"]
