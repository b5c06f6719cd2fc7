"""The LALR parser's stack, with what recovery asks of it: what is open, what could follow, and winding back."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any

from lark import Token, Tree
from lark.exceptions import UnexpectedToken
from lark.parsers.lalr_analysis import Shift

from exgrpo_compiler.syntax import CLOSERS, OPENERS, Start, load_parser
from exgrpo_compiler.tokens import get_start, make_token

_PARTIAL_LISTS = frozenset({"_members", "_yields"})
_PARTIAL_FILE = frozenset({"header", "_items"})

Table = Mapping[int, Mapping[str, tuple[Any, Any]]]


class ParserStack:
    """A parser at some point of a file or an expression."""

    def __init__(self, start: Start) -> None:
        self._parser = load_parser().parse_interactive(start=start)
        self._state = self._parser.parser_state
        self._before: list[int] = list(self._state.state_stack)

    def feed(self, token: Token) -> bool:
        """Takes a token; False, and the stack half reduced, if it has no place here."""
        self._before = list(self._state.state_stack)
        try:
            self._parser.feed_token(token)
        except UnexpectedToken:
            return False
        return True

    def end(self) -> Tree[Token] | None:
        """The whole tree; None, and the stack half reduced, if the text cannot end here."""
        self._before = list(self._state.state_stack)
        try:
            tree: Tree[Token] = self._parser.feed_token(Token("$END", ""))
        except UnexpectedToken:
            return None
        return tree

    def find_accepted(self) -> frozenset[str]:
        """Terminals that can be fed now."""
        return _find_accepted(self._table, self._state.state_stack)

    def find_accepted_before(self) -> frozenset[str]:
        """Terminals that could have been fed instead of the one that was refused."""
        return _find_accepted(self._table, self._before)

    @property
    def _table(self) -> Table:
        table: Table = self._state.parse_conf.parse_table.states
        return table

    def find_opener(self) -> Token | None:
        """The innermost open bracket."""
        found = self._find_open()
        return self._state.value_stack[found[-1]] if found else None

    def find_block(self) -> Token | None:
        """The innermost open `{` of a block or record."""
        at = self._find_block()
        return None if at is None else self._state.value_stack[at]

    def _find_open(self) -> list[int]:
        """Positions of the brackets that are open, outermost first."""
        found: list[int] = []
        for at, value in enumerate(self._state.value_stack):
            if _is_token(value, OPENERS):
                found.append(at)
            elif _is_token(value, CLOSERS):
                found.pop()  # closed, but not yet part of a tree
        return found

    def _find_block(self) -> int | None:
        values = self._state.value_stack
        braces = [at for at in self._find_open() if _is_token(values[at], {"LEFT_BRACE"})]
        is_import = any(_is_token(value, {"USE"}) for value in values)
        return braces[-1] if braces and not is_import else None

    def drop_statement(self, last: Token, is_whole: bool) -> int | None:
        """Winds back to the innermost block, keeping the statement before if it is whole.

        Returns the offset at which the dropped text begins, or None if nothing was dropped.
        """
        block = self._find_block()
        if block is None:
            return None
        if is_whole and self._find_open()[-1] == block:
            self._end_statement(last)
        keep = block + 1
        if len(self._state.value_stack) > keep and _is_tree(self._state.value_stack[keep], _PARTIAL_LISTS):
            keep += 1
        return self._unwind(keep)

    def drop_declaration(self, last: Token) -> int | None:
        """Winds back to the declarations before, keeping the last one if it is whole; as `drop_statement`."""
        self._end_statement(last)
        keep = 0
        for value in self._state.value_stack:
            if not _is_tree(value, _PARTIAL_FILE):
                break
            keep += 1
        return self._unwind(keep)

    def _end_statement(self, last: Token) -> None:
        if "SEMICOLON" in self.find_accepted():
            self._parser.feed_token(make_token("SEMICOLON", ";", last))

    def _unwind(self, keep: int) -> int | None:
        dropped = self._state.value_stack[keep:]
        del self._state.value_stack[keep:]
        del self._state.state_stack[keep + 1 :]
        return next((start for start in map(_find_start, dropped) if start is not None), None)


def _find_accepted(table: Table, states: Sequence[int]) -> frozenset[str]:
    candidates = (terminal for terminal in table[states[-1]] if terminal.isupper() and terminal != "$END")
    return frozenset(terminal for terminal in candidates if _can_take(table, list(states), terminal))


def _can_take(table: Table, states: list[int], terminal: str) -> bool:
    """Whether the reductions that a terminal causes end in its shift; LALR tables may find out late."""
    while terminal in table[states[-1]]:
        action, rule = table[states[-1]][terminal]
        if action is Shift:
            return True
        del states[len(states) - len(rule.expansion) :]
        states.append(table[states[-1]][rule.origin.name][1])
    return False


def _is_token(value: object, terminals: Container[str]) -> bool:
    return isinstance(value, Token) and value.type in terminals


def _is_tree(value: object, names: frozenset[str]) -> bool:
    return isinstance(value, Tree) and str(value.data) in names


def _find_start(value: object) -> int | None:
    if isinstance(value, Token):
        return get_start(value)
    if isinstance(value, Tree) and not value.meta.empty:
        return int(value.meta.start_pos)
    return None
