"""Text to every lexeme of it, broken ones and comments included; never fails, in time linear in the text."""

from __future__ import annotations

import re
from collections.abc import Iterator

from exgrpo_compiler.syntax import grammar_tables
from exgrpo_compiler.syntax.grammar_tables import SIGNS, WORDS
from exgrpo_compiler.syntax.terminals import KINDS

PATTERN = re.compile(grammar_tables.PATTERN)
_KINDS = "|".join(sorted(kind.lower() for kind in KINDS))
_DECLARATION = rf"^(?:{_KINDS}) +(?:[a-z_]\w* *[=:({{]|[a-z_]\w* of |\")"
"""A line that nobody writes at the margin of a prompt: a kind, a name and the sign that follows it."""
_OPENING = r"[=:(,\[][ \t]*$"
"""What stands before a fence that opens."""


Scanned = tuple[str, str, int, int]
"""Type, text, start and end of a terminal: a plain tuple, since there are many and each lives for a moment."""


def scan_text(text: str, start: int = 0) -> list[Scanned]:
    """Terminals in order."""
    found: list[Scanned] = []
    add, get_word = found.append, WORDS.get
    for match in PATTERN.finditer(text, start):
        group = match.lastgroup
        at, end = match.span(group)  # type: ignore[arg-type]
        lexeme = text[at:end]
        if group == "NAME":
            add((get_word(lexeme, "NAME"), lexeme, at, end))
        elif group == "SIGN":
            add((SIGNS[lexeme], lexeme, at, end))
        elif group == "END":
            break
        else:
            add((group, lexeme, at, end))  # type: ignore[arg-type]
    return found


def scan_damaged_text(text: str) -> Iterator[Scanned]:
    """As `scan_text`, for a text with a mistake in it, which may be a block string without its closing fence.

    Such a string swallows the declarations after it, up to the next fence, and turns all strings that follow inside out.
    One that runs over the beginning of a declaration and has no closing fence, or one that looks like it opens
    another string, is therefore ended before that line.
    """
    declaration = re.compile(_DECLARATION, re.MULTILINE)
    at = 0
    while at >= 0:
        at, start = -1, at
        for lexeme in _scan_lazily(text, start):
            kind, _, begin, end = lexeme
            if kind == "BAD_QUOTES" and text[begin : begin + 3] == "'''":
                at = _find_foreign_fence(text, begin)
                if at >= 0:
                    yield kind, text[begin:at], begin, at
                    break
            if kind in ("BLOCK_STRING", "UNCLOSED_BLOCK") and _is_run_on(text, kind, begin, end):
                cut = declaration.search(text, begin, end)
                if cut is not None:
                    at = cut.start()
                    held = text[begin:at].rstrip()
                    yield "UNCLOSED_BLOCK", held, begin, begin + len(held)
                    break
            yield lexeme


def _find_foreign_fence(text: str, begin: int) -> int:
    """Where a string that three single quotes open ends: after the next three quotes of either kind; -1 for nowhere."""
    closers = [at for fence in ("'''", '"""') if (at := text.find(fence, begin + 3)) >= 0]
    return min(closers) + 3 if closers else -1


def _scan_lazily(text: str, start: int) -> Iterator[Scanned]:
    for match in PATTERN.finditer(text, start):
        group = match.lastgroup or ""
        at, end = match.span(group)
        lexeme = text[at:end]
        if group == "END":
            return
        yield (
            {"NAME": WORDS.get(lexeme, "NAME"), "SIGN": SIGNS.get(lexeme, "")}.get(group, group),
            lexeme,
            at,
            end,
        )


def _is_run_on(text: str, kind: str, begin: int, end: int) -> bool:
    """Whether the fence that closes a string looks like one that opens another."""
    if kind == "UNCLOSED_BLOCK":
        return True
    line = text.rfind("\n", begin, end - 3) + 1
    return line > begin and re.search(_OPENING, text[line : end - 3]) is not None
