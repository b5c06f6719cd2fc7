r"""Regular expressions of specs: the subset of Python's `re` that linear time allows, parsed.

Literals, classes, `.`, alternatives, `(…)` once, `(?:…)`, repeats greedy or lazy, `^ $ \A \Z \b \B`, and the flags `i m s` at
the start. Invariant: what parses here means what `re` makes of it; all else is a RegexError that says what and where.
"""

from __future__ import annotations

import re
import warnings
from typing import TypeAlias

from exgrpo_artifact.named import NamedTuple

MAX_PATTERN = 1000
"""Characters of a pattern."""
MAX_STATES = 500
"""Characters that a pattern stands for when its counted repeats are written out; time is linear in text times this."""
MAX_NESTING = 40
"""Groups in groups."""


class RegexError(ValueError):
    """A pattern is malformed or outside the subset. Fatal for the spec that holds it."""

    def __init__(self, message: str, start: int, end: int, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        """One sentence."""
        self.start = start
        self.end = end
        """The part of the pattern that is wrong, as offsets."""
        self.hint = hint


class Leaf(NamedTuple):
    """One character out of those that `text`, itself a pattern, allows."""

    text: str


class Anchor(NamedTuple):
    """A condition on a place between characters: one of `^ $ A Z b B`."""

    kind: str


class Sequence(NamedTuple):
    """One part after the other."""

    parts: tuple[Tree, ...]


class Choice(NamedTuple):
    """The first alternative that lets the whole match."""

    options: tuple[Tree, ...]


class Group(NamedTuple):
    """The part that is taken out of a match."""

    body: Tree


class Repeat(NamedTuple):
    """The body from `least` to `most` times (None: any number), as often as possible or as rarely."""

    body: Tree
    least: int
    most: int | None
    is_greedy: bool


Tree: TypeAlias = Leaf | Anchor | Sequence | Choice | Group | Repeat


class Pattern(NamedTuple):
    """A parsed pattern."""

    tree: Tree
    flags: str
    """Out of `i`, `m`, `s`."""
    has_group: bool


def parse_regex(pattern: str) -> Pattern:
    r"""The pattern as a tree.

    >>> parse_regex(r"x|(\d)+").tree
    Choice(options=(Leaf(text='x'), Repeat(body=Group(body=Leaf(text='\\d')), least=1, most=None, is_greedy=True)))

    Raises:
        RegexError: `re` refuses it, or it asks for what no linear-time engine gives, or it is too large.
    """
    if len(pattern) > MAX_PATTERN:
        raise RegexError(
            f"A regular expression has at most {MAX_PATTERN} characters, and this has {len(pattern)}.",
            MAX_PATTERN,
            len(pattern),
        )
    parser = _Parser(pattern)
    parser.refuse_foreign()
    _check_by_re(pattern)
    flags = parser.read_flags()
    tree = parser.read_choice(0)
    if count_states(tree) > MAX_STATES:
        raise RegexError(
            f"This regular expression is too large: with its repeats written out it has {count_states(tree)} characters,"
            f" and {MAX_STATES} are allowed.",
            0,
            len(pattern),
            hint="write `+` or `*` for a repeat whose exact count does not matter",
        )
    return Pattern(tree, flags, parser.num_groups == 1)


def parse_extractor(pattern: str) -> Pattern:
    """The pattern as a tree, where it can serve to read an answer.

    Raises:
        RegexError: as `parse_regex`; it finds nothing at every place; or it holds a command of LaTeX whose backslash
            means something else to a regular expression.
    """
    parsed = parse_regex(pattern)
    for match in _SKIPPED.finditer(pattern):
        command = _COMMAND.match(pattern, match.start()) if match.group()[0] == "\\" else None
        if command is not None:
            name = command.group()
            raise RegexError(
                f"`{name}` is no command of LaTeX here: `{name[:2]}` is {_ESCAPES[name[1]]}, and `{name[2:]}` follows.",
                match.start(),
                command.end(),
                hint=f"write `\\{name}` for a backslash and `{name[1:]}`",
            )
    if can_be_empty(parsed.tree) and not has_anchor(parsed.tree):
        raise RegexError(
            "This regular expression can match nothing at all, so it does so at every place.",
            0,
            len(pattern),
            hint="make one of its parts take at least one character, as `+` instead of `*`",
        )
    return parsed


_COMMAND = re.compile(r"\\(?:boxed|begin|d?frac|fbox|text|tfrac|times|sqrt)(?![a-z])")
_ESCAPES = {
    "b": "the edge of a word",
    "d": "a digit",
    "f": "a form feed",
    "t": "a tab",
    "s": "a blank",
}


def can_be_empty(tree: Tree) -> bool:
    """Whether it can match without taking a character."""
    if isinstance(tree, Leaf):
        return False
    if isinstance(tree, Anchor):
        return True
    if isinstance(tree, Sequence):
        return all(map(can_be_empty, tree.parts))
    if isinstance(tree, Choice):
        return any(map(can_be_empty, tree.options))
    return (isinstance(tree, Repeat) and tree.least == 0) or can_be_empty(tree.body)


def has_anchor(tree: Tree) -> bool:
    """Whether any condition on places stands in it."""
    if isinstance(tree, Sequence):
        return any(map(has_anchor, tree.parts))
    if isinstance(tree, Choice):
        return any(map(has_anchor, tree.options))
    return isinstance(tree, Anchor) or (not isinstance(tree, Leaf) and has_anchor(tree.body))


def count_states(tree: Tree) -> int:
    """Leaves with all counted repeats written out."""
    if isinstance(tree, Leaf):
        return 1
    if isinstance(tree, Anchor):
        return 0
    if isinstance(tree, Sequence):
        return sum(map(count_states, tree.parts))
    if isinstance(tree, Choice):
        return sum(map(count_states, tree.options))
    if isinstance(tree, Group):
        return count_states(tree.body)
    return count_states(tree.body) * (max(tree.least, 1) if tree.most is None else tree.most)


def _check_by_re(pattern: str) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(pattern)
    except re.error as error:
        at = min(error.pos or 0, max(len(pattern) - 1, 0))
        raise RegexError(
            f"This regular expression is malformed: {error.msg}.", at, min(at + 1, len(pattern))
        ) from error
    except (OverflowError, RecursionError) as error:
        raise RegexError("This regular expression is too large.", 0, len(pattern)) from error


_FOREIGN = {
    "(?=": "look-ahead",
    "(?!": "look-ahead",
    "(?<=": "look-behind",
    "(?<!": "look-behind",
    "(?P=": "a back-reference",
    "(?(": "a condition on a group",
    "(?>": "an atomic group",
    "(?#": "a comment",
}
_FOREIGN_START = re.compile(r"\(\?(?:<?[=!]|P=|\(|>|#)")
_SKIPPED = re.compile(r"\\[0-9]|\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|.", re.DOTALL)
_REPEAT = re.compile(r"[*+?]|\{(?:([0-9]+)(,[0-9]*)?|,[0-9]*)\}")
_FLAGS = re.compile(r"\(\?([a-zA-Z]+)\)")
_NAMED = re.compile(r"\(\?P<\w+>")
_LEAF = re.compile(
    r"\\x[0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\U[0-9a-fA-F]{8}|\\N\{[^}]*\}|\\0[0-7]{0,2}|\\."
    r"|\[\^?\]?(?:\\.|[^\]\\])*\]|.",
    re.DOTALL,
)


class _Parser:
    """A cursor over a pattern that `re` accepts."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0
        self.num_groups = 0

    def refuse_foreign(self) -> None:
        """Refuses what is no part of the subset, before `re` may say something about it that helps less."""
        depth = 0
        for match in _SKIPPED.finditer(self.pattern):
            at, text = match.start(), match.group()
            if len(text) == 2 and text[0] == "\\" and text[1] in "123456789":
                raise RegexError(
                    "Back-references are no part of the language's regular expressions.", at, at + 2
                )
            foreign = _FOREIGN_START.match(self.pattern, at) if text == "(" else None
            if foreign:
                name = _FOREIGN[foreign.group()]
                raise RegexError(
                    f"Regular expressions run in linear time, so {name} is no part of them.",
                    at,
                    foreign.end(),
                )
            depth += (text == "(") - (text == ")")
            if depth > MAX_NESTING:
                raise RegexError(f"Groups nest more than {MAX_NESTING} deep.", at, at + 1)

    def read_flags(self) -> str:
        match = _FLAGS.match(self.pattern)
        if match is None:
            return ""
        wrong = next((letter for letter in match[1] if letter not in "ims"), None)
        if wrong is not None:
            raise RegexError(
                f"There is no flag `{wrong}` here; the flags are i, m and s.", 2, match.end() - 1
            )
        self.at = match.end()
        return "".join(sorted(set(match[1])))

    def read_choice(self, depth: int) -> Tree:
        options = [self.read_sequence(depth)]
        while self.peek() == "|":
            self.at += 1
            options.append(self.read_sequence(depth))
        return options[0] if len(options) == 1 else Choice(tuple(options))

    def read_sequence(self, depth: int) -> Tree:
        parts: list[Tree] = []
        while self.peek() not in ("", "|", ")"):
            parts.append(self.read_repeats(depth))
        return parts[0] if len(parts) == 1 else Sequence(tuple(parts))

    def read_repeats(self, depth: int) -> Tree:
        start = self.at
        atom = self.read_atom(depth)
        match = _REPEAT.match(self.pattern, self.at)
        if match is None:
            return atom
        least, most = _read_bounds(match)
        self.at = match.end()
        if self.peek() == "+":
            raise RegexError(
                "Regular expressions run in linear time, so a possessive repeat is no part of them.",
                match.start(),
                self.at + 1,
                hint=f"write `{match.group()}`",
            )
        is_greedy = self.peek() != "?"
        self.at += not is_greedy
        if can_be_empty(atom) and (most is None or most > 1):
            body = self.pattern[start : match.start()]
            raise RegexError(
                f"`{body}` can match nothing at all, so it cannot be repeated.",
                start,
                self.at,
                hint="make one of its parts take at least one character",
            )
        return Repeat(atom, least, most, is_greedy)

    def read_atom(self, depth: int) -> Tree:
        char = self.peek()
        if char == "(":
            return self.read_group(depth)
        if char in "^$":
            self.at += 1
            return Anchor(char)
        if char == "\\" and self.pattern[self.at + 1] in "AZbB":
            self.at += 2
            return Anchor(self.pattern[self.at - 1])
        match = _LEAF.match(self.pattern, self.at)
        assert match is not None
        self.at = match.end()
        # A brace that opens no repeat is a brace, but on its own it would start one.
        return Leaf("\\" + match.group() if match.group() == "{" else match.group())

    def read_group(self, depth: int) -> Tree:
        start = self.at
        is_open = self.pattern.startswith("(?:", start)
        named = _NAMED.match(self.pattern, start)
        if self.pattern.startswith("(?", start) and not is_open and named is None:
            end = self.pattern.find(":", start)
            raise RegexError(
                "Flags stand at the start of a regular expression and hold for all of it.",
                start,
                end + 1 if end >= 0 else start + 2,
                hint="write `(?i)` first",
            )
        self.at += 3 if is_open else len(named.group()) if named else 1
        if not is_open:
            self.num_groups += 1
            if self.num_groups > 1:
                raise RegexError(
                    "The group is the answer, and this is a second group.",
                    start,
                    self.at,
                    hint="write `(?:…)` for those that are not the answer",
                )
        body = self.read_choice(depth + 1)
        self.at += 1
        return body if is_open else Group(body)

    def peek(self) -> str:
        return self.pattern[self.at : self.at + 1]


def _read_bounds(match: re.Match[str]) -> tuple[int, int | None]:
    text = match.group()
    if text in "*+?":
        return {"*": (0, None), "+": (1, None), "?": (0, 1)}[text]
    low, comma, high = text[1:-1].partition(",")
    least = int(low or 0)
    return least, (least if not comma else int(high) if high else None)
