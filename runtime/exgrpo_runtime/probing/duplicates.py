"""Near-duplicates: how alike two texts are in their letters, and which of a row's probes say what an earlier one said.

    similarity(a, b) = |A & B| / |A | B|

A and B are the sets of character trigrams of the texts in NFKC and lower case, all that is no letter or digit read as one space, with
a space at both ends (Jaccard; Broder 1997 calls the sets shingles). Order counts, so "3 of 5" and "5 of 3" differ; punctuation, case
and blanks do not.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

_WIDTH = 3
"""Characters of a shingle: enough to tell words apart, and languages without blanks have them too."""
_BREAKS = re.compile(r"[\W_]+")


class Original(NamedTuple):
    """What a text repeats."""

    place: int
    likeness: float


def compute_likeness(first: str, second: str) -> float:
    """How alike two texts are, from 0 (no trigram in common) to 1.

    >>> compute_likeness("Why add?", "why  add")
    1.0
    """
    return _compare(_cut(first), _cut(second))


def find_originals(texts: Sequence[str], threshold: float) -> list[Original | None]:
    """For each text, the earlier one that it repeats and how alike they are; None for one that says something new.

    Only texts that are themselves new are compared with, so a chain of small changes keeps its first and whatever has gone far enough
    from it.

    Args:
        texts: of one row's probes, in order.
        threshold: texts at least so alike are the same; above 0, at most 1.
    """
    kept: list[tuple[int, frozenset[str]]] = []
    found: list[Original | None] = []
    for place, text in enumerate(texts):
        shingles = _cut(text)
        likes = [(_compare(shingles, other), earlier) for earlier, other in kept]
        likeness, original = max(likes, key=lambda like: (like[0], -like[1]), default=(0.0, 0))
        if likes and likeness >= threshold:
            found.append(Original(original, likeness))
        else:
            kept.append((place, shingles))
            found.append(None)
    return found


def _compare(first: frozenset[str], second: frozenset[str]) -> float:
    return len(first & second) / len(first | second)


def _cut(text: str) -> frozenset[str]:
    plain = _BREAKS.sub(" ", unicodedata.normalize("NFKC", text).lower()).strip()
    padded = f" {plain} "
    return frozenset(padded[at : at + _WIDTH] for at in range(max(1, len(padded) - _WIDTH + 1)))
