"""The LALR parser's stack, with what recovery asks of it: what is open, what could follow, and winding back.

A token that has no place leaves the stack as it was.
"""

from __future__ import annotations

from typing import Any

from exgrpo_compiler.syntax.automaton import (
    END,
    GRAMMAR_RULES,
    SYMBOLS,
    TERMINAL_COUNT,
    can_take,
    get_row,
    get_start_state,
)
from exgrpo_compiler.syntax.grammar_tables import TERMINALS
from exgrpo_compiler.syntax.terminals import CLOSERS, OPENERS, Start
from exgrpo_compiler.syntax.tokens import make_token
from exgrpo_compiler.syntax.tree import Token, Tree

_PARTIAL_LISTS = frozenset({SYMBOLS["_members"], SYMBOLS["_yields"]})
_PARTIAL_FILE = frozenset({SYMBOLS["header"], SYMBOLS["_items"]})
_USE = SYMBOLS["USE"]


class ParserStack:
    """A parser at some point of a file or an expression."""

    def __init__(self, start: Start) -> None:
        self._states = [get_start_state(start)]
        # What each state was reached by: the symbol, its value (a list where it is to be spliced), its first offset.
        self._symbols: list[int] = []
        self._values: list[Any] = []
        self._starts: list[int] = []
        self._open: list[int] = []
        """Positions on the stack of the brackets that are open, outermost first."""
        self._end = 0

    def feed(self, token: Token) -> bool:
        """Takes a token; False if it has no place here."""
        terminal = SYMBOLS[token.type]
        if not can_take(self._states, terminal):
            return False
        target = get_row(self._states[-1])[terminal]
        while target < 0:
            self._reduce(~target)
            target = get_row(self._states[-1])[terminal]
        if token.type in OPENERS:
            self._open.append(len(self._symbols))
        elif token.type in CLOSERS:
            self._open.pop()
        self._push(target, terminal, token, token.start)
        self._end = token.end
        return True

    def end(self) -> Tree | None:
        """The whole tree; None if the text cannot end here."""
        if not can_take(self._states, END):
            return None
        while row := get_row(self._states[-1]):
            self._reduce(~row[END])
        tree: Tree = self._values[0]
        return tree

    def _push(self, state: int, symbol: int, value: Any, start: int) -> None:
        self._states.append(state)
        self._symbols.append(symbol)
        self._values.append(value)
        self._starts.append(start)

    def _reduce(self, number: int) -> None:
        rule = GRAMMAR_RULES[number]
        at = len(self._symbols) - len(rule.parts)
        values = self._values[at:]
        start = self._starts[at] if rule.parts else self._end
        self._cut(at)
        children = _collect(values, rule.parts)
        value: Any = children
        if rule.action == "=":
            value = children[0]
        elif rule.action != "*":
            value = Tree(rule.action, children, start, self._end)
        self._push(get_row(self._states[-1])[rule.origin], rule.origin, value, start)

    def _cut(self, at: int) -> None:
        del self._states[at + 1 :], self._symbols[at:], self._values[at:], self._starts[at:]

    def find_accepted(self) -> frozenset[str]:
        """Terminals that can be fed now."""
        row = get_row(self._states[-1])
        return frozenset(
            TERMINALS[symbol]
            for symbol in row
            if END < symbol < TERMINAL_COUNT and can_take(self._states, symbol)
        )

    def find_opener(self) -> Token | None:
        """The innermost open bracket."""
        return self._values[self._open[-1]] if self._open else None

    def find_block(self) -> Token | None:
        """The innermost open `{` of a block or record."""
        at = self._find_block()
        return None if at is None else self._values[at]

    def _find_block(self) -> int | None:
        if _USE in self._symbols[:3]:
            return None
        return next((at for at in reversed(self._open) if self._values[at].type == "LEFT_BRACE"), None)

    def drop_statement(self, last: Token, is_whole: bool) -> int | None:
        """Winds back to the innermost block, keeping the statement before if it is whole.

        Returns the offset at which the dropped text begins, or None if nothing was dropped.
        """
        block = self._find_block()
        if block is None:
            return None
        if is_whole and self._open[-1] == block:
            self._end_statement(last)
        keep = block + 1
        if len(self._symbols) > keep and self._symbols[keep] in _PARTIAL_LISTS:
            keep += 1
        return self._unwind(keep)

    def drop_declaration(self, last: Token) -> int | None:
        """Winds back to the declarations before, keeping the last one if it is whole; as `drop_statement`."""
        self._end_statement(last)
        keep = 0
        while keep < len(self._symbols) and self._symbols[keep] in _PARTIAL_FILE:
            keep += 1
        return self._unwind(keep)

    def _end_statement(self, last: Token) -> None:
        self.feed(make_token("SEMICOLON", ";", last))

    def _unwind(self, keep: int) -> int | None:
        is_empty = len(self._symbols) <= keep
        start = None if is_empty else self._starts[keep]
        self._cut(keep)
        while self._open and self._open[-1] >= keep:
            self._open.pop()
        return start


def _collect(values: list[Any], parts: str) -> list[Any]:
    """The parts that a rule keeps, lists spliced; the first list is taken over, so that long ones are not copied."""
    children: list[Any] = []
    for value, part in zip(values, parts, strict=True):
        if part == "k":
            children.append(value)
        elif part == "s":
            if children:
                children.extend(value)
            else:
                children = value
    return children
