"""The formatter's promises over random specs: it settles at once, means the same, and keeps comments and strings."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exgrpo_compiler.diagnostics import has_errors
from exgrpo_compiler.format.formatting import format_source, list_comments
from exgrpo_compiler.parse import parse_spec
from exgrpo_compiler.semantic_hash import compute_semantic_hash
from exgrpo_compiler.source import Source
from exgrpo_compiler.syntax.terminals import STRINGS
from exgrpo_compiler.syntax.tokens import get_end, get_start, read_tokens
from exgrpo_compiler.syntax.tree_shape import strip_places
from tests.support.compiling import GSM8K, LESSONS, STD_RULES, load
from tests.support.specs import PLAIN_COMMENTS, START, Words, lay_out, specs


def make_source(text: str) -> Source:
    return Source("spec.exg", text, "spec.exg")


def list_strings(text: str) -> list[str]:
    source = make_source(text)
    return [
        text[get_start(token) : get_end(token)]
        for token in read_tokens(source).tokens
        if token.type in STRINGS
    ]


def check_format(text: str) -> str:
    """Formats a text without syntax errors, and holds every promise that is made for one."""
    parsed = parse_spec(make_source(text))
    assert not has_errors(parsed.diagnostics), parsed.diagnostics
    once = format_source(make_source(text)).value
    assert once is not None
    twice = format_source(make_source(once)).value
    assert twice == once
    assert strip_places(parse_spec(make_source(once)).value) == strip_places(parsed.value)
    assert list_comments(make_source(once)) == list_comments(make_source(text))
    assert list_strings(once) == list_strings(text)
    assert once.endswith("\n")
    assert not once.endswith("\n\n")
    return once


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(specs)
def test_every_spec_keeps_its_meaning_its_comments_and_its_strings(text: str) -> None:
    check_format(text)


def split_spec(text: str) -> Words:
    """The words of a real spec, with the mark before each of its declarations."""
    source = make_source(text)
    spec = parse_spec(source).value
    assert spec is not None
    heads = {root.span.start for root in (*spec.uses, *spec.decls)}
    words: list[str] = []
    for token in read_tokens(source).tokens:
        start = get_start(token)
        words += [START, text[start : get_end(token)]] if start in heads else [text[start : get_end(token)]]
    return tuple(words)


@pytest.mark.parametrize("text", [GSM8K, LESSONS, STD_RULES], ids=["gsm8k", "lessons", "rules"])
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_layout_of_a_real_spec_changes_what_it_means(text: str, data: st.DataObject) -> None:
    spec = split_spec(text)
    plain = " ".join(spec)
    drawn = data.draw(lay_out(spec, PLAIN_COMMENTS))
    formatted = check_format(drawn)
    hashes = {compute_semantic_hash(make_source(layout), load).value for layout in (plain, drawn, formatted)}
    assert len(hashes) == 1
    assert None not in hashes
