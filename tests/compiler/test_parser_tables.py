"""The parser that is shipped is the one that stock Lark makes of the grammar: tables, tokens, trees, what is accepted."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import lark
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exgrpo_compiler.source import Source
from exgrpo_compiler.syntax import grammar_tables
from exgrpo_compiler.syntax.automaton import SYMBOLS
from exgrpo_compiler.syntax.build_ast import TreeBuilder
from exgrpo_compiler.syntax.grammar_tables import TERMINALS
from exgrpo_compiler.syntax.lex import scan_text
from exgrpo_compiler.syntax.parser_stack import ParserStack
from exgrpo_compiler.syntax.reductions import _UNUSED
from exgrpo_compiler.syntax.straight import parse_tokens
from exgrpo_compiler.syntax.terminals import BROKEN, TRIVIA, read_grammar
from exgrpo_compiler.syntax.tokens import _place_tokens
from exgrpo_compiler.syntax.tree import Token, Tree
from scripts import build_tables
from tests.golden.harness import read_cases

ROOT = Path(__file__).resolve().parents[2]


@cache
def load_lark(is_trivia_dropped: bool) -> lark.Lark:
    return build_tables.load_lark(read_grammar(), is_trivia_dropped)


@cache
def find_texts() -> tuple[str, ...]:
    """Every spec, and every spec of a golden case, most of which hold mistakes."""
    specs = [
        path.read_text(encoding="utf-8")
        for folder in ("specs/exgrpo_specs", "tests/specs", "tests/compiler")
        for path in sorted((ROOT / folder).rglob("*.exg"))
    ]
    cases = [
        fence.text
        for path in sorted((ROOT / "tests" / "golden").rglob("*.md"))
        for case in read_cases(path)
        for fence in case.fences
        if fence.info.startswith("exg")
    ]
    return (*specs, *cases)


# --- the tables


def test_the_tables_are_those_of_the_grammar() -> None:
    built = build_tables.build_module()
    assert Path(grammar_tables.__file__).read_text(encoding="utf-8") == built


@pytest.mark.parametrize("seed", ["1", "2"])
def test_the_tables_do_not_depend_on_the_run(seed: str) -> None:
    script = ROOT / "scripts" / "build_tables.py"
    done = subprocess.run(
        [sys.executable, str(script), "--check"],
        env={"PYTHONHASHSEED": seed},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_lark_is_not_loaded_to_parse() -> None:
    code = (
        "import sys; from exgrpo_compiler.parse import parse_spec; from exgrpo_compiler.source import Source\n"
        "parse_spec(Source('a', 'exg 1 const x = 1', 'a')); parse_spec(Source('a', 'exg 1 const x = = 1', 'a'))\n"
        "sys.exit(any(name.split('.')[0] == 'lark' for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_what_is_thrown_away_when_it_is_read_is_kept_by_no_rule() -> None:
    kept = {
        part.name
        for rule in load_lark(True).rules
        for part in rule.expansion
        if part.is_term and not part.filter_out
    }
    assert {TERMINALS[number] for number in _UNUSED} & kept == set()


# --- the lexer


def compare_tokens(text: str) -> None:
    ours = [(kind, shown, start, end) for kind, shown, start, end in scan_text(text)]
    theirs = [
        (token.type, str(token), token.start_pos, token.end_pos) for token in load_lark(False).lex(text)
    ]
    assert ours == theirs


def test_every_spec_has_the_tokens_that_lark_finds() -> None:
    for text in find_texts():
        compare_tokens(text)


SIGNS = st.text(alphabet="ab_1.9e+-=<>!&|*/%^#'\"`\\{}()[],:;“” \t\n\r\x0b\xa0é²", max_size=40)


@settings(deadline=None)
@given(st.one_of(st.text(max_size=60), SIGNS))
def test_any_text_has_the_tokens_that_lark_finds(text: str) -> None:
    compare_tokens(text)


# --- trees


def show_lark(tree: Any) -> Any:
    if isinstance(tree, lark.Token):
        return (tree.type, str(tree))
    return (str(tree.data), [show_lark(child) for child in tree.children])


def show_tree(tree: Tree | Token) -> Any:
    if isinstance(tree, Token):
        return (tree.type, tree.text)
    return (tree.data, [show_tree(child) for child in tree.children])


def parse_with_lark(text: str, start: str) -> Any:
    try:
        return show_lark(load_lark(True).parse(text, start=start))
    except lark.exceptions.UnexpectedInput:
        return None


def parse_with_stack(tokens: list[Token], start: Any) -> Any:
    stack = ParserStack(start)
    if not all(token.type not in BROKEN and stack.feed(token) for token in tokens):
        return None
    tree = stack.end()
    return None if tree is None else show_tree(tree)


def compare_trees(text: str, start: Any) -> bool:
    """All three parsers agree; whether they accept the text."""
    source = Source("spec.exg", text, "spec")
    tokens = [token for token in _place_tokens(source, scan_text(text)) if token.type not in TRIVIA]
    theirs = parse_with_lark(text, start)
    assert parse_with_stack(tokens, start) == theirs
    if not any(token.type in BROKEN for token in tokens):
        straight = parse_tokens(tokens, TreeBuilder(source, frozenset(), {}), start)
        assert isinstance(straight, int) == (theirs is None)
    return theirs is not None


def test_every_spec_has_the_tree_that_lark_makes() -> None:
    accepted = [compare_trees(text, "file") for text in find_texts()]
    assert sum(accepted) > 100
    assert not all(accepted)


WORDS = sorted({text for text in " ".join(find_texts()[:4]).split() if not text.startswith("//")})
SOUP = sorted(
    {
        *grammar_tables.WORDS,
        *grammar_tables.SIGNS,
        "=",
        "->",
        "..",
        ".",
        "|",
        "-",
        "*",
        "/",
        "==",
        "<",
        "x",
        "1",
        '"s"',
        "`r`",
    }
)


@settings(deadline=None)
@given(st.lists(st.sampled_from(SOUP), max_size=25), st.sampled_from(["file", "expression"]))
def test_any_sequence_of_tokens_is_judged_as_lark_judges_it(words: list[str], start: str) -> None:
    compare_trees(" ".join(words), start)


@settings(deadline=None, max_examples=60)
@given(st.randoms(use_true_random=False), st.integers(0, 8))
def test_any_damage_to_a_spec_is_judged_as_lark_judges_it(chance: random.Random, number: int) -> None:
    text = find_texts()[number]
    tokens = scan_text(text)
    _, _, start, end = chance.choice(tokens)
    put = chance.choice(["", *SOUP])
    compare_trees(f"{text[:start]} {put} {text[end:]}", "file")


def test_symbols_are_numbered_terminals_first() -> None:
    assert [SYMBOLS[name] for name in TERMINALS] == list(range(len(TERMINALS)))
    assert re.fullmatch(r"[A-Z_$]+", "".join(TERMINALS))
