"""Diagnostics for tools: JSON lines, SARIF, and workflow commands of GitHub."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from exgrpo_artifact.record import replace
from exgrpo_compiler.diagnostics import Diagnostic, Edit, Fix, Label
from exgrpo_compiler.render.github import render_github
from exgrpo_compiler.render.json_lines import render_json
from exgrpo_compiler.render.places import build_path, build_uri
from exgrpo_compiler.render.sarif import render_sarif
from exgrpo_compiler.source import Source, Span
from tests.support.compiling import check
from tests.support.sarif import find_violations

SOURCE = Source("specs/a b.exg", "exg 1\n\U0001f600 outcom\nlast", "a b")
OTHER = Source("/lib/rules.exg", "exg 1\nrule", "rules")
FIX = Fix("write `outcome`", (Edit(Span(SOURCE, 8, 14), "outcome"), Edit(Span(OTHER, 0, 0), "x")), True)
PROBLEM = Diagnostic(
    "unknown-name",
    "error",
    "There is no `outcom`.",
    Span(SOURCE, 8, 14),
    (Label(Span(OTHER, 6, 10), "here"),),
    "h",
    FIX,
)
BROKEN = {
    "clean": "exg 1\n\nconst delta = 0.5\n",
    "warning": "exg 1\n\nconst maxTokens = 5\n",
    "syntax": "exg 1\n\nconst = \nmodel { { ( \n",
    "no header": "",
    "no text": "exg 1\nconst x = \x00\ud800\n",
    "many": 'exg 1\nmodel m = openai("x") { temprature = 1; max_tokens = 5 }\nrule r { }\nconst a = b\n',
}


def test_a_fix_is_edits_with_their_files() -> None:
    (line,) = render_json([PROBLEM]).splitlines()
    data = json.loads(line)
    assert data["uri"] == "specs/a%20b.exg"
    assert data["codeDescription"]["href"].endswith("/docs/diagnostics/unknown-name.md")
    assert data["data"]["fix"] == {
        "title": "write `outcome`",
        "isSafe": True,
        "edits": [
            {
                "uri": "specs/a%20b.exg",
                "range": {"start": {"line": 1, "character": 3}, "end": {"line": 1, "character": 9}},
                "newText": "outcome",
            },
            {
                "uri": "file:///lib/rules.exg",
                "range": {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 0}},
                "newText": "x",
            },
        ],
    }


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_a_sarif_log_is_valid_whatever_was_found(text: str) -> None:
    diagnostics = check(text)
    log = json.loads(render_sarif(diagnostics))
    assert find_violations(log) == []
    results = log["runs"][0]["results"]
    assert [result["ruleId"] for result in results] == [found.id for found in diagnostics]
    assert [result["level"] for result in results] == [found.severity for found in diagnostics]


def test_a_sarif_log_holds_places_rules_and_fixes() -> None:
    log = json.loads(render_sarif([PROBLEM, PROBLEM, replace(PROBLEM, id="unit-mismatch", fix=None)]))
    assert find_violations(log) == []
    (run,) = log["runs"]
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["unknown-name", "unit-mismatch"]
    assert run["tool"]["driver"]["rules"][0]["help"]["markdown"].startswith("# unknown-name")
    result = run["results"][0]
    assert result["message"] == {"text": "There is no `outcom`. Hint: h"}
    region = {"startLine": 2, "startColumn": 3, "endLine": 2, "endColumn": 9}
    (place,) = result["locations"]
    assert place["physicalLocation"] == {"artifactLocation": {"uri": "specs/a%20b.exg"}, "region": region}
    assert (
        result["relatedLocations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        == "file:///lib/rules.exg"
    )
    (fix,) = result["fixes"]
    assert [change["artifactLocation"]["uri"] for change in fix["artifactChanges"]] == [
        "specs/a%20b.exg",
        "file:///lib/rules.exg",
    ]
    assert fix["artifactChanges"][0]["replacements"] == [
        {"deletedRegion": region, "insertedContent": {"text": "outcome"}}
    ]
    assert "fixes" not in run["results"][2]


def test_the_log_of_a_diagnostic_without_a_page_is_valid() -> None:
    assert find_violations(json.loads(render_sarif([replace(PROBLEM, id="of-a-plugin")]))) == []


def spoil(log: dict[str, Any], path: str, value: object) -> None:
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    for part in parents:
        log = log[part]  # type: ignore[index]
    log[last] = value  # type: ignore[index]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("version", "2.0.0"),
        ("runs.0.extra", 1),
        ("runs.0.results.0.level", "fatal"),
        ("runs.0.results.0.message", {}),
        ("runs.0.results.0.ruleIndex", -1),
        ("runs.0.results.0.ruleId", "other"),
        ("runs.0.results.0.locations.0.physicalLocation.region.startColumn", 0),
        ("runs.0.results.0.locations.0.physicalLocation.artifactLocation.uri", "a b.exg"),
        ("runs.0.results.0.fixes.0.artifactChanges", []),
        ("runs.0.tool.driver.informationUri", "exgrpo"),
        ("runs.0.results.0.relatedLocations", [{"id": 1}, {"id": 1}]),
    ],
)
def test_an_invalid_log_is_recognised(path: str, value: object) -> None:
    log = json.loads(render_sarif([PROBLEM]))
    spoil(log, path, value)
    assert find_violations(log) != []


def test_a_workflow_command_escapes_what_would_end_it() -> None:
    source = Source("C:\\specs\\a,b.exg", "exg 1\nab", "a")
    problem = Diagnostic("unknown-name", "warning", "100 % of a: b, c.", Span(source, 6, 8), hint="x")
    assert render_github([problem]) == (
        "::warning file=C%3A/specs/a%2Cb.exg,line=2,col=1,endLine=2,endColumn=3,title=unknown-name"
        "::100 %25 of a: b, c.%0Ahint: x\n"
    )


def test_a_workflow_command_has_no_columns_over_several_lines() -> None:
    command = render_github([replace(PROBLEM, span=Span(SOURCE, 8, 17))])
    assert command.startswith("::error file=specs/a b.exg,line=2,endLine=3,title=unknown-name::")


def test_nothing_found_is_nothing_printed_but_an_empty_log() -> None:
    assert (render_json([]), render_github([])) == ("", "")
    assert json.loads(render_sarif([]))["runs"][0]["results"] == []


@pytest.mark.parametrize(
    ("name", "base", "path", "uri"),
    [
        ("a.exg", "", "a.exg", "a.exg"),
        ("./a.exg", "", "a.exg", "a.exg"),
        ("/w/s/a.exg", "/w", "s/a.exg", "s/a.exg"),
        ("/w/s/a.exg", "/w/", "s/a.exg", "s/a.exg"),
        ("/ww/a.exg", "/w", "/ww/a.exg", "file:///ww/a.exg"),
        ("s\\a.exg", "", "s/a.exg", "s/a.exg"),
        ("C:\\w\\a.exg", "C:\\w", "a.exg", "a.exg"),
        ("C:\\w\\a.exg", "", "C:/w/a.exg", "file:///C:/w/a.exg"),
        ("ü#%.exg", "", "ü#%.exg", "%C3%BC%23%25.exg"),
    ],
)
def test_paths_have_forward_slashes_and_are_relative_where_they_can_be(
    name: str, base: str, path: str, uri: str
) -> None:
    assert (build_path(name, base), build_uri(name, base)) == (path, uri)


def test_a_command_is_one_line_for_each_diagnostic() -> None:
    diagnostics = check(BROKEN["many"])
    assert len(diagnostics) > 3
    for line, found in zip(render_github(diagnostics).splitlines(), diagnostics, strict=True):
        assert re.match(rf"::{found.severity} file=spec\.exg,line=\d+,.*title={found.id}::", line)
