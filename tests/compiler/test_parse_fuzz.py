"""Any text gives a tree and diagnostics, never an exception; words for people, never the grammar's own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exgrpo_compiler.ast import SpecFile
from exgrpo_compiler.diagnostics import Outcome, has_errors
from exgrpo_compiler.parse import MAX_DEPTH, parse_expression, parse_spec
from exgrpo_compiler.render.human import render_human
from exgrpo_compiler.render.json_lines import render_json
from exgrpo_compiler.source import Source
from exgrpo_compiler.syntax import grammar_tables
from exgrpo_compiler.syntax.parser_stack import ParserStack
from exgrpo_compiler.syntax.terminals import PUNCTUATION
from exgrpo_compiler.syntax.tree import Token
from tests.golden.harness import read_cases

SPEC = (Path(__file__).parent / "example.exg").read_text(encoding="utf-8")
WORDS = sorted(
    set(re.findall(r"[a-z_]+|[0-9.%]+|\S", SPEC)) | {'"""', "\n", "\n  ", "//", "///", "\\", "&&", "é"}
)
TERMINALS = re.compile(rf"\b({'|'.join(PUNCTUATION)}|NAME|NUMBER|STRING|[A-Z]+_[A-Z]+|__ANON\w*|\$END)\b")


def check_text(text: str) -> Outcome[SpecFile]:
    """Parses, and holds every promise that is made for any text."""
    source = Source("spec.exg", text, "spec")
    outcome = parse_spec(source)
    assert outcome.value is not None
    for problem in outcome.diagnostics:
        for span in (problem.span, *(label.span for label in problem.labels)):
            assert 0 <= span.start <= span.end <= len(text)
        words = re.sub(r"`[^`]*`", "", problem.message)
        assert not TERMINALS.search(words), problem.message
    if not has_errors(outcome.diagnostics):
        assert outcome.value.lost_names == frozenset()
        assert not any(decl.is_damaged for decl in outcome.value.decls)
    assert render_human(outcome.diagnostics, color=True).count("\x1b[") % 2 == 0
    render_json(outcome.diagnostics)
    parse_expression(source)
    return outcome


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_read(text: str) -> None:
    check_text(text)


@settings(deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=60))
def test_any_sequence_of_words_is_read(words: list[str]) -> None:
    check_text(" ".join(words))


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_damage_to_a_spec_is_read(data: st.DataObject) -> None:
    text = SPEC
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        length = data.draw(st.integers(0, 30))
        text = text[:start] + data.draw(st.sampled_from(["", *WORDS])) + text[start + length :]
    check_text(text)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, len(SPEC)))
def test_any_beginning_of_a_spec_is_read(end: int) -> None:
    check_text(SPEC[:end])


WRITTEN = {
    **{terminal: word for word, terminal in grammar_tables.WORDS.items()},
    **PUNCTUATION,
    "NAME": "x",
    "NUMBER": "1",
    "STRING": '"s"',
    "BLOCK_STRING": '"""\n  s\n  """',
    "RAW_STRING": "`s`",
    "COMPARISON": "<",
}


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_any_beginning_of_a_sentence_of_the_grammar_is_read(data: st.DataObject) -> None:
    """Every token is one that the grammar has a place for, so that deep constructs are reached."""
    stack = ParserStack("file")
    words: list[str] = []
    for _ in range(data.draw(st.integers(0, 60))):
        terminal = data.draw(st.sampled_from(sorted(stack.find_accepted())))
        assert stack.feed(Token(terminal, WRITTEN[terminal], 0, 0))
        words.append(WRITTEN[terminal])
    separator = data.draw(st.sampled_from([" ", "\n", " // c\n", "\n/// d\n"]))
    check_text(separator.join(words))


def find_tokens() -> list[re.Match[str]]:
    return list(re.finditer(r'"""[\s\S]*?"""|"[^"\n]*"|`[^`]*`|//[^\n]*|\w+|\S', SPEC))


def test_a_token_taken_away_is_one_report_and_leaves_the_other_declarations() -> None:
    """One mistake is one report; a bracket gone can look like two mistakes, never like a flood."""
    whole = check_text(SPEC).value
    assert whole is not None
    counts: list[int] = []
    for match in find_tokens():
        if match[0].startswith("//"):
            continue
        outcome = parse_spec(Source("spec.exg", SPEC[: match.start()] + SPEC[match.end() :], "spec"))
        assert outcome.value is not None
        kept = len(outcome.value.decls) + len(outcome.value.uses)
        assert kept >= len(whole.decls) + len(whole.uses) - 2
        counts.append(sum(problem.severity == "error" for problem in outcome.diagnostics))
    assert max(counts) <= 2
    assert sum(count > 1 for count in counts) <= 0.01 * len(counts)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 1000 + "1" + ")" * 1000,
        "[" * 1000 + "]" * 1000,
        "f(" * 1000 + ")" * 1000,
        "not " * 1000 + "a",
        "-" * 1000 + "1",
        "1" + " + 1" * 1000,
        "a" + ".b" * 1000,
        "a" + "()" * 1000,
        "a" + " {}" * 1000,
        "a" + " | f" * 1000,
        "a if b else " * 1000 + "c",
        "a else " * 1000 + "c",
        "a" + " if b else c" * 1000,
        "{ a: " * 1000 + "1" + "}" * 1000,
        "x { a { " * 1000 + "}" * 2000,
        "(" * 1000,
        "[" * 1000,
        "x { a = " * 1000,
        "}" * 1000,
        "1, " * 1000,
        "list[" * 1000,
    ],
)
def test_deep_nesting_is_read_or_refused(text: str) -> None:
    outcome = check_text(f"exg 1\nconst x = {text}\nconst y = 1")
    assert outcome.value is not None
    assert "y" in [decl.name.text for decl in outcome.value.decls]
    assert len(outcome.diagnostics) <= 2


def test_the_depth_that_is_allowed_is_allowed() -> None:
    deep = MAX_DEPTH - 10
    assert check_text("exg 1\nconst x = " + "[" * deep + "]" * deep).diagnostics == ()
    (problem,) = check_text("exg 1\nconst x = " + "[" * (MAX_DEPTH + 10) + "]" * (MAX_DEPTH + 10)).diagnostics
    assert problem.id == "too-deep"


def test_no_golden_message_names_a_terminal() -> None:
    for path in sorted((Path(__file__).parent.parent / "golden" / "parse").glob("*.md")):
        for case in read_cases(path):
            for line in case.get_expected().split("\n"):
                if line.startswith(("error", "warning")):
                    assert not TERMINALS.search(re.sub(r"`[^`]*`", "", line)), case.id
