"""The registry of diagnostics: every id has a page, every page an id, and what the pages show is so."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from exgrpo_compiler.registry import MalformedPageError, Page, find_page, list_ids, read_page, suggest_id
from tests.support.cli import build_environment
from tests.support.data import ROOT
from tests.support.pages import find_raised_ids, run_sample

GOOD = (
    "# a-b\n\nerror: All is wrong.\n\n## What it does\nx\n\n## Why it is bad\ny\n\n"
    "## Example\n```exg\nexg 1\n```\n\n## Fix\n```exg\nexg 1\n```\nMore.\n"
)


SILENCED = {"silenced-error": {"unit-mismatch"}}
"""An error that is silenced is reported all the same; every other example gives one error only."""


NEEDS_TOKENIZER = ("prompt-budget", "template-drift")
"""Their pages load a tokenizer, which the extra `train` can."""


def get_page(id_: str) -> Page:
    page = find_page(id_)
    assert page is not None
    return page


def test_every_diagnostic_has_a_page_and_every_page_a_diagnostic() -> None:
    raised = find_raised_ids()
    assert {"syntax-error", "unknown-name", "bad-override", "dialogue-shape", "not-utf8"} <= raised
    assert sorted(raised - set(list_ids())) == [], "these have no page"
    assert sorted(set(list_ids()) - raised) == [], "these are never reported"


def test_every_diagnostic_has_a_golden_case_unless_it_takes_a_command_to_see_it() -> None:
    golden = "\n".join(path.read_text("utf-8") for path in (ROOT / "tests" / "golden").rglob("*.md"))
    shown = set(re.findall(r"^(?:error|warning)\[([a-z0-9-]+)\]", golden, re.MULTILINE))
    assert [id_ for id_ in list_ids() if id_ not in shown and not get_page(id_).example.commands] == []


@pytest.mark.parametrize("id_", list_ids())
def test_the_example_gives_the_diagnostic(id_: str, tmp_path: Path) -> None:
    page = get_page(id_)
    if id_ in NEEDS_TOKENIZER:
        pytest.importorskip("transformers", reason="needs the extra `train`")
    reported = run_sample(page.example, tmp_path)
    assert (page.severity, id_) in reported
    assert {each for severity, each in reported if severity == "error"} <= {id_, *SILENCED.get(id_, ())}


@pytest.mark.parametrize("id_", list_ids())
def test_the_fix_is_clean(id_: str, tmp_path: Path) -> None:
    if id_ in NEEDS_TOKENIZER:
        pytest.importorskip("transformers", reason="needs the extra `train`")
    reported = run_sample(get_page(id_).fix, tmp_path)
    assert id_ not in {each for _, each in reported}
    assert [each for severity, each in reported if severity == "error"] == []


@pytest.mark.parametrize("id_", list_ids())
def test_a_page_says_enough_in_sentences(id_: str) -> None:
    page = get_page(id_)
    assert re.fullmatch(r"[A-Z`].*\.", page.summary)
    for part in (page.what, page.why):
        assert 60 <= len(part) <= 900, "two to four lines"
        assert part.endswith((".", "?", "`", ")"))
    assert page.example != page.fix


def test_a_page_is_read_in_its_parts() -> None:
    page = read_page("a-b", GOOD)
    assert (page.severity, page.summary, page.what, page.why) == ("error", "All is wrong.", "x", "y")
    assert (page.example.spec, page.example.commands, page.example.files) == ("exg 1\n", "", ())


def test_further_files_and_commands_belong_to_a_sample() -> None:
    fences = "```exg name=lib.exg\nexg 1\n```\n```exg\nexg 1\n## no heading\n```\n```console\n$ exgrpo check spec.exg\n```\n"
    sample = read_page("a-b", GOOD.replace("```exg\nexg 1\n```\n", fences, 1)).example
    assert sample.files == (("lib.exg", "exg 1\n"),)
    assert sample.spec == "exg 1\n## no heading\n"
    assert sample.commands == "$ exgrpo check spec.exg\n"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# a-b", "# b-a"),
        ("error: All", "fatal: All"),
        ("error: All is wrong.", "error: All is wrong.\nand more"),
        ("## Why it is bad", "## Why"),
        ("## Example\n```exg\nexg 1\n```", "## Example"),
        ("## Fix\n```exg\nexg 1\n```", "## Fix\n```exg\nexg 1\n```\n```exg\nexg 1\n```"),
        ("## Fix\n```exg", "## Fix\n```sh"),
    ],
)
def test_a_page_of_another_form_is_refused(old: str, new: str) -> None:
    assert old in GOOD
    with pytest.raises(MalformedPageError):
        read_page("a-b", GOOD.replace(old, new))


def test_an_unknown_id_has_no_page() -> None:
    assert find_page("no-such-thing") is None
    assert find_page("../hints") is None
    assert suggest_id("unkown-name") == "unknown-name"
    assert suggest_id("zzz") is None


def test_pages_are_found_in_a_zip_archive(tmp_path: Path) -> None:
    """As they are where the packages are imported from a `.pyz`."""
    archive = tmp_path / "exgrpo.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for package in ("exgrpo_artifact", "exgrpo_compiler"):
            for path in (ROOT / "compiler" / package).rglob("*"):
                if path.suffix in (".py", ".md", ".lark"):
                    packed.write(path, path.relative_to(ROOT / "compiler"))
    code = (
        "from exgrpo_compiler import registry as r; "
        "print(r.__file__, len(r.list_ids()), r.find_page('unknown-name').severity, r.find_page('x'))"
    )
    environment = {**os.environ, "PYTHONPATH": str(archive)}
    shown = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert shown[0].startswith(str(archive))
    assert shown[1:] == [str(len(list_ids())), "error", "None"]


def test_nothing_is_read_before_a_page_is_asked_for() -> None:
    code = "import sys, exgrpo_compiler.registry; print('importlib.resources' in sys.modules)"
    shown = subprocess.run(
        [sys.executable, "-c", code], env=build_environment(), capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == "False"
