"""A spec laid out: one style, no options.

Two spaces a level; what fits in 128 columns stands on one line, a block or an open bracket only if the author put it
there; signs end lines; statements of one form line up; one blank line at most. Comments and strings are kept byte for byte,
lines of a block string with their indentation.
"""

from __future__ import annotations

from exgrpo_artifact.errors import InternalError
from exgrpo_compiler import ast
from exgrpo_compiler.diagnostics import Outcome, has_errors
from exgrpo_compiler.format.grouping import group_words
from exgrpo_compiler.format.layout import lay_out_file
from exgrpo_compiler.format.outline import find_starts
from exgrpo_compiler.format.words import read_words
from exgrpo_compiler.parse import parse_spec
from exgrpo_compiler.source import Source
from exgrpo_compiler.syntax.tree_shape import strip_places


def format_source(source: Source) -> Outcome[str]:
    """The text in the one style, and what the parser has to say about it; no text where that holds an error.

    Raises:
        InternalError: the text in the style would not mean the same. It never leaves this function.
    """
    parsed = parse_spec(source)
    if parsed.value is None or has_errors(parsed.diagnostics):
        return Outcome(None, parsed.diagnostics)
    text = lay_out_file(group_words(read_words(source), find_starts(parsed.value)))
    if text != source.text:
        _verify_text(parsed.value, source, Source(source.name, text, source.module))
    return Outcome(text, parsed.diagnostics)


def list_comments(source: Source) -> list[str]:
    """Every comment, `//` and `///`, in order and with all its characters."""
    return [note.text for word in read_words(source) for note in word.notes]


def _verify_text(spec: ast.SpecFile, before: Source, after: Source) -> None:
    """The text after has the same tree and the same comments."""
    outcome = parse_spec(after)
    if outcome.value is None or has_errors(outcome.diagnostics):
        raise InternalError(f"fmt: {before.name} would not be a spec any more")
    if strip_places(outcome.value) != strip_places(spec):
        raise InternalError(f"fmt: {before.name} would mean something else")
    if list_comments(before) != list_comments(after):
        raise InternalError(f"fmt: comments of {before.name} would be lost or moved")
