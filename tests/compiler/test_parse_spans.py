"""Every node of every spec knows where it stands, and nothing that was written is lost: spans, comments, dumps."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from benchmarks.recovery import find_specs
from exgrpo_artifact.record import Record, get_fields
from exgrpo_compiler import ast
from exgrpo_compiler.ast import SpecFile
from exgrpo_compiler.dump import dump_ast, dump_tokens
from exgrpo_compiler.parse import parse_expression, parse_spec
from exgrpo_compiler.source import Source, Span
from exgrpo_compiler.syntax.lex import scan_text
from exgrpo_compiler.syntax.tokens import read_tokens

SPECS = find_specs()
Expr = ast.Expr.__args__  # type: ignore[attr-defined]
WITHOUT_SPAN = (SpecFile, ast.UseItem)


@cache
def parse_path(path: Path) -> SpecFile:
    outcome = parse_spec(Source(path.name, path.read_text(encoding="utf-8"), "spec"))
    assert outcome.value is not None
    return outcome.value


def walk(value: Any) -> Iterator[Record]:
    if isinstance(value, tuple):
        for item in value:
            yield from walk(item)
    elif isinstance(value, Record) and not isinstance(value, Span):
        yield value
        for name in get_fields(type(value)):
            yield from walk(getattr(value, name))


def show(value: Any, text: str) -> Any:
    """A node without its place."""
    if isinstance(value, tuple):
        return [show(item, text) for item in value]
    if isinstance(value, Record) and not isinstance(value, Span):
        fields = [name for name in get_fields(type(value)) if name not in ("span", "offsets", "doc")]
        return (type(value).__name__, [show(getattr(value, name), text) for name in fields])
    return text[value.start : value.end] if isinstance(value, Span) else value


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_every_node_has_a_span_that_holds_whole_tokens(path: Path) -> None:
    spec = parse_path(path)
    tokens = scan_text(spec.source.text)
    starts, ends = {start for _, _, start, _ in tokens}, {end for _, _, _, end in tokens}
    for node in walk((spec.uses, spec.decls, spec.comments)):
        if not isinstance(node, WITHOUT_SPAN):
            span = node.span  # type: ignore[attr-defined]
            assert span.source is spec.source
            assert span.start < span.end
            assert span.start in starts
            assert span.end in ends


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_a_node_holds_its_parts(path: Path) -> None:
    for node in walk(parse_path(path).decls):
        inner = [
            part.span
            for name in get_fields(type(node))
            for part in walk(getattr(node, name))
            if hasattr(part, "span")
        ]
        assert all(node.span.start <= span.start and span.end <= node.span.end for span in inner)  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_the_text_of_an_expression_is_that_expression(path: Path) -> None:
    count = 0
    for node in walk(parse_path(path).decls):
        if isinstance(node, Expr) and "\n" not in (text := show(node.span, node.span.source.text)):
            outcome = parse_expression(Source("part", text, "part"))
            assert show(outcome.value, text) == show(node, node.span.source.text)
            count += 1
    assert count > 10


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_the_text_of_a_declaration_is_that_declaration(path: Path) -> None:
    spec = parse_path(path)
    for decl in spec.decls:
        text = show(decl.span, spec.source.text)
        again = parse_spec(Source("part", f"exg 1\n{text}", "part")).value
        assert again is not None
        assert show(again.decls, again.source.text) == show((decl,), spec.source.text)


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_a_source_can_be_written_again_from_what_was_read(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    read = read_tokens(Source(path.name, text, "spec"))
    places = [(token.start, token.end) for token in read.tokens]
    places += [(comment.span.start, comment.span.end) for comment in read.comments]
    places += [(doc.span.start, doc.span.end) for doc in read.docs.values()]
    at, pieces = 0, []
    for start, end in sorted(places):
        assert text[at:start].strip() == ""
        pieces.append(text[at:start] + text[start:end])
        at = end
    assert "".join(pieces) + text[at:] == text
    assert [start for start, _ in places[: len(read.tokens)]] == sorted(token.start for token in read.tokens)


def test_comments_and_documentation_are_kept_in_order() -> None:
    text = "// a\nexg 1 // b\n/// c\n/// d\nconst x = [ // e\n  1 ] // f\n// g"
    read = read_tokens(Source("spec.exg", text, "spec"))
    assert [comment.text for comment in read.comments] == ["a", "b", "e", "f", "g"]
    assert [doc.text for doc in read.docs.values()] == ["c\nd"]
    spec = parse_spec(Source("spec.exg", text, "spec")).value
    assert spec is not None
    assert spec.comments == read.comments
    assert spec.decls[0].doc == "c\nd"


def test_tokens_are_shown_in_order() -> None:
    shown = dump_tokens(Source("spec.exg", 'exg 1\nconst x = "a" // b', "spec"))
    assert shown.split("\n") == [
        "1:1-1:4     exg      'exg'",
        "1:5-1:6     number   '1'",
        "2:1-2:6     const    'const'",
        "2:7-2:8     name     'x'",
        "2:9-2:10    equals   '='",
        "2:11-2:14   string   '\"a\"'",
        "2:15-2:19   comment  '// b'",
    ]


def test_the_tree_is_shown_with_places() -> None:
    spec = parse_spec(Source("spec.exg", "exg 1\n/// D.\nconst x = -a * 2tok // c", "spec")).value
    assert spec is not None
    assert dump_ast(spec).split("\n") == [
        "SpecFile edition=1",
        "  Decl 3:1-3:20 kind='const' doc='D.'",
        "    name: Name 3:7-3:8 text='x'",
        "    value: Binary 3:11-3:20 op='mul'",
        "      left: Unary 3:11-3:13 op='neg'",
        "        value: Ref 3:12-3:13 name='a'",
        "      right: Number 3:16-3:20 value=2.0 is_int=True unit='tok' text='2tok'",
        "  Comment 3:21-3:25 text='c'",
    ]


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_every_spec_is_shown(path: Path) -> None:
    spec = parse_path(path)
    nodes = sum(1 for node in walk((spec.uses, spec.decls, spec.comments)))
    assert len(dump_ast(spec).split("\n")) == nodes + 1
    assert len(dump_tokens(spec.source).split("\n")) == len(scan_text(spec.source.text))
