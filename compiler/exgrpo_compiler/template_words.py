"""Words and places for mistakes in templates: what is not allowed is called, and where a part of a string stands."""

from __future__ import annotations

import re

from exgrpo_compiler.ast import Text
from exgrpo_compiler.source import Span

CONSTRUCTS = {
    "Include": "include",
    "Import": "import",
    "FromImport": "from",
    "Extends": "extends",
    "Block": "block",
    "Macro": "macro",
    "CallBlock": "call",
    "FilterBlock": "filter",
    "With": "with",
    "AssignBlock": "set … endset",
    "ScopedEvalContextModifier": "autoescape",
}
"""Statements of Jinja that templates here do not have."""

EXPRESSIONS = {
    "Call": "A call",
    "Test": "An `is` test",
    "Slice": "A slice",
    "Dict": "A dictionary",
    "Pow": "A power",
    "FloorDiv": "`//`",
    "Mod": "`%`",
    "NSRef": "A namespace",
}
"""Expressions of Jinja that templates here do not have."""

_LATEX = re.compile(r"(\\[A-Za-z]+(\s*\{[^{}]*\})*|[\^_])\s*$")

JINJA_WORDS = {
    "end of print statement": "`}}`",
    "end of statement block": "`%}`",
    "begin of print statement": "`{{`",
    "begin of statement block": "`{%`",
    "end of template": "the end of the template",
}


def make_span(text: Text, start: int, length: int) -> Span:
    """Where `length` characters of the string's value from `start` on stand in the source."""
    last = len(text.offsets) - 1
    start = min(max(start, 0), last)
    first_offset = text.offsets[start]
    end_offset = text.offsets[min(start + max(length, 1), last)]
    return Span(text.span.source, first_offset, max(end_offset, first_offset + 1))


LATEX_HINT = "`{{` begins a template expression; LaTeX braces are written {% raw %}…{% endraw %}"


def is_latex(text: str, at: int) -> bool:
    """Whether the `{{` that `at` stands behind looks like LaTeX's own braces."""
    opening = text.rfind("{{", 0, at + 1)
    return opening >= 0 and _LATEX.search(text[:opening]) is not None


def describe_syntax_error(message: str | None) -> str:
    """Jinja's message with its own names for things replaced by what one writes."""
    text = message or "it cannot be read"
    for word, shown in JINJA_WORDS.items():
        text = text.replace(f"'{word}'", shown).replace(word, shown)
    return text.rstrip(".")
