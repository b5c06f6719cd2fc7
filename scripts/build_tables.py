"""Writes compiler/exgrpo_compiler/syntax/grammar_tables.py from the grammar of record: Lark's LALR(1) tables and its terminals.

The compiler parses by these tables and never loads Lark. Lark numbers its states differently on every run; here they are
numbered breadth first from the start states, symbols in order of name, so that the same grammar gives the same bytes.

    python scripts/build_tables.py          write the file
    python scripts/build_tables.py --check  fail if it does not belong to the grammar
"""

from __future__ import annotations

import re
import sys
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lark import Lark
from lark.parsers.lalr_analysis import Shift

ROOT = Path(__file__).resolve().parent.parent / "compiler" / "exgrpo_compiler"
GRAMMAR = ROOT / "grammar" / "exg.lark"
TABLES = ROOT / "syntax" / "grammar_tables.py"
STARTS = ["file", "expression"]
_WIDTH = 108


class Unmentioned:
    """Keeps in Lark's lexer the terminals that no rule mentions: trivia and broken text."""

    def __init__(self, names: Iterable[str], is_trivia_dropped: bool) -> None:
        self.always_accept = tuple(names)
        self.is_trivia_dropped = is_trivia_dropped

    def process(self, stream: Any) -> Any:
        """The tokens that are asked for."""
        return (
            token for token in stream if not (self.is_trivia_dropped and token.type in ("COMMENT", "DOC"))
        )


def load_lark(grammar: str, is_trivia_dropped: bool = False) -> Lark:
    """Stock Lark for the grammar, with a lexer that knows every terminal; to parse, trivia must be dropped."""
    names = re.findall(r"^([A-Z_]+)(?:\.-?\d+)?:", grammar, re.MULTILINE)
    return Lark(
        grammar,
        parser="lalr",
        lexer="basic",
        start=STARTS,
        postlex=Unmentioned((name for name in names if name != "WHITESPACE"), is_trivia_dropped),
        propagate_positions=True,
        maybe_placeholders=False,
    )


class Automaton(NamedTuple):
    """The tables with canonical numbers."""

    terminals: list[str]
    nonterminals: list[str]
    rules: list[str]
    starts: list[int]
    follows: list[list[int]]
    """Sets of terminals on which a state reduces, each kept once."""
    states: list[str]


def build_automaton(lark: Lark) -> Automaton:
    """Lark's LALR(1) automaton, renumbered."""
    table = lark.parser.parser.parser.parse_table
    rules = sorted(lark.rules, key=lambda rule: (rule.origin.name, rule.order, str(rule)))
    number_of = {rule: number for number, rule in enumerate(rules)}
    nonterminals = sorted({rule.origin.name for rule in rules})
    terminals = sorted({name for row in table.states.values() for name in row} - set(nonterminals))
    symbols = {name: number for number, name in enumerate([*terminals, *nonterminals])}
    order = _number_states(table)
    follows: dict[tuple[int, ...], int] = {}
    states = [_write_state(table.states[state], symbols, order, number_of, follows) for state in order]
    return Automaton(
        terminals,
        nonterminals,
        [_write_rule(rule, rules) for rule in rules],
        [order[table.start_states[start]] for start in STARTS],
        [list(follow) for follow in follows],
        states,
    )


def _number_states(table: Any) -> dict[int, int]:
    order: dict[int, int] = {}
    todo = deque(table.start_states[start] for start in STARTS)
    while todo:
        state = todo.popleft()
        if state in order:
            continue
        order[state] = len(order)
        todo.extend(target for _, (action, target) in sorted(table.states[state].items()) if action is Shift)
    return order


def _write_state(
    row: Any,
    symbols: dict[str, int],
    order: dict[int, int],
    number_of: dict[Any, int],
    follows: dict[tuple[int, ...], int],
) -> str:
    """`symbol>state` for each shift and goto, `rule<set` for each rule to reduce by."""
    shifts = [
        f"{symbols[name]}>{order[target]}"
        for name, (action, target) in sorted(row.items())
        if action is Shift
    ]
    reduces: dict[int, list[int]] = {}
    for name, (action, rule) in row.items():
        if action is not Shift:
            reduces.setdefault(number_of[rule], []).append(symbols[name])
    sets = {rule: tuple(sorted(follow)) for rule, follow in sorted(reduces.items())}
    return " ".join(
        shifts + [f"{rule}<{follows.setdefault(follow, len(follows))}" for rule, follow in sets.items()]
    )


