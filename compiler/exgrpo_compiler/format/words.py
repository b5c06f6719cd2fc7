"""Tokens to words: each with the comments between it and the one before."""

from __future__ import annotations

from exgrpo_artifact.named import NamedTuple
from exgrpo_compiler.format.pieces import Note, Word
from exgrpo_compiler.source import Source
from exgrpo_compiler.syntax.tokens import get_end, get_start, read_tokens

END = "END"
"""Type of the word after the last, which holds the comments at the end of the file."""

_BLANKS = " \t\f\r\ufeff"


def read_words(source: Source) -> tuple[Word, ...]:
    """All words of a source without broken text, and the one that ends it."""
    words: list[Word] = []
    at = 0
    for token in read_tokens(source).tokens:
        start, end = get_start(token), get_end(token)
        words.append(_make_word(source, token.type, at, start, end, not words))
        at = end
    length = len(source.text)
    return (*words, _make_word(source, END, at, length, length, not words))


class _Gap(NamedTuple):
    notes: tuple[Note, ...]
    has_break: bool
    has_blank: bool


def _make_word(source: Source, type_: str, after: int, start: int, end: int, is_first: bool) -> Word:
    gap = _read_gap(source.text[after:start], is_first)
    return Word(type_, source.text[start:end], start, gap.notes, gap.has_break, gap.has_blank)


def _read_gap(text: str, is_first: bool) -> _Gap:
    """What stands between two tokens: comments and line breaks. Nothing trails before the first token."""
    notes: list[Note] = []
    blanks = 0
    lines = text.split("\n")
    for number, line in enumerate(lines):
        comment = line.lstrip(_BLANKS)
        if comment:
            notes.append(Note(comment, number == 0 and not is_first, blanks > 0))
            blanks = 0
        elif 0 < number < len(lines) - 1:
            blanks += 1
    return _Gap(tuple(notes), len(lines) > 1, blanks > 0)
