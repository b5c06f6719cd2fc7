"""A parsed regular expression as instructions, and where they lead from each without taking a character.

Instructions are those of a Thompson automaton: take a character, go two ways in order of preference, mark a place, ask about a place,
end. A `Leads` is the ordered outcome of all that takes no character, for one kind of place between two characters.
"""

from __future__ import annotations

import re
import warnings

from exgrpo_artifact.named import NamedTuple
from exgrpo_artifact.regex_syntax import Anchor, Choice, Group, Leaf, Pattern, Repeat, Sequence, Tree

MATCH = -1
"""The target that ends a match."""


class Place(NamedTuple):
    """What the anchors ask about a place between two characters."""

    is_start: bool = False
    is_end: bool = False
    is_last_line_end: bool = False
    """Before a line feed that ends the text."""
    is_line_start: bool = False
    is_line_end: bool = False
    is_word_left: bool = False
    is_word_right: bool = False


class Leads(NamedTuple):
    """Where to go, best first."""

    targets: tuple[tuple[int, tuple[int, ...]], ...]
    """A leaf's number or MATCH, and the marks (0: group opens, 1: it closes) passed on the way."""

    @property
    def mask(self) -> int:
        """The leaves among the targets, as bits."""
        return sum(1 << target for target, _ in self.targets if target != MATCH)

    @property
    def is_match(self) -> bool:
        """Whether MATCH is among them."""
        return any(target == MATCH for target, _ in self.targets)


class Program:
    """Instructions of a pattern.

    Leaf number n is the n-th instruction that takes a character; `after[n]` is the instruction behind it.
    """

    def __init__(self, pattern: Pattern) -> None:
        self.flags = pattern.flags
        self.leaves: list[str] = []
        self.after: list[int] = []
        self._code: list[tuple[str, int, int] | tuple[str, str, int]] = []
        self._leads: dict[tuple[int, Place | None], Leads] = {}
        self._write(pattern.tree)
        self._code.append(("match", 0, 0))

    def find_leads(self, at: int, place: Place | None) -> Leads:
        """Where instruction `at` leads at such a place; at all places together where it is None."""
        known = self._leads.get((at, place))
        if known is None:
            known = self._leads[at, place] = self._follow(at, place)
        return known

    @property
    def num_instructions(self) -> int:
        """How many there are."""
        return len(self._code)

    def compile_leaf(self, leaf: str) -> re.Pattern[str]:
        """A leaf as a pattern of `re` for one character."""
        flags = (re.IGNORECASE if "i" in self.flags else 0) | (re.DOTALL if "s" in self.flags else 0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return re.compile(leaf, flags)

    def _follow(self, at: int, place: Place | None) -> Leads:
        targets: list[tuple[int, tuple[int, ...]]] = []
        seen: set[int] = set()
        waiting: list[tuple[int, tuple[int, ...]]] = [(at, ())]
        while waiting:
            at, marks = waiting.pop()
            if at in seen:
                continue
            seen.add(at)
            name, first, second = self._code[at]
            if name == "take":
                assert isinstance(first, int)
                targets.append((first, marks))
            elif name == "match":
                targets.append((MATCH, marks))
            elif name == "mark":
                assert isinstance(first, int)
                waiting.append((at + 1, (*marks, first)))
            elif name == "ask":
                if place is None or _holds(str(first), "m" in self.flags, place):
                    waiting.append((at + 1, marks))
            else:
                assert isinstance(first, int)
                waiting += [(second, marks), (first, marks)]
        return Leads(tuple(targets))

    def _write(self, tree: Tree) -> None:
        code = self._code
        if isinstance(tree, Leaf):
            code.append(("take", len(self.leaves), 0))
            self.leaves.append(tree.text)
            self.after.append(len(code))
        elif isinstance(tree, Anchor):
            code.append(("ask", tree.kind, 0))
        elif isinstance(tree, Sequence):
            for part in tree.parts:
                self._write(part)
        elif isinstance(tree, Group):
            code.append(("mark", 0, 0))
            self._write(tree.body)
            code.append(("mark", 1, 0))
        elif isinstance(tree, Choice):
            self._write_choice(tree)
        else:
            self._write_repeat(tree)

    def _write_choice(self, tree: Choice) -> None:
        ends: list[int] = []
        for option in tree.options[:-1]:
            split = self._reserve()
            self._write(option)
            ends.append(self._reserve())
            self._code[split] = ("split", split + 1, len(self._code))
        self._write(tree.options[-1])
        for end in ends:
            self._code[end] = ("split", len(self._code), len(self._code))

    def _write_repeat(self, tree: Repeat) -> None:
        for _ in range(tree.least):
            self._write(tree.body)
        if tree.most is None:
            split = self._reserve()
            self._write(tree.body)
            self._code.append(("split", split, split))
            self._code[split] = self._split(split + 1, len(self._code), tree.is_greedy)
            return
        splits = []
        for _ in range(tree.most - tree.least):
            splits.append(self._reserve())
            self._write(tree.body)
        for split in splits:
            self._code[split] = self._split(split + 1, len(self._code), tree.is_greedy)

    def _reserve(self) -> int:
        self._code.append(("split", 0, 0))
        return len(self._code) - 1

    def _split(self, inside: int, outside: int, is_greedy: bool) -> tuple[str, int, int]:
        return ("split", inside, outside) if is_greedy else ("split", outside, inside)


def _holds(kind: str, is_multiline: bool, place: Place) -> bool:
    if kind == "A" or (kind == "^" and not is_multiline):
        return place.is_start
    if kind == "Z":
        return place.is_end
    if kind == "^":
        return place.is_line_start
    if kind == "$":
        return place.is_line_end if is_multiline else place.is_end or place.is_last_line_end
    is_edge = place.is_word_left != place.is_word_right
    return is_edge if kind == "b" else not is_edge