def _write_rule(rule: Any, rules: Sequence[Any]) -> str:
    """`origin action parts`: for each symbol `.` (left out), `k` (kept) or `s` (a list, spliced)."""
    parts = "".join(_describe_part(symbol, rules) for symbol in rule.expansion)
    is_single = parts.count("k") == 1 and "s" not in parts
    if is_single and (
        (rule.options.expand1 and rule.alias is None)
        or (rule.origin.name.startswith("_") and not _is_list(rule.origin.name, rules))
    ):
        action = "="
    elif rule.origin.name.startswith("_"):
        action = "*"
    else:
        action = rule.alias or rule.origin.name
    return f"{rule.origin.name} {action} {parts}".rstrip()


def _describe_part(symbol: Any, rules: Sequence[Any]) -> str:
    if symbol.is_term:
        return "." if symbol.filter_out else "k"
    return "s" if symbol.name.startswith("_") and _is_list(symbol.name, rules) else "k"


def _is_list(name: str, rules: Sequence[Any]) -> bool:
    """Whether a spliced rule can have other than one child; one that has exactly one stands for that child."""
    return any(
        sum(not (part.is_term and part.filter_out) for part in rule.expansion) != 1
        for rule in rules
        if rule.origin.name == name
    )


# --- terminals


class Lexing(NamedTuple):
    """The terminals: one regular expression, and the texts that decide among what it finds."""

    pattern: str
    words: dict[str, str]
    """Words that are terminals of their own although a name's pattern matches them."""
    signs: dict[str, str]
    """Single characters with which nothing else begins, all in the group SIGN."""


def build_lexing(lark: Lark) -> Lexing:
    """Lark's terminals in Lark's order, but what nothing else can be mistaken for comes first, where it is found sooner."""
    lexer = lark.parser.lexer.lexer
    order = [terminal for terminal in lexer.terminals if terminal.name in lexer.scanner.allowed_types]
    words = {
        terminal.pattern.value: terminal.name
        for terminal in lexer.terminals
        if terminal.name not in lexer.scanner.allowed_types
    }
    firsts = {terminal.name: find_first_characters(terminal.pattern.to_regexp()) for terminal in order}
    signs: dict[str, str] = {}
    early: list[str] = []
    late: list[str] = []
    for terminal in order:
        pattern, first = terminal.pattern.to_regexp(), firsts[terminal.name]
        is_alone = all(
            other in (terminal.name, "BAD_CHARACTER") or not first & firsts[other] for other in firsts
        )
        if terminal.name == "WHITESPACE":
            if not is_alone:
                raise ValueError("something begins with what is ignored")
        elif is_alone and terminal.pattern.type == "str" and len(terminal.pattern.value) == 1:
            signs[terminal.pattern.value] = terminal.name
        else:
            (early if is_alone else late).append(f"(?P<{terminal.name}>{pattern})")
    name = next(group for group in early if group.startswith("(?P<NAME>"))
    early.remove(name)
    sign = f"(?P<SIGN>[{''.join(map(re.escape, sorted(signs)))}])"
    ignored = next(terminal for terminal in order if terminal.name == "WHITESPACE").pattern.to_regexp()
    ignored = ignored.removesuffix("+") + "*+"
    pattern = f"{ignored}(?:{'|'.join([name, sign, *early, *late])}|(?P<END>\\Z))"
    return Lexing(pattern, dict(sorted(words.items())), dict(sorted(signs.items())))


def find_first_characters(pattern: str) -> frozenset[str]:
    """Characters with which a match can begin, of those that tell: ASCII, a few letters, all that a pattern names."""
    return frozenset(chr(code) for code in _find_first(re._parser.parse(pattern)))  # type: ignore[attr-defined]


_ALPHABET = (*range(128), 0xE9, 0x3B1, 0x416, 0x2018, 0x2019, 0x201C, 0x201D, 0x2026)


