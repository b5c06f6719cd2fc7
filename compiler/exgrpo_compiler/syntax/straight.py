"""A text without mistakes straight to its syntax tree: by the same tables as `recover`, and ten times faster.

Three things make it fast. The chain of rules with one part that a symbol climbs (a number is a sum is a comparison is
an expression) is one step, looked up by what follows once it was walked. No parse tree is made: a node is built when
its rule is reduced. And at the first sign of anything but a warning it gives up, so that it knows nothing of recovery:
the other parser then says what is wrong.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any

from exgrpo_artifact.named import NamedTuple
from exgrpo_compiler.ast import Comment
from exgrpo_compiler.diagnostics import has_errors
from exgrpo_compiler.source import Source, Span
from exgrpo_compiler.syntax.automaton import END, SYMBOLS, get_row, get_start_state
from exgrpo_compiler.syntax.brackets import find_line_leads
from exgrpo_compiler.syntax.build_ast import TreeBuilder
from exgrpo_compiler.syntax.grammar_tables import SIGNS, WORDS
from exgrpo_compiler.syntax.lex import PATTERN
from exgrpo_compiler.syntax.reductions import STATE, TERMINAL, Step, find_reduction, find_step
from exgrpo_compiler.syntax.terminals import BROKEN, TRIVIA, Start
from exgrpo_compiler.syntax.tokens import Doc, join_doc, leads_line, read_tokens
from exgrpo_compiler.syntax.tree import Token
from exgrpo_compiler.units import UNITS

_NUMBER = SYMBOLS["NUMBER"]
_steps: dict[int, Step | None] = {}


class Straight(NamedTuple):
    """A tree, and what else is known of its text."""

    value: Any
    """The items of a file in order, or an expression."""
    depth: int
    """Levels of nesting."""
    builder: TreeBuilder
    comments: tuple[Comment, ...]


class _LineLeads(Container[int]):
    """Offsets of tokens that begin a line outside of parentheses and brackets; found when first asked for one."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.found: Container[int] | None = None

    def __contains__(self, offset: object) -> bool:
        if not isinstance(offset, int) or not leads_line(self.source.text, offset):
            return False
        if self.found is None:
            self.found = find_line_leads(read_tokens(self.source).tokens)
        return offset in self.found


def read_straight(source: Source, start: Start) -> Straight | None:
    """The tree of a text, or None if there is any error in it."""
    reading = _Reading(source)
    tokens = reading.set_trivia_aside()
    if tokens is None:
        return None
    found = _parse(tokens, reading.builder, start)
    if isinstance(found, int) or has_errors(reading.builder.diagnostics):
        return None
    return Straight(*found, reading.builder, tuple(reading.comments))


Placed = tuple[int, str, int, int]
"""Number of a terminal, text, start and end."""


class _Reading:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.comments: list[Comment] = []
        self.docs: dict[int, Doc] = {}
        self.builder = TreeBuilder(source, _LineLeads(source), self.docs)

    def set_trivia_aside(self) -> list[Placed] | None:
        """The tokens; None if one is broken, a name is not plain, or a `///` comment stands amiss."""
        text = self.source.text
        tokens: list[Placed] = []
        pending: list[Token] = []
        previous, is_ascii = END, text.isascii()
        for match in PATTERN.finditer(text):
            kind: str = match.lastgroup  # type: ignore[assignment]
            at, end = match.span(kind)
            lexeme = text[at:end]
            terminal = _NUMBERS.get(lexeme) if kind in ("NAME", "SIGN") else _TERMINALS.get(kind)
            if terminal is None and kind == "NAME":
                if (previous == _NUMBER and lexeme in UNITS) or not (is_ascii or lexeme.isascii()):
                    return None
                terminal = _NAME
            elif terminal is None:
                if kind == "END":
                    break
                if kind in BROKEN or (kind == "DOC" and not leads_line(text, at)):
                    return None
                if kind == "COMMENT":
                    self.comments.append(Comment(lexeme[2:].strip(), Span(self.source, at, end)))
                else:
                    pending.append(Token(kind, lexeme, at, end))
                continue
            if pending:
                self.docs[at] = join_doc(self.source, pending)
                pending = []
            tokens.append((terminal, lexeme, at, end))
            previous = terminal
        tokens.append((END, "", len(text), len(text)))
        return None if pending else tokens


_TERMINALS = {name: number for name, number in SYMBOLS.items() if name not in BROKEN | TRIVIA}
_NAME = _TERMINALS["NAME"]
_NUMBERS = {lexeme: SYMBOLS[kind] for lexeme, kind in {**WORDS, **SIGNS}.items()}
"""Words and signs of the grammar."""


def parse_tokens(tokens: Sequence[Token], builder: TreeBuilder, start: Start) -> tuple[Any, int] | int:
    """The value of the start symbol and its depth, or the index of the first token that has no place."""
    placed = [(SYMBOLS[token.type], token.text, token.start, token.end) for token in tokens]
    end = tokens[-1].end if tokens else 0
    return _parse([*placed, (END, "", end, end)], builder, start)


def _parse(tokens: list[Placed], builder: TreeBuilder, start: Start) -> tuple[Any, int] | int:
    """As `parse_tokens`; the last token is the end."""
    source, steps = builder.source, _steps
    state = get_start_state(start)
    base, first = state * STATE, get_row(state).get(tokens[0][0])
    if first is None:
        return 0
    states, values, starts, depths = [base], [None], [0], [0]
    reduction = find_reduction(first)
    symbol, lexeme, at, end = -1, "", 0, 0
    value: Any
    for index, (following, next_lexeme, next_at, next_end) in enumerate(tokens):
        if symbol >= 0:
            key = base + symbol * TERMINAL + following
            step = steps[key] if key in steps else steps.setdefault(key, find_step(key))
            if step is None:
                return index
            base, make, height, reduction = step
            states.append(base)
            values.append(None if make is None else make(builder, lexeme, at, end))
            starts.append(at)
            depths.append(height)
        while reduction is not None:
            origin, size, collect, build = reduction
            value = collect(values)
            if size:
                begin, depth = starts[-size], max(depths[-size:])
                del states[-size:], values[-size:], starts[-size:], depths[-size:]
                base = states[-1]
                if build is not None:
                    value = build(builder, Span(source, begin, end), value)
                    depth += 1
            else:
                begin, depth = next_at, 0
            key = base + origin + following
            step = steps[key] if key in steps else steps.setdefault(key, find_step(key))
            if step is None:
                return index
            base, make, height, reduction = step
            states.append(base)
            values.append(value if make is None else make(builder, value, begin, end))
            starts.append(begin)
            depths.append(depth + height)
        symbol, lexeme, at, end = following, next_lexeme, next_at, next_end
    return values[-1], depths[-1]
