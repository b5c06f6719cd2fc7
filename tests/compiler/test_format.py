"""The formatter's style, case by case, and the specs that are held to it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from exgrpo_compiler.format.flat import WIDTH
from exgrpo_compiler.format.formatting import format_source
from exgrpo_compiler.semantic_hash import compute_semantic_hash
from exgrpo_compiler.source import Source
from tests.support.compiling import GSM8K, LESSONS, STD_RULES, load
from tests.support.data import ROOT

LONG = ", ".join(f"a_name_of_some_length_{number}" for number in range(8))


def format_text(text: str) -> str:
    formatted = format_source(Source("spec.exg", text, "spec.exg")).value
    assert formatted is not None
    return formatted


def lay_out(statements: str) -> str:
    """The statements of a task, formatted, without the task."""
    lines = format_text(f"exg 1\n\ntask t {{\n{statements}\n}}\n").split("\n")
    return "\n".join(line.removeprefix("  ") for line in lines[3:-2])


@pytest.mark.parametrize(
    "path", sorted([*ROOT.glob("specs/**/*.exg"), *ROOT.glob("tests/**/*.exg")]), ids=str
)
def test_every_spec_of_the_project_is_formatted(path: Path) -> None:
    text = path.read_text("utf-8")
    assert format_text(text) == text


def test_the_examples_of_the_design_page_are_in_the_style() -> None:
    page = ROOT.parent / "shared" / "reference" / "language.md"
    if not page.is_file():
        pytest.skip("the design page of the language is not part of the project")
    for block in re.findall(r"```exg\n(.*?)```", page.read_text("utf-8"), re.DOTALL):
        assert format_text(block) == block


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a=1\nlonger  =  2", "a      = 1\nlonger = 2"),
        ("a = 1\n\nlonger = 2", "a = 1\n\nlonger = 2"),
        ("a = 1\n\n\n\nb = 2", "a = 1\n\nb = 2"),
        ("a = 1; longer = 2", "a = 1; longer = 2"),
        ("a = 1;\nb = 2;", "a = 1\nb = 2"),
        ("split x = 1\nstage y = 2", "split x = 1\nstage y = 2"),
        ("secret field a: text = b\nsecret field long: number\nfield c: text",
         "secret field a:    text   = b\nsecret field long: number\nfield c: text"),
        ("expect a.b == 1\nexpect a.longer == 2", "expect a.b      == 1\nexpect a.longer == 2"),
        ("variant a { x = 1 }\nvariant longer { y = 2 }", "variant a      { x = 1 }\nvariant longer { y = 2 }"),
        ("on_failure = drop_group\na = 1\nbcd = 2", "on_failure = drop_group\na   = 1\nbcd = 2"),
        ("a = f( x,y ,z:1 )", "a = f(x, y, z: 1)"),
        ("a = [1,2,]", "a = [1, 2]"),
        ("a = [\n1,\n2 ]", "a = [\n  1,\n  2,\n]"),
        ("a = {b:1}", "a = { b: 1 }"),
        ("a = [{b:1}]", "a = [ { b: 1 } ]"),
        ("a = -  b*(-1)", "a = -b * (-1)"),
        ("a = 0 .. 1", "a = 0..1"),
        ("a = x|f|g( 1 )", "a = x | f | g(1)"),
        ("a = b\n  + c", "a = b + c"),
        ("a = b // why\n  + c", "a = b +   // why\n    c"),
        ("a = 1 // one\nbcd = 2 // two", "a   = 1   // one\nbcd = 2   // two"),
        ("lora { rank = 16 }", "lora { rank = 16 }"),
        ("lora {\nrank = 16 }", "lora {\n  rank = 16\n}"),
        ("lora { // note\nrank = 16 }", "lora {   // note\n  rank = 16\n}"),
        ("lora { rank = 16 // note\n}", "lora {\n  rank = 16   // note\n}"),
        ("lora {\n}", "lora {}"),
        ("yields { a: text; b: text }", "yields { a: text, b: text }"),
        ("yields {\na: text\nb: text }", "yields {\n  a: text,\n  b: text,\n}"),
        ("a = mean(x\nwhere y\nelse 0)", "a = mean(x where y else 0)"),
        ('a = """\n        kept\n      """', 'a = """\n      kept\n    """'),
    ],
)  # fmt: skip
def test_the_style(before: str, after: str) -> None:
    assert lay_out(before) == after


def test_long_lists_are_filled_and_hang() -> None:
    assert lay_out(f"rules = [{LONG}]") == (
        "rules = [a_name_of_some_length_0, a_name_of_some_length_1, a_name_of_some_length_2, a_name_of_some_length_3,\n"
        "         a_name_of_some_length_4, a_name_of_some_length_5, a_name_of_some_length_6, a_name_of_some_length_7]"
    )


def test_line_breaks_of_the_author_stay_where_the_whole_does_not_fit() -> None:
    kept = f"train = grpo(lesson,\n             {LONG[:60]},\n             group: {{ full: 4, partial: 4 }}, {LONG[:40]})"
    assert lay_out(kept) == kept
    assert lay_out("train = grpo(lesson,\n  steps: 1)") == "train = grpo(lesson, steps: 1)"


def test_long_expressions_break_after_their_loosest_sign() -> None:
    first, second, third = (f"a_rather_long_name_{letter * 30}" for letter in "abc")
    assert lay_out(f"total = {first} * {second} + {third} * 2") == (
        f"total = {first} * {second} +\n        {third} * 2"
    )


def test_no_line_is_longer_than_it_must_be() -> None:
    text = f"exg 1\nuse std.rules.{{{LONG}}}\ntask t {{ a = f({LONG}); b = [{LONG}] + {LONG.replace(',', ' +')} }}\n"
    assert max(map(len, format_text(text).split("\n"))) <= WIDTH


def test_declarations_stand_apart_and_short_ones_may_stand_together() -> None:
    text = "exg 1\nmodel a = f(1)\nmodel longer = f(2)\ntask t { x = 1 }\ntask u {\nx = 1 }\n// end"
    assert format_text(text) == (
        "exg 1\n\nmodel a      = f(1)\nmodel longer = f(2)\ntask t { x = 1 }\n\ntask u {\n  x = 1\n}\n\n// end\n"
    )


def test_a_file_with_syntax_errors_is_not_formatted() -> None:
    outcome = format_source(Source("spec.exg", "exg 1\n\ntask t { a = }\n", "spec.exg"))
    assert outcome.value is None
    assert [each.severity for each in outcome.diagnostics] == ["error"]


def test_a_documentation_comment_never_changes_what_it_documents() -> None:
    text = "exg 1\ntask t {\na = 1\n/// of nothing\n;\nb = 2 /// trailing\n}\n"
    assert format_text(text) == (
        "exg 1\n\ntask t {\n  a = 1\n  /// of nothing\n  ;\n  b = 2   /// trailing\n}\n"
    )


# --- the semantic hash


def compute_hash(text: str) -> str:
    outcome = compute_semantic_hash(Source("spec.exg", text, "spec.exg"), load)
    assert outcome.value is not None, outcome.diagnostics
    return outcome.value


def mangle(text: str) -> str:
    """Another layout of the same: more blanks, more comments, no alignment."""
    lines = [line if '"""' in line else re.sub(r" +=", " =", line) for line in text.split("\n")]
    return "\n".join([*lines, "", "", "// the end"]).replace("\n\n", "\n\n\n// a comment\n", 1)


@pytest.mark.parametrize("text", [GSM8K, LESSONS, STD_RULES], ids=["gsm8k", "lessons", "rules"])
def test_layout_and_comments_leave_the_semantic_hash(text: str) -> None:
    assert compute_hash(mangle(text)) == compute_hash(text)
    assert compute_hash(format_text(mangle(text))) == compute_hash(text)


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        (GSM8K, "0.5 if", "0.4 if"),
        (GSM8K, "Worked solution", "Solution"),
        (GSM8K, "lr: 1e-5", "lr: 2e-5"),
        (STD_RULES, "Ask why", "Say why"),
        (STD_RULES, "/// Why a decisive", "/// How a decisive"),
    ],
)
def test_what_a_spec_means_changes_its_semantic_hash(text: str, old: str, new: str) -> None:
    assert old in text
    assert compute_hash(text.replace(old, new, 1)) != compute_hash(text)


def test_a_spec_with_errors_has_no_semantic_hash() -> None:
    assert compute_semantic_hash(Source("s", "exg 1\n\nconst a = b\n", "s"), load).value is None