def _find_first(items: Any) -> set[int]:
    found: set[int] = set()
    for op, argument in items:
        match str(op):
            case "LITERAL":
                return found | {argument}
            case "IN":
                return found | {code for code in _ALPHABET if _is_in(code, argument)}
            case "BRANCH":
                return found.union(*map(_find_first, argument[1]))
            case "SUBPATTERN":
                return found | _find_first(argument[3])
            case "MAX_REPEAT" | "MIN_REPEAT":
                found |= _find_first(argument[2])
                if argument[0] > 0:
                    return found
            case "ASSERT_NOT":
                continue
            case _:
                raise ValueError(f"a pattern may not begin with {op}")
    return found


def _is_in(code: int, members: Any) -> bool:
    is_negated, is_member = False, False
    for op, argument in members:
        match str(op):
            case "NEGATE":
                is_negated = True
            case "LITERAL":
                is_member |= code == argument
            case "RANGE":
                is_member |= argument[0] <= code <= argument[1]
            case "CATEGORY":
                classes = {
                    "WORD": r"\w",
                    "NOT_WORD": r"\W",
                    "DIGIT": r"\d",
                    "SPACE": r"\s",
                    "NOT_SPACE": r"\S",
                }
                shown = classes[str(argument).removeprefix("CATEGORY_")]
                is_member |= re.match(shown, chr(code)) is not None
    return is_member != is_negated


# --- the file


def write_module(automaton: Automaton, lexing: Lexing) -> str:
    """The text of the module."""
    follows = [" ".join(map(str, follow)) for follow in automaton.follows]
    parts = [
        '"""The LALR(1) tables and the terminals of grammar/exg.lark. Written by scripts/build_tables.py: do not edit."""',
        "",
        "# fmt: off",
        "",
        _write_words("TERMINALS", automaton.terminals),
        _write_words("NONTERMINALS", automaton.nonterminals),
        f"STARTS = {dict(zip(STARTS, automaton.starts, strict=True))!r}",
        "# origin, action (`=`: its one child; `*`: a list, spliced into the parent), `.` left out `k` kept `s` spliced",
        _write_lines("RULES", automaton.rules),
        "# terminals on which a state reduces",
        _write_lines("FOLLOWS", follows),
        "# for each state `symbol>state` (shift or goto; terminals are numbered first) and `rule<follow` (reduce)",
        _write_lines("STATES", automaton.states),
        _write_pattern(lexing.pattern),
        _write_map("WORDS", lexing.words),
        _write_map("SIGNS", lexing.signs),
    ]
    return "\n".join(parts) + "\n"


def _write_words(name: str, words: Sequence[str]) -> str:
    return f"{name} = (\n" + "\n".join(f'    "{line} "' for line in _wrap(words)) + "\n).split()"


def _wrap(words: Sequence[str]) -> list[str]:
    lines = [""]
    for word in words:
        if len(lines[-1]) + len(word) > _WIDTH - 10:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def _write_lines(name: str, lines: Sequence[str]) -> str:
    shown: list[str] = []
    for line in lines:
        pieces = _wrap(line.split(" "))
        shown.extend(f'    "{piece} "' for piece in pieces[:-1])
        shown.append(f'    "{pieces[-1]}",')
    return f"{name}: tuple[str, ...] = (\n" + "\n".join(shown) + "\n)"


def _write_pattern(pattern: str) -> str:
    pieces = [pattern[at : at + 80] for at in range(0, len(pattern), 80)]
    return "PATTERN = (\n" + "\n".join(f"    {piece!a}" for piece in pieces) + "\n)"


def _write_map(name: str, entries: dict[str, str]) -> str:
    return f"{name} = {{\n" + "\n".join(f'    "{key}": "{value}",' for key, value in entries.items()) + "\n}"


def build_module() -> str:
    """The text that the tables should have."""
    lark = load_lark(GRAMMAR.read_text(encoding="utf-8"))
    return write_module(build_automaton(lark), build_lexing(lark))


def main(arguments: Sequence[str]) -> int:
    """Writes the tables or, with `--check`, compares them."""
    built = build_module()
    if "--check" not in arguments:
        TABLES.write_text(built, encoding="utf-8")
        return 0
    if TABLES.exists() and TABLES.read_text(encoding="utf-8") == built:
        return 0
    sys.stderr.write(f"{TABLES.name} does not belong to {GRAMMAR.name}; run `make tables`\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
