"""Words and places for mistakes in templates: where a part of a string stands, and what LaTeX has to do with it."""

from __future__ import annotations

import re

from exgrpo_compiler.ast import Text
from exgrpo_compiler.source import Span

LATEX_HINT = "`{{` begins a template expression; LaTeX braces are written {% raw %}…{% endraw %}"
ARGUMENT_HINT = (
    "LaTeX's braces around a value are written { {{ x }} }; where there is no value, {% raw %}…{% endraw %}"
)
_LATEX = r"(\\[A-Za-z]+(\s*\{[^{}]*\})*|[\^_])\s*$"


def make_span(text: Text, start: int, length: int) -> Span:
    """Where `length` characters of the string's value from `start` on stand in the source."""
    last = len(text.offsets) - 1
    start = min(max(start, 0), last)
    first_offset = text.offsets[start]
    end_offset = text.offsets[min(start + max(length, 1), last)]
    return Span(text.span.source, first_offset, max(end_offset, first_offset + 1))


def find_latex(text: str, at: int) -> tuple[int, int] | None:
    r"""Start and end of the LaTeX that `at` stands in, where the `{{` before it looks like LaTeX's own braces.

    >>> find_latex(r"Show \\frac{{a}}{b} now", 13)
    (5, 18)
    """
    opening = text.rfind("{{", 0, at + 2)
    command = re.search(_LATEX, text[:opening]) if opening >= 0 else None
    if command is None:
        return None
    end = opening
    while text.startswith("{", end):
        closing = _find_closing(text, end)
        if closing is None:
            return None
        end = closing
    return (command.start(), end) if end > at else None


_ARGUMENT = r"\\[A-Za-z]{2,}(\{[^{}]*\})*$"


def find_argument(text: str, at: int) -> int | None:
    r"""Where the `{{` or `{{{` before `at` begins, if it stands directly after a command of LaTeX or its arguments.

    >>> find_argument(r"Show \frac{1}{{ x }} now", 15)
    13
    """
    opening = text.rfind("{{", 0, at + 2)
    if opening > 0 and text[opening - 1] == "{":
        opening -= 1
    return opening if opening >= 0 and re.search(_ARGUMENT, text[:opening]) else None


def _find_closing(text: str, opening: int) -> int | None:
    depth = 0
    for index in range(opening, len(text)):
        depth += (text[index] == "{") - (text[index] == "}")
        if depth == 0:
            return index + 1
    return None
