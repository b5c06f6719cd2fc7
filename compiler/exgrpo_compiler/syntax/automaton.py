"""The LALR(1) automaton of the grammar, decoded from `grammar_tables` state by state as states are met.

A state's row maps a symbol to what happens on it: the state to go to, or, for a terminal, `~rule` to reduce by. The
state after the start symbol has an empty row.
Symbols are numbers, terminals first; `$END` is 0.
"""

from __future__ import annotations

from collections.abc import Sequence

from exgrpo_artifact.named import NamedTuple
from exgrpo_compiler.syntax.grammar_tables import FOLLOWS, NONTERMINALS, RULES, STARTS, STATES, TERMINALS

SYMBOLS = {name: number for number, name in enumerate([*TERMINALS, *NONTERMINALS])}
TERMINAL_COUNT = len(TERMINALS)
END = SYMBOLS["$END"]

Row = dict[int, int]


class Rule(NamedTuple):
    """One way to write a symbol."""

    origin: int
    action: str
    """`=`: the value is that of the one kept part; `*`: the kept parts, to be spliced into the parent; else a node."""
    parts: str
    """For each part `.` if it is left out, `k` if it is kept, `s` if it is a list to splice."""


def _read_rule(line: str) -> Rule:
    origin, action, *parts = line.split()
    return Rule(SYMBOLS[origin], action, parts[0] if parts else "")


GRAMMAR_RULES = tuple(map(_read_rule, RULES))
_rows: list[Row | None] = [None] * len(STATES)
_follows: dict[str, tuple[int, ...]] = {}


def get_start_state(start: str) -> int:
    """The state before a file or an expression."""
    return STARTS[start]


def get_row(state: int) -> Row:
    """What happens in a state on each symbol that it knows."""
    row = _rows[state]
    if row is None:
        row = _rows[state] = _read_row(STATES[state])
    return row


def _read_row(line: str) -> Row:
    row: Row = {}
    for entry in line.split():
        symbol, is_shift, target = entry.partition(">")
        if is_shift:
            row[int(symbol)] = int(target)
        else:
            rule, _, follow = entry.partition("<")
            row.update(dict.fromkeys(_get_follow(follow), ~int(rule)))
    return row


def _get_follow(key: str) -> tuple[int, ...]:
    if key not in _follows:
        _follows[key] = tuple(map(int, FOLLOWS[int(key)].split()))
    return _follows[key]


def can_take(states: Sequence[int], terminal: int) -> bool:
    """Whether the reductions that a terminal causes end in its shift; LALR tables may find out late that they do not."""
    above: list[int] = []
    below = len(states)
    while True:
        state = above[-1] if above else states[below - 1]
        target = get_row(state).get(terminal)
        if target is None:
            return False
        if target >= 0:
            return True
        rule = GRAMMAR_RULES[~target]
        size = len(rule.parts)
        below -= max(0, size - len(above))
        del above[len(above) - min(size, len(above)) :]
        state = above[-1] if above else states[below - 1]
        target = get_row(state)[rule.origin]
        if terminal == END and not get_row(target):
            return True
        above.append(target)
