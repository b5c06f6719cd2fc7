r"""Matching regular expressions of specs in time linear in the text, with the answers of Python's `re`.

Two passes, after Frisch and Cardelli, "Greedy Regular Expression Matching" (ICALP 2004): the first goes from the end to the start and
notes at each place which leaves of the pattern can take the next character and still come to a match; the second goes forward and
takes the preferred way among those, so it never turns back, and all matches of a text cost one pass. The first is an automaton made
state by state as the text asks for it; where a text asks for too many, its steps are computed and not kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from functools import lru_cache
from itertools import accumulate
from operator import getitem
from typing import Any

from exgrpo_artifact.named import NamedTuple
from exgrpo_artifact.regex_alphabet import END, START, Alphabet
from exgrpo_artifact.regex_program import MATCH, Leads, Place, Program
from exgrpo_artifact.regex_syntax import has_anchor, parse_regex

MAX_KEPT = 4000
"""States and choices kept per pattern."""


class RegexMatch(NamedTuple):
    """Where a pattern matched, as offsets, and where its group did; -1 where the group took no part."""

    start: int
    end: int
    group_start: int
    group_end: int


@lru_cache(maxsize=256)
def compile_regex(pattern: str) -> Regex:
    """The pattern, ready to match.

    >>> compile_regex("(a+)+b").find_first("aab")
    RegexMatch(start=0, end=3, group_start=0, group_end=2)

    Raises:
        RegexError: it is malformed or outside the subset.
    """
    return Regex(pattern)


class _TooManyStatesError(Exception):
    pass


class _State(dict[Any, Any]):
    """Which leaves can take the next character; its items are the states one character further left."""

    __slots__ = ("mask", "regex")

    def __init__(self, regex: Regex, mask: int) -> None:
        super().__init__()
        self.regex = regex
        self.mask = mask

    def __missing__(self, symbol: Any) -> _State:
        state = self.regex.keep_state(self.regex.step_back(self.mask, symbol))
        self[symbol] = state
        return state


class _Choices(dict[int, "_Choice"]):
    """The preferred way on from one instruction at one kind of place, by the leaves that can take the next character."""

    __slots__ = ("leads", "regex")

    def __init__(self, regex: Regex, leads: Leads) -> None:
        super().__init__()
        self.regex = regex
        self.leads = leads

    def __missing__(self, mask: int) -> _Choice:
        self.regex.count_kept()
        choice = self[mask] = self.regex.choose(self.leads, mask)
        return choice


class Regex:
    """A compiled pattern. Threads may share it: what they add to it comes out the same for all."""

    def __init__(self, pattern: str) -> None:
        parsed = parse_regex(pattern)
        self.has_group = parsed.has_group
        self._program = Program(parsed)
        self._is_anchored = has_anchor(parsed.tree)
        self._alphabet = Alphabet(self._program, self._is_anchored)
        self._sources: dict[Place, _Sources] = {}
        self._states: dict[int, _State] = {}
        self._choices: dict[Place, list[_Choices]] = {}
        self._num_kept = 0

    def iterate_matches(self, text: str) -> Iterator[RegexMatch]:
        """All matches from left to right, none overlapping, as `re.finditer` finds them."""
        codes = self._alphabet.encode(text)
        masks = self._look_ahead(codes)
        starts = self._program.find_leads(0, None)
        start_mask, is_empty_match = starts.mask, starts.is_match
        places = None if not self._is_anchored else [START, *codes, END]
        choices = self._list_choices(_ANYWHERE)
        at, instruction = 0, 0
        while at <= len(text):
            if not (is_empty_match or masks[at] & start_mask):
                at, instruction = at + 1, 0
                continue
            start, group_start, group_end = at, -1, -1
            while instruction != _DONE:
                if places is not None:
                    choices = self._list_choices(self._alphabet.find_place(places[at], places[at + 1]))
                instruction, marks = choices[instruction][masks[at]]
                if marks:
                    group_start = at if marks & 1 else group_start
                    group_end = at if marks & 2 else group_end
                at += 1
            at -= 1
            if marks & _FAILED:
                at, instruction = start + 1, 0
            else:
                yield RegexMatch(start, at, group_start, group_end)
                # As in `re`, an empty match may follow any but an empty one at the same place.
                instruction = 0 if at > start else _NOT_EMPTY

    def find_first(self, text: str) -> RegexMatch | None:
        """The leftmost match, or None."""
        return next(self.iterate_matches(text), None)

    def find_last(self, text: str) -> RegexMatch | None:
        """The last of all matches, or None."""
        last = deque(self.iterate_matches(text), maxlen=1)
        return last[0] if last else None

    def keep_state(self, mask: int) -> _State:
        """The state of the automaton that stands for `mask`."""
        state = self._states.get(mask)
        if state is None:
            if len(self._states) >= MAX_KEPT:
                raise _TooManyStatesError
            state = self._states[mask] = _State(self, mask)
        return state

    def step_back(self, mask: int, symbol: Any) -> int:
        """The leaves that can take a character, from those that can take the next one.

        Args:
            mask: the leaves that can take the next character, as bits.
            symbol: the character's code; with anchors, also the next one's.
        """
        code: int = symbol[0] if self._is_anchored else symbol
        place = self._alphabet.find_place(*symbol) if self._is_anchored else _ANYWHERE
        sources = self._sources.get(place)
        if sources is None:
            sources = self._sources[place] = _Sources(self._program, place)
        return self._alphabet.takers[code] & sources.collect(mask)

    def choose(self, leads: Leads, mask: int) -> _Choice:
        """The preferred way that comes to a match."""
        for target, passed in leads.targets:
            if target == MATCH or mask >> target & 1:
                marks = sum(1 << mark for mark in passed)
                return _Choice(_DONE if target == MATCH else self._program.after[target], marks)
        return _Choice(_DONE, _FAILED)

    def count_kept(self) -> None:
        """Forgets the choices kept where they are too many."""
        self._num_kept += 1
        if self._num_kept > MAX_KEPT:
            self._num_kept = 0
            for choices in list(self._choices.values()):
                for kept in choices:
                    kept.clear()

    def _look_ahead(self, codes: list[int]) -> list[int]:
        """The leaves that can take the character at each place, as bits; none at the end."""
        symbols: list[Any] = codes[::-1]
        if self._is_anchored:
            symbols = list(zip(symbols, [END, *symbols], strict=False))
        try:
            trace = [state.mask for state in accumulate(symbols, getitem, initial=self.keep_state(0))]
        except _TooManyStatesError:
            self._states = {}
            trace = list(accumulate(symbols, self.step_back, initial=0))
        trace.reverse()
        return trace

    def _list_choices(self, place: Place) -> list[_Choices]:
        """Choices at such a place by instruction; the last is for a start that must not end at once."""
        known = self._choices.get(place)
        if known is None:
            leads = [self._program.find_leads(at, place) for at in range(self._program.num_instructions)]
            leads.append(Leads(tuple(lead for lead in leads[0].targets if lead[0] != MATCH)))
            known = self._choices[place] = [_Choices(self, one) for one in leads]
        return known


class _Choice(NamedTuple):
    instruction: int
    """The next one, behind the character taken; _DONE where the match ends or there is none."""
    marks: int
    """1: the group opens here, 2: it closes, _FAILED: there is no match."""


_ANYWHERE = Place()
_NOT_EMPTY = -1
_DONE = -2
_FAILED = 4


class _Sources:
    """From which leaves, at one kind of place, a match can be come to by given next leaves."""

    def __init__(self, program: Program, place: Place) -> None:
        self._of_leaf = [0] * len(program.leaves)
        self._ends = 0
        for number, after in enumerate(program.after):
            leads = program.find_leads(after, place)
            self._ends |= leads.is_match << number
            for target, _ in leads.targets:
                if target != MATCH:
                    self._of_leaf[target] |= 1 << number
        self._of_byte: dict[tuple[int, int], int] = {}

    def collect(self, mask: int) -> int:
        """The leaves behind which a match ends here or goes on with one of `mask`."""
        found = self._ends
        for at, byte in enumerate(mask.to_bytes((mask.bit_length() + 7) // 8, "little")):
            if byte:
                known = self._of_byte.get((at, byte))
                if known is None:
                    known = self._of_byte[at, byte] = self._collect_byte(at, byte)
                found |= known
        return found

    def _collect_byte(self, at: int, byte: int) -> int:
        found = 0
        for bit in range(8):
            if byte >> bit & 1:
                found |= self._of_leaf[8 * at + bit]
        return found
