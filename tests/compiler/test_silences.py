"""Silences: which places a comment covers, and what becomes of one that is wrong. Cases with renderings are in tests/golden."""

from __future__ import annotations

import pytest

from exgrpo_compiler.diagnostics import Diagnostic
from exgrpo_compiler.hints import GENERAL_HINTS
from exgrpo_compiler.parse import parse_spec
from exgrpo_compiler.silences import ON_REQUEST, apply_silences, drop_silenced
from exgrpo_compiler.source import Source, Span
from tests.support.compiling import check

TASK = """
dataset rows {
  source = jsonl("rows.jsonl")
  split train = 80%
  split test = 20%
  field question: text
  secret field gold: number
}
model student = scratch { layers = 2; width = 64; heads = 4; vocab = 512 }
dialogue ask(item: rows) {
  user = "{{ item.question }}"
  assistant final: number.last = "The answer is {{ item.gold }}."
  scenario plain = first(0)
}
reward right(d: ask, item: rows) -> 0..1 { total = matches(d.final, item.gold) }
task sums {
  data = rows; student = student; seed = 1
  stage warmup = sft(ask, epochs: 1, lr: 1e-3)
  stage test = evaluate(ask.plain, on: rows.test, score: right.total)
}
"""


def silence(text: str, *words: str, severity: str = "warning", id_: str = "name-style") -> list[str]:
    """Ids that are left of a diagnostic at each word, after the silences of a text."""
    source = Source("spec.exg", text, "spec")
    parsed = parse_spec(source)
    assert parsed.value is not None
    found = []
    for word in words:
        start = text.index(word)
        found.append(Diagnostic(id_, severity, "M.", Span(source, start, start + len(word))))  # type: ignore[arg-type]
    return [each.id for each in apply_silences([parsed.value], found)]


MANY_LINES = """exg 1
dialogue ask(item: rows) {
  // allow: name-style -- r
  system = \"\"\"
    One.
    Two.
    \"\"\"
  user = "three"
  // allow: name-style -- r
  for probe in probes {
    user = "four"
    assistant a = "five"
  }
}
"""


@pytest.mark.parametrize(
    ("word", "is_silenced"),
    [
        ("system", True),
        ("One", True),
        ("Two", True),
        ("three", False),
        ("for", True),
        ("four", False),
        ("five", False),
    ],
)
def test_a_statement_is_covered_whole_and_a_block_in_its_first_line(word: str, is_silenced: bool) -> None:
    assert silence(MANY_LINES, word) == ([] if is_silenced else ["name-style"])


def test_a_comment_at_the_end_of_a_line_covers_that_line() -> None:
    text = "exg 1\nconst a = 1 // allow: name-style -- r\nconst b = 2\n"
    assert silence(text, "a =") == []
    assert silence(text, "b =") == ["name-style"]


def test_a_comment_above_covers_the_next_line_and_no_other() -> None:
    text = "exg 1\nconst a = 1\n// allow: name-style -- r\n\n// more\nconst b = 2\nconst c = 3\n"
    assert silence(text, "a =", "b =", "c =") == ["name-style", "name-style"]


def test_a_comment_at_the_end_of_the_file_covers_nothing_else() -> None:
    assert silence("exg 1\nconst a = 1\n// allow: name-style -- r", "a =") == ["name-style"]


def test_several_ids_share_a_reason() -> None:
    text = "exg 1\n// allow: name-style , dangling-doc -- r -- and more\nconst a = 1\n"
    assert silence(text, "a =") == []
    assert silence(text, "a =", id_="dangling-doc") == []
    assert silence(text, "a =", id_="continued-line") == ["continued-line"]


@pytest.mark.parametrize(
    "comment", ["// allow:", "// allow: name-style", "// allow: name-style --  ", "// allow: -- r"]
)
def test_a_silence_that_is_not_whole_silences_nothing(comment: str) -> None:
    assert silence(f"exg 1\n{comment}\nconst a = 1\n", "a =") == ["name-style", "silence-without-reason"]


def test_an_error_stays_and_its_silence_is_reported() -> None:
    text = "exg 1\n// allow: name-style -- r\nconst a = 1\n"
    assert silence(text, "a =", severity="error") == ["name-style", "silenced-error"]


def test_other_comments_are_none() -> None:
    for comment in ("// allowed: name-style -- r", "// Allow: name-style -- r", "/// allow: name-style -- r"):
        assert silence(f"exg 1\n{comment}\nconst a = 1\n", "a =") == ["name-style"]


def test_a_warning_inside_of_a_template_is_silenced_above_its_statement() -> None:
    system = 'system = """\n    {% set one = 1 %}\n    Think.\n    """\n'
    loud = TASK.replace("  user =", f"  {system}  user =")
    silent = loud.replace("  system =", "  // allow: unused-parameter -- r\n  system =")
    assert [found.id for found in check("exg 1\n" + loud)] == ["unused-parameter"]
    assert check("exg 1\n" + silent) == ()


def test_an_unused_silence_is_reported_once_everything_has_run() -> None:
    comment = "// allow: continued-line -- r\n"
    assert [each.id for each in check("exg 1\n" + comment + TASK)] == ["unused-silence"]
    assert [each.id for each in check("exg 1\n" + comment + "const a = 1\n")] == []
    assert check("exg 1\n" + comment + TASK, "warmup.epochs=2") == ()
    with_error = check("exg 1\n" + comment + TASK.replace("lr: 1e-3", "lrr: 1e-3"))
    assert "unused-silence" not in [each.id for each in with_error]


def test_the_fix_of_an_unused_silence_removes_it() -> None:
    text = "exg 1\n// allow: continued-line -- r\n" + TASK
    (found,) = check(text)
    assert found.fix is not None
    ((span, replacement),) = found.fix.edits
    assert check(text[: span.start] + replacement + text[span.end :]) == ()


def test_what_is_looked_for_on_request_is_not_called_unused() -> None:
    for id_ in sorted(ON_REQUEST & set(GENERAL_HINTS)):
        assert check(f"exg 1\n// allow: {id_} -- r\n" + TASK) == ()


def test_a_silence_of_an_imported_file_counts_there_only() -> None:
    lib = "exg 1\n// allow: name-style -- r\nconst oneName = 1\nconst otherName = 2\n"
    found = check('exg 1\nuse "./lib.exg".{oneName}\nconst thirdName = oneName\n', files={"./lib.exg": lib})
    assert [(each.id, each.message.split("`")[1]) for each in found] == [
        ("name-style", "thirdName"),
        ("name-style", "otherName"),
    ]


def test_what_is_found_later_can_be_silenced_too() -> None:
    source = Source("spec.exg", "exg 1\n// allow: name-style -- r\nconst a = 1\nconst b = 2\n", "spec")
    parsed = parse_spec(source)
    assert parsed.value is not None
    found = [Diagnostic("name-style", "warning", "M.", Span(source, at, at + 1)) for at in (40, 52)]
    assert drop_silenced([parsed.value], found) == (found[1],)


def test_without_silences_the_diagnostics_are_what_they_were() -> None:
    source = Source("spec.exg", "exg 1\n// a comment\nconst a = 1\n", "spec")
    parsed = parse_spec(source)
    assert parsed.value is not None
    found = (Diagnostic("name-style", "warning", "M.", Span(source, 25, 26)),)
    assert apply_silences([parsed.value], found) == found
