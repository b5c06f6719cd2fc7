"""Diagnostics on a terminal, through rich: colors as the terminal has them, messages and hints wrapped to its width.

What is read as a whole is never wrapped: source lines with the marks under them, places, and commands to be copied.
"""

from __future__ import annotations

import re
from typing import TextIO

from rich.console import Console
from rich.text import Text

_WRAPPED = re.compile(r"(?:(?:error|warning)\[[\w-]+\]: | +[=] hint: )")
"""How a line begins that is prose: a message, or a hint."""
_INDENT = 2
"""Columns by which a message goes on; a hint goes on under its first word."""


def print_on_terminal(text: str, stream: TextIO, *, color: bool) -> None:
    """Prints diagnostics that were rendered for people, colored by the codes in them, or plainly."""
    console = Console(
        file=stream, force_terminal=True, color_system="auto" if color else None, highlight=False
    )
    # Of a terminal that says nothing of itself rich thinks that it has no colors: the eight that all have will do.
    if color and console.color_system is None:
        console = Console(file=stream, force_terminal=True, color_system="standard", highlight=False)
    for line in text.splitlines():
        for shown in _wrap_line(Text.from_ansi(line), console):
            console.print(shown, soft_wrap=True)


def _wrap_line(line: Text, console: Console) -> list[Text]:
    """The line itself, or the lines of prose that it is on a terminal of this width."""
    match = _WRAPPED.match(line.plain)
    if match is None or line.cell_len <= console.width:
        return [line]
    indent = match.end() if line.plain.startswith(" ") else _INDENT
    first, *rest = line.wrap(console, max(console.width - indent, 20))
    return [first, *(Text(" " * indent).append_text(part) for part in rest)]
