"""Characters as a pattern sees them: those that the same leaves take are one code.

What a leaf takes is asked of `re` itself, so classes, case and Unicode mean just what they mean there.
"""

from __future__ import annotations

import re
import threading
from typing import Final

from exgrpo_artifact.regex_program import Place, Program

START: Final = -1
END: Final = -2
"""Codes of what stands before the first character and after the last."""

MAX_KNOWN = 4000
"""Characters whose codes are kept."""

_OTHER, _WORD, _LINE_FEED, _LAST_LINE_FEED = range(4)
_WORD_CHARACTER = re.compile(r"\w")


class Alphabet:
    """The codes of one program."""

    def __init__(self, program: Program, is_anchored: bool) -> None:
        self.takers: list[int] = []
        """By code: the leaves that take the character, as bits."""
        self._kinds: list[int] = []
        self._codes: dict[tuple[int, int], int] = {}
        self._known: dict[str, int] = {}
        self._places: dict[tuple[int, int], Place] = {}
        self._is_anchored = is_anchored
        self._lock = threading.Lock()
        numbers: dict[str, int] = {}
        for number, leaf in enumerate(program.leaves):
            numbers[leaf] = numbers.get(leaf, 0) | 1 << number
        self._leaves = [(program.compile_leaf(leaf), mask) for leaf, mask in numbers.items()]

    def encode(self, text: str) -> list[int]:
        """The code of each character; a final line feed has one of its own where the pattern has anchors."""
        known = self._known
        unknown = set(text).difference(known)
        if unknown:
            known = self._known = {**known, **self._classify(unknown)}
        codes = [known[char] for char in text]
        if self._is_anchored and text.endswith("\n"):
            codes[-1] = self._find_code(self.takers[codes[-1]], _LAST_LINE_FEED)
        if len(known) > MAX_KNOWN:
            self._known = {}
        return codes

    def find_place(self, left: int, right: int) -> Place:
        """What anchors may ask about the place between two codes."""
        place = self._places.get((left, right))
        if place is None:
            before = self._kinds[left] if left != START else _LINE_FEED
            behind = self._kinds[right] if right != END else _LINE_FEED
            place = self._places[left, right] = Place(
                is_start=left == START,
                is_end=right == END,
                is_last_line_end=behind == _LAST_LINE_FEED,
                is_line_start=before in (_LINE_FEED, _LAST_LINE_FEED),
                is_line_end=behind in (_LINE_FEED, _LAST_LINE_FEED),
                is_word_left=before == _WORD,
                is_word_right=behind == _WORD,
            )
        return place

    def _classify(self, chars: set[str]) -> dict[str, int]:
        joined = "".join(chars)
        taken = dict.fromkeys(chars, 0)
        for leaf, mask in self._leaves:
            for char in leaf.findall(joined):
                taken[char] |= mask
        kinds = dict.fromkeys(chars, _OTHER)
        if self._is_anchored:
            kinds.update(dict.fromkeys(_WORD_CHARACTER.findall(joined), _WORD))
            if "\n" in kinds:
                kinds["\n"] = _LINE_FEED
        return {char: self._find_code(taken[char], kinds[char]) for char in chars}

    def _find_code(self, taken: int, kind: int) -> int:
        with self._lock:
            code = self._codes.get((taken, kind))
            if code is None:
                code = self._codes[taken, kind] = len(self.takers)
                self.takers.append(taken)
                self._kinds.append(kind)
            return code
