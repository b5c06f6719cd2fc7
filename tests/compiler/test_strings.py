"""Strings: escapes, margins, and where in the source each character of a value stands."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exgrpo_compiler import ast
from exgrpo_compiler.parse import parse_expression
from exgrpo_compiler.source import Source


def read_text(text: str) -> ast.Text:
    outcome = parse_expression(Source("set", text, "set"))
    assert outcome.diagnostics == ()
    assert isinstance(outcome.value, ast.Text)
    return outcome.value


@pytest.mark.parametrize(
    ("text", "value", "style"),
    [
        ('""', "", "quoted"),
        (r'"a\n\t\"\\\u{3b1}\u{1f600}"', 'a\n\t"\\\u03b1\U0001f600', "quoted"),
        (r"`\(?([A-D])\)?`", r"\(?([A-D])\)?", "raw"),
        ('""""""', "", "block"),
        ('"""one line"""', "one line", "block"),
        ('"""\n  a\n  b\n  """', "a\nb", "block"),
        ('"""\n  a\n    b\n\n  c\n  """', "a\n  b\n\nc", "block"),
        ('"""\n  a\n \n  """', "a\n", "block"),
        ('"""\n\ta\n\t"""', "a", "block"),
        ('"""\na\n"""', "a", "block"),
        ('"""\n\n"""', "", "block"),
        ('"""\n"""', "", "block"),
        ('"""\n  a"""', "  a", "block"),
        ('"""a\n  b\n  """', "a\nb", "block"),
        ('"""\n  \\frac{a}{b} "q" `c` // no comment\n  """', '\\frac{a}{b} "q" `c` // no comment', "block"),
        ('"""\n  a  \n  """', "a  ", "block"),
        ('"""\r\n  a\r\n  b\r\n  """', "a\nb", "block"),
    ],
)
def test_values(text: str, value: str, style: str) -> None:
    literal = read_text(text)
    assert (literal.value, literal.style) == (value, style)


@pytest.mark.parametrize(
    "text",
    [
        '"abc"',
        r'"a\nb\u{3b1}c"',
        "`abc`",
        '"""\n    a\n      b\n\n    c\n    """',
        '"""\r\n  a\r\n  b\r\n  """',
        '""',
    ],
)
def test_every_character_knows_its_place(text: str) -> None:
    literal = read_text(text)
    assert len(literal.offsets) == len(literal.value) + 1
    assert list(literal.offsets) == sorted(literal.offsets)
    for char, offset in zip(literal.value, literal.offsets, strict=False):
        assert text[offset] in {char, "\\"}


@settings(deadline=None)
@given(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters='"\r')),
    st.sampled_from(["", "  ", "\t"]),
)
def test_a_block_string_gives_back_what_was_indented(value: str, margin: str) -> None:
    lines = [margin + line if line.strip() else line[:0] for line in value.split("\n")]
    expected = "\n".join(line if line.strip() else "" for line in value.split("\n"))
    literal = read_text('"""\n' + "\n".join(lines) + f'\n{margin}"""')
    assert literal.value == expected


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_can_be_written_as_a_quoted_string(value: str) -> None:
    written = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    assert read_text(f'"{written}"').value == value
