"""Every quantity that a text states, in digits or in words, as exact numbers.

Only for comparing what two texts state; reading *the* answer of a text is the business of
exgrpo_artifact.answers.
"""

from __future__ import annotations

import re
from fractions import Fraction

from exgrpo_artifact.answers import parse_number

_DIGITS = re.compile(
    r"(?P<sign>(?<![\w.)\]])[-\u2212])?[$\u20ac\u00a3]?"
    r"(?P<number>(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)"
    r"(?P<fraction>\s?/\s?\d+(?![\d/]|\.\d))?(?P<percent>\s?%)?",
    re.ASCII,
)
_UNITS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_SMALL = {word: value for value, word in enumerate(_UNITS)} | {
    word: 10 * value for value, word in enumerate(_TENS, start=2)
}
_LARGE = {"hundred": 100, "thousand": 1000, "million": 1_000_000}
_WORD = re.compile(r"[a-z]+|[^a-z\s-]+|-")


def find_quantities(text: str) -> set[Fraction]:
    """All quantities in the text; `50%` counts as 50 and as 1/2, `3/4` as 3/4 alone.

    The word "one" counts only inside a larger numeral ("twenty-one"), since it is mostly a pronoun.

    >>> sorted(find_quantities("Of $1,200 he spent seventy-two and 5-3."))
    [Fraction(3, 1), Fraction(5, 1), Fraction(72, 1), Fraction(1200, 1)]
    """
    found: set[Fraction] = set()
    for match in _DIGITS.finditer(text):
        stated = parse_number(match["number"].replace(",", ""))
        if stated is None:
            continue
        value = Fraction(stated)
        if match["fraction"]:
            below = int(match["fraction"].strip(" /"))
            value = value / below if below else value
        value = -value if match["sign"] else value
        found.add(value)
        if match["percent"]:
            found.add(value / 100)
    return found | {Fraction(value) for value in _find_spelled(text)}


def _find_spelled(text: str) -> set[int]:
    found: set[int] = set()
    numeral: list[str] = []
    for word in [*_WORD.findall(text.lower()), "."]:
        if word in _SMALL or word in _LARGE:
            numeral.append(word)
        elif numeral and word in ("and", "-"):
            continue
        elif numeral:
            found.update(_read_numeral(numeral))
            numeral = []
    return found


def _read_numeral(words: list[str]) -> set[int]:
    """Values of a run of number words; words that do not combine ("two three") are numbers of their own."""
    values: list[int] = []
    total, current, last = 0, 0, 0
    for word in words:
        if word in _LARGE:
            scale = _LARGE[word]
            current = max(current, 1) * scale
            if scale >= 1000:
                total, current = total + current, 0
            last = scale
            continue
        value = _SMALL[word]
        if last and not _combines(last, value):
            values.append(total + current)
            total, current = 0, 0
        current += value
        last = value or 1
    values.append(total + current)
    return set() if words == ["one"] else {value for value in values if len(words) == 1 or value != 1}


def _combines(last: int, value: int) -> bool:
    return last >= 100 or (20 <= last <= 90 and 0 < value < 10)
