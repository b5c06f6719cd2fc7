"""Fixes of slips that the lexer mends: applied, they leave a spec without that slip."""

from __future__ import annotations

import pytest

from exgrpo_compiler.diagnostics import Edit
from tests.support.compiling import check

RULE = "exg 1\nrule r(question: text) {{\n  applies_when = {condition}\n  instruction = {text}\n}}\n"


def write_rule(condition: str = "words(question) > 5", text: str = '"Why?"') -> str:
    return RULE.format(condition=condition, text=text)


def apply(text: str, edits: tuple[Edit, ...]) -> str:
    for edit in sorted(edits, key=lambda each: each.span.start, reverse=True):
        text = text[: edit.span.start] + edit.text + text[edit.span.end :]
    return text


@pytest.mark.parametrize(
    ("text", "mended"),
    [
        ("const a = 1\n", "exg 1\n\nconst a = 1\n"),
        ("// about\nconst a = 1\n", "exg 1\n\n// about\nconst a = 1\n"),
        (write_rule("words(question)>5&&true"), write_rule("words(question)>5 and true")),
        (write_rule("true || false"), write_rule("true or false")),
        (write_rule("!true"), write_rule("not true")),
        (write_rule("words(question) === 5"), write_rule("words(question) == 5")),
        (write_rule(text="“Why?”"), write_rule()),
        (write_rule(text="'Why?'"), write_rule()),
        (
            'exg 1\nmodel m = openai("x") { max_tokens = 5 tok }\n',
            'exg 1\nmodel m = openai("x") { max_tokens = 5tok }\n',
        ),
        ("exg 1\n# note\nconst a = 1\n", "exg 1\n// note\nconst a = 1\n"),
        ("exg 1\nconst a = 1 /// note\n", "exg 1\nconst a = 1 // note\n"),
        ("exg 1\nconst a = 1\n/// one\n  /// two\n", "exg 1\nconst a = 1\n// one\n  // two\n"),
    ],
)
def test_the_edits_mend_what_was_reported(text: str, mended: str) -> None:
    (found,) = check(text)
    assert found.fix is not None
    assert found.fix.is_safe
    assert apply(text, found.fix.edits) == mended
    assert check(mended) == ()


@pytest.mark.parametrize("condition", ["true => false", "5 % 2 == 1", "2 ** 3 > 1", "2 ^ 3 > 1"])
def test_what_may_mean_several_things_has_no_edit(condition: str) -> None:
    found = check(write_rule(condition))
    assert found
    assert found[0].fix is None


def test_quotes_around_quotes_have_no_edit() -> None:
    assert check(write_rule(text="'Say \"why\".'"))[0].fix is None
