"""Every message that golden cases and the examples of pages give is a sentence in the author's words."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from exgrpo_compiler.diagnostics import Diagnostic
from exgrpo_compiler.hints import find_hint
from exgrpo_compiler.registry import find_page, list_ids
from exgrpo_compiler.source import Source
from tests.golden.harness import MAIN_FILE
from tests.support.compiling import ROOT, check
from tests.test_golden import STAGES, find_cases

TERMINAL = re.compile(
    r"\b[A-Z]{2,}(?:_[A-Z]+)+\b|\b(?:NAME|STRING|NUMBER|COMMA|DOT|COLON|EQUALS|ARROW|PIPE|NEWLINE|EOF|END)\b"
)
"""How a grammar calls its terminals."""
INTERNALS = re.compile(
    r"Traceback|\bat 0x|<class |<function |NoneType|KeyError|Exception|\blambda\b|\bNone\b"
)
WORDS_IN_CAPITALS = re.compile(
    r"task NAME|stage NAME|variant NAME|turns: \[NAME\]|NAME_OF_A_\w+|NAME\.path|allow: ID"
)
"""Placeholders of hints, for the author to replace."""


@cache
def collect() -> tuple[Diagnostic, ...]:
    return tuple(_find_all())


def _find_all() -> Iterator[Diagnostic]:
    for case in find_cases():
        files = {
            fence.info.removeprefix("exg").strip(): Source(
                fence.info[4:], fence.text + "\n", fence.info[4:-4]
            )
            for fence in case.fences
            if fence.info.startswith("exg ")
        }
        fence = case.get_fence("exg")
        assert fence is not None
        yield from STAGES[case.path.parent.name](Source(MAIN_FILE, fence.text + "\n", "spec"), files)
    for id_ in list_ids():
        page = find_page(id_)
        assert page is not None
        files_ = {f"./{name}": text for name, text in page.example.files}
        yield from check(page.example.spec, files=files_)


def strip_quotes(text: str) -> str:
    """A text without what it quotes from the spec."""
    return re.sub(r"`[^`]*`|\"[^\"]*\"|«[^»]*»", "", WORDS_IN_CAPITALS.sub("", text))


def test_there_is_enough_to_judge() -> None:
    assert len(collect()) > 400
    assert len({found.id for found in collect()}) > 60


def test_messages_are_sentences() -> None:
    wrong = {
        found.message
        for found in collect()
        if not re.fullmatch(r"[A-Z0-9`\"«][^\n]*[.?]", found.message) or found.message.endswith("..")
    }
    assert wrong == set()


def test_nothing_of_the_inside_is_shown() -> None:
    texts = [
        text
        for found in collect()
        for text in (found.message, find_hint(found) or "", *(label.text for label in found.labels))
    ]
    shown = {
        text for text in texts if TERMINAL.search(strip_quotes(text)) or INTERNALS.search(strip_quotes(text))
    }
    assert shown == set()


def test_hints_and_labels_are_no_sentences_but_notes() -> None:
    notes = {
        text
        for found in collect()
        for text in (find_hint(found) or "", *(label.text for label in found.labels))
        if text.endswith((".", "\n")) and not text.endswith("…")
    }
    assert notes == set()


def test_spans_lie_inside_of_their_source() -> None:
    for found in collect():
        for span in (found.span, *(label.span for label in found.labels)):
            assert 0 <= span.start <= span.end <= len(span.source.text), found


def test_fixes_are_edits_that_do_not_overlap() -> None:
    fixes = [found.fix for found in collect() if found.fix is not None]
    assert len(fixes) > 20
    for fix in fixes:
        assert fix.title
        assert fix.edits
        places = sorted((edit.span.source.name, edit.span.start, edit.span.end) for edit in fix.edits)
        for (name, _, end), (other, start, _) in itertools.pairwise(places):
            assert name != other or end <= start, fix


@pytest.mark.parametrize("bad", ["Expected LEFT_BRACE", "found NAME", "KeyError: 'x'", "None is wrong"])
def test_a_planted_slip_is_found(bad: str) -> None:
    assert TERMINAL.search(strip_quotes(bad)) or INTERNALS.search(strip_quotes(bad))


def test_the_cases_are_those_of_this_checkout() -> None:
    assert all(Path(ROOT) in case.path.parents for case in find_cases())
