"""Diagnostics as people and tools see them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from exgrpo_artifact.record import replace
from exgrpo_compiler.diagnostics import Diagnostic, Edit, Fix, Label
from exgrpo_compiler.render.human import measure_width, render_advice, render_human, summarize
from exgrpo_compiler.render.json_lines import render_json
from exgrpo_compiler.source import Source, Span


def make_problem(text: str, word: str, **parts: object) -> Diagnostic:
    source = Source("spec.exg", text, "spec")
    start = text.index(word)
    span = Span(source, start, start + len(word))
    return Diagnostic("unknown-name", "error", f"`{word}` is not known", span, **parts)  # type: ignore[arg-type]


def test_a_diagnostic_shows_its_place() -> None:
    problem = make_problem("exg 1\n  total = outcom + 1\n", "outcom", hint="did you mean `outcome`?")
    assert render_human([problem], color=False) == (
        "error[unknown-name]: `outcom` is not known\n"
        " --> spec.exg:2:11\n"
        "  |\n"
        "2 |   total = outcom + 1\n"
        "  |           ^^^^^^\n"
        "  = hint: did you mean `outcome`?\n"
        "\n"
        "1 error"
    )


def test_labels_stand_with_their_own_lines_and_files() -> None:
    text = "a = 1\nb = a\n"
    other = Source("lib.exg", "\n" * 11 + "c = 2", "lib")
    source = Source("spec.exg", text, "spec")
    labels = (
        Label(Span(source, 10, 11), "used here"),
        Label(Span(source, 0, 1), "defined here"),
        Label(Span(other, 11, 12), "and there"),
    )
    problem = Diagnostic("some-name", "warning", "message", Span(source, 6, 7), labels)
    assert render_human([problem], color=False) == (
        "warning[some-name]: message\n"
        "  --> spec.exg:2:1\n"
        "   |\n"
        " 2 | b = a\n"
        "   | ^\n"
        "   |     - used here\n"
        "  --> spec.exg:1:1\n"
        "   |\n"
        " 1 | a = 1\n"
        "   | - defined here\n"
        "  --> lib.exg:12:1\n"
        "   |\n"
        "12 | c = 2\n"
        "   | - and there\n"
        "\n"
        "1 warning"
    )


@pytest.mark.parametrize(
    ("line", "column"),
    [
        ("abc XX", 4),
        ("数学 XX", 5),
        ("\tXX", 4),
        ("ab\tXX", 4),
        ("e\u0301 XX", 2),
        ("\x00 XX", 2),
        ("\u200b XX", 2),
    ],
)
def test_the_caret_stands_under_the_word(line: str, column: int) -> None:
    shown, marks = render_human([make_problem(line, "XX")], color=False).split("\n")[3:5]
    assert marks == "  | " + " " * column + "^^"
    assert measure_width(shown[: shown.index("XX")]) == 4 + column


def test_a_span_over_two_lines_is_marked_on_both() -> None:
    problem = make_problem("ab cd\n  ef gh", "cd\n  ef")
    assert render_human([problem], color=False).split("\n")[3:7] == [
        "1 | ab cd",
        "  |    ^^",
        "2 |   ef gh",
        "  |   ^^",
    ]


def test_a_span_over_many_lines_shows_the_first_and_the_last() -> None:
    source = Source("spec.exg", "\n" * 8 + "a = [\n  1,\n  2\n] + b\n", "spec")
    start = source.text.index("a")
    whole, inner = Span(source, start, start + 16), Span(source, start + 4, start + 16)
    problem = Diagnostic("x", "error", "m", whole, (Label(inner, "a list"),))
    assert render_human([problem], color=False).split("\n")[1:] == [
        "  --> spec.exg:9:1",
        "   |",
        " 9 | a = [",
        "   | ^^^^^",
        " …",
        "12 | ] + b",
        "   | ^",
        "   |     -",
        " …",
        "12 | ] + b",
        "   | - a list",
        "",
        "1 error",
    ]


def test_a_span_that_ends_with_its_line_is_on_one_line() -> None:
    problem = make_problem("ab cd\n\nef", "cd\n\n")
    assert render_human([problem], color=False).split("\n")[3:5] == ["1 | ab cd", "  |    ^^"]
    assert "…" not in render_human([replace(problem, hint="h")], color=False)


@pytest.mark.parametrize("width", [3, 200, 5000])
def test_a_span_over_long_lines_is_shown_around_its_ends(width: int) -> None:
    text = "a" * width + "X\n" + "b" * width + "Y" + "c" * width
    start = width
    source = Source("spec.exg", text, "spec")
    problem = Diagnostic("x", "error", "m", Span(source, start, 2 * width + 3))
    rows = render_human([problem], color=False).split("\n")[3:7]
    assert max(map(len, rows)) < 200
    assert rows[0][rows[1].index("^")] == "X"
    assert rows[2][rows[3].rindex("^")] == "Y"


def test_the_end_of_a_file_can_be_marked() -> None:
    source = Source("spec.exg", "ab", "spec")
    problem = Diagnostic("x", "error", "m", Span(source, 2, 2))
    assert render_human([problem], color=False).split("\n")[1:5] == [
        " --> spec.exg:1:3",
        "  |",
        "1 | ab",
        "  |   ^",
    ]


def test_a_very_long_line_is_shown_around_the_place() -> None:
    problem = make_problem("a" * 5000 + "XX" + "b" * 5000, "XX")
    shown, marks = render_human([problem], color=False).split("\n")[3:5]
    assert len(shown) < 200
    assert shown[marks.index("^") : marks.rindex("^") + 1] == "XX"


def test_nothing_in_a_message_moves_the_cursor() -> None:
    problem = make_problem("a\x1b[2J", "\x1b[2J", hint="\r\n\x07")
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", render_human([problem], color=False))


def test_color_adds_nothing_but_color() -> None:
    problems = [make_problem("ab cd", "cd", hint="x")]
    colored = render_human(problems, color=True)
    assert colored != render_human(problems, color=False)
    assert re.sub(r"\x1b\[[0-9;]*m", "", colored) == render_human(problems, color=False)


@pytest.mark.parametrize(
    ("severities", "expected"),
    [
        ([], "no problems"),
        (["error"], "1 error"),
        (["error", "error", "warning"], "2 errors, 1 warning"),
        (["warning", "warning"], "2 warnings"),
    ],
)
def test_the_summary_counts(severities: list[str], expected: str) -> None:
    source = Source("spec.exg", "", "spec")
    problems = [Diagnostic("x", each, "m", Span(source, 0, 0)) for each in severities]  # type: ignore[arg-type]
    assert summarize(problems) == expected


def test_nothing_is_rendered_as_nothing() -> None:
    assert render_human([], color=True) == ""
    assert render_json([]) == ""


def test_json_speaks_the_language_server_protocol() -> None:
    text = "exg 1\n\U0001f600 outcom\n"
    source = Source("spec.exg", text, "spec")
    label = Label(Span(source, 0, 3), "here")
    lines = render_json([make_problem(text, "outcom", hint="h", labels=(label,))] * 2).split("\n")
    assert lines.pop() == ""
    assert len(lines) == 2
    assert json.loads(lines[0]) == {
        "uri": "spec.exg",
        "range": {"start": {"line": 1, "character": 3}, "end": {"line": 1, "character": 9}},
        "severity": 1,
        "code": "unknown-name",
        "codeDescription": {
            "href": "https://github.com/exgrpo/exgrpo/blob/main/docs/diagnostics/unknown-name.md"
        },
        "source": "exgrpo",
        "message": "`outcom` is not known",
        "relatedInformation": [
            {
                "location": {
                    "uri": "spec.exg",
                    "range": {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 3}},
                },
                "message": "here",
            }
        ],
        "data": {"hint": "h", "fix": None},
    }


def test_every_error_of_the_golden_cases_has_a_hint() -> None:
    golden = Path(__file__).resolve().parents[1] / "golden"
    without = [
        first
        for page in golden.rglob("*.md")
        for block in re.findall(r"```diagnostics\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
        for first, *rest in (part.split("\n") for part in re.split(r"\n(?=error\[|warning\[)", block))
        if first.startswith("error[") and not any(" = hint: " in line for line in rest)
    ]
    assert without == []


def test_the_advice_names_what_was_found_and_what_can_be_mended() -> None:
    source = Source("my specs/a.exg", "ab", "a")
    span = Span(source, 0, 1)
    plain = Diagnostic("x-y", "error", "M.", Span(Source("b.exg", "ab", "b"), 0, 1))
    fixed = replace(plain, id="z-y", span=span, fix=Fix("write `b`", (Edit(span, "b"),), is_safe=True))
    unsafe = replace(fixed, fix=Fix("write `b`", (Edit(span, "b"),)))
    assert render_advice([plain, plain, unsafe]) == "help: exgrpo explain x-y z-y"
    assert render_advice([fixed]) == "help: exgrpo explain z-y\nhelp: exgrpo fix 'my specs/a.exg' mends it"
    assert render_advice([plain, fixed, fixed]).endswith("mends 2 of them")


def test_the_advice_stays_short_where_much_is_wrong() -> None:
    problems = [
        Diagnostic(
            f"x-{index}", "error", "M.", Span(Source(f"{index}.exg", "a", "a"), 0, 1), fix=Fix("t", (), True)
        )
        for index in range(40)
    ]
    assert render_advice(problems) == "help: exgrpo explain ID\nhelp: exgrpo fix FILES mends 40 of them"


def test_the_advice_names_no_file_for_a_value_of_the_command_line() -> None:
    span = Span(Source("--set", "ab", "--set"), 0, 1)
    problem = Diagnostic("x-y", "error", "M.", span, fix=Fix("write `b`", (Edit(span, "b"),), is_safe=True))
    assert render_advice([problem]) == "help: exgrpo explain x-y"


def test_a_person_is_shown_the_first_of_many_and_errors_before_warnings() -> None:
    source = Source("a.exg", "a\n" * 30, "a")
    problems = [
        Diagnostic("x-y", "error" if at >= 25 else "warning", f"M{at}.", Span(source, 2 * at, 2 * at + 1))
        for at in range(30)
    ]
    shown = render_human(problems, color=False, limit=7)
    assert re.findall(r"M\d+\.", shown) == ["M0.", "M1.", *(f"M{at}." for at in range(25, 30))]
    assert shown.endswith("… and 23 more in a.exg; fix these first\n\n5 errors, 25 warnings")
    assert render_human(problems, color=False, limit=30) == render_human(problems, color=False)
