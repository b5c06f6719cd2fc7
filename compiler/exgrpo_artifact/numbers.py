r"""Numbers in texts, read exactly.

Invariant: a number is an int or a Fraction from the digits as written, so 18, 18.0 and 18.00 are one number and 0.1 is a tenth.
Reads signs, thousands separators, decimals, fractions and mixed numbers, powers, scale words ("1.2 million"), currency
and percent signs, and their LaTeX (docs/language.md lists them). Numbers in words, sums, and units of measure are not
worked out: 50% is 50 and 50 cents are 50. Every pattern is linear in the length of the text.
"""

from __future__ import annotations

import math
import re
from collections import deque
from typing import TYPE_CHECKING

from exgrpo_artifact.named import NamedTuple
from exgrpo_artifact.number_tokens import (
    CURRENCY,
    JOINER,
    MAX_DIGITS,
    MINUS,
    MOST_BEFORE_DIGIT,
    find_tokens,
    is_fraction,
    is_one_number,
    read_token,
    unify_forms,
)

if TYPE_CHECKING:
    from exgrpo_artifact.number_tokens import Number

TOLERANCE_DENOMINATOR = 10**12
"""Two numbers that differ by one part of so many are the same unless both are whole: it forgives the last digits of floats and
nothing else."""
_WHOLE = 2.0**53
"""Below it a whole float prints as the number that it is."""

_DIGIT = re.compile("[0-9]")
# These are compiled when a text first needs them, which most do not.
_MINUS_BEFORE = (
    # A minus that stands apart: after an equals sign any dash, elsewhere only the minus sign itself, and never after a number.
    rf"(?:=[ $]{{0,3}}[{MINUS}]|(?<![\w)\]}}%{CURRENCY}])(?<![0-9)\]}}%{CURRENCY}] )(?<!\b[a-z] )\u2212|\bnegative"
    rf"|(?:^|[=:(]|\b(?:is|was|be|equals?|to|at|of|by)) ?minus) (?:[A-Z]{{1,3}})?\\?[{CURRENCY}]? ?\Z"
)
_LOOK_BEHIND = 24
"""Characters before a number in which such a minus stands."""
_TAIL = 2000
"""Characters at the end of a text that are looked at first."""
_REACH = 50_000
"""Characters before the last digit of a text that can have a part in its last number; a longer run of digits is none."""
_AFTER = 100
"""Characters behind the last digit that can: brackets, superscripts, a scale word, cents."""
_BOUNDARY = r"[\n=:;!?\"|<>#]|[a-z] [a-z]|(?<!frac)(?<!frac )[0-9] [0-9]"
_CENTS = r" ?(?:cents?\b|\u00a2)"
_DOLLARS_AND = r"(?: dollars?)?,?(?: and)? "


class _Found(NamedTuple):
    number: Number
    start: int
    end: int


def parse_number(text: str) -> Number | None:
    """The number that the whole text is, blanks around it and one final period aside; None where it is none.

    A percentage is none either: whether 50% is 50 or a half is for the author to say.

    >>> parse_number(" $1,234.50 ")
    Fraction(2469, 2)
    >>> parse_number("12 apples") is None
    True
    """
    stripped = text.strip()
    if len(stripped) > 2 * MAX_DIGITS:
        return None
    if stripped.endswith(".") and stripped[-2:-1].isdigit():
        stripped = stripped[:-1]
    stripped = unify_forms(stripped.removeprefix("+"))
    found = _find_last(stripped)
    if found is None or (found.start, found.end) != (0, len(stripped)):
        return None
    return found.number


def find_last_number(text: str) -> Number | None:
    """The last number of the text, or None where it has none.

    >>> find_last_number("She pays 2 * $600 = $1,200.")
    1200
    >>> find_last_number("5-2"), find_last_number("It is \u22122.")
    (2, -2)
    """
    if text.isascii() and not _DIGIT.search(text):
        return None
    if len(text) > _TAIL:
        # Almost always the end of the text decides. It may be read alone from behind a place that no token spans.
        cut = re.compile(_BOUNDARY).search(text, len(text) - _TAIL)
        tail = unify_forms(text[cut.end() - 1 :]) if cut else ""
        tokens = list(find_tokens(tail))
        if len(tokens) > 2 and tokens[-1].start() > _LOOK_BEHIND:
            found = _find_last(tail)
            return None if found is None else found.number
    text = unify_forms(text)
    last = max(text.rfind(digit) for digit in "0123456789")
    found = _find_last(text[max(0, last - _REACH) : last + _AFTER]) if last >= 0 else None
    return None if found is None else found.number


def is_same_number(left: Number, right: Number) -> bool:
    """Whether two numbers are the same: exactly where both are whole, else within the tolerance."""
    if left == right:
        return True
    if left.denominator == right.denominator == 1:
        return False
    from fractions import Fraction

    first, second = Fraction(left), Fraction(right)
    return abs(first - second) * TOLERANCE_DENOMINATOR <= min(abs(first), abs(second))


def convert_to_fraction(value: object) -> Number | None:
    """The exact number that a raw value is: an int, a finite float (as it prints), or a text that is a number."""
    if isinstance(value, str):
        return parse_number(value)
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return int(value) if value.is_integer() and abs(value) < _WHOLE else read_exact(repr(value))
    return None


def read_exact(text: str) -> Number:
    """The number that `format_number` wrote, or that a float prints as.

    >>> read_exact("-7"), read_exact("1/4")
    (-7, Fraction(1, 4))
    """
    if text.removeprefix("-").isdecimal():
        return int(text)
    from fractions import Fraction

    return Fraction(text)


def format_number(number: Number) -> str:
    """The one text of a number: an integer, a finite decimal, or `p/q` in lowest terms.

    >>> [format_number(read_exact(x)) for x in ("18", "-1.50", "1/3")]
    ['18', '-1.5', '1/3']
    """
    digits = _count_decimals(number.denominator)
    if digits is None:
        return f"{number.numerator}/{number.denominator}"
    if digits == 0:
        return str(number.numerator)
    scaled = str(abs(number.numerator) * 10**digits // number.denominator).rjust(digits + 1, "0")
    return f"{'-' if number < 0 else ''}{scaled[:-digits]}.{scaled[-digits:]}"


def simplify_number(number: Number) -> int | float | None:
    """The number as an int where it is whole, else the nearest float; None beyond the range of floats."""
    if number.denominator == 1:
        return number.numerator if abs(number.numerator) < 10**MAX_DIGITS else None
    try:
        return float(number)
    except OverflowError:
        return None


def _find_last(text: str) -> _Found | None:
    """The last number of a text in one form, with all that belongs to it."""
    digit = _DIGIT.search(text)
    if digit is None:
        return None
    tail = deque(find_tokens(text, max(0, digit.start() - MOST_BEFORE_DIGIT)), maxlen=2)
    if not tail:
        return None
    last = tail[-1]
    number = read_token(last)
    if number is None:
        return None
    # Of several numbers in one token, such as a date, the last one counts, and it does not stand for the whole.
    found = _Found(number, last.start() if is_one_number(last) else last.end() - 1, last.end())
    whole = _join_tokens(tail[0], last, text, number) if len(tail) == 2 else None
    if whole is not None:
        return whole
    if last["sign"] or last["inner_sign"] or found.start != last.start():
        return found
    window = max(0, last.start() - _LOOK_BEHIND)
    said = text[window : last.start()]
    if not (any(mark in said for mark in MINUS) or "minus" in said.lower() or "negative" in said.lower()):
        return found
    minus = re.search(_MINUS_BEFORE, said, re.IGNORECASE)
    return _Found(-number, window + minus.start(), last.end()) if minus else found


def _join_tokens(before: re.Match[str], last: re.Match[str], text: str, number: Number) -> _Found | None:
    """One number written as two tokens: "5 1/2", or "5 dollars and 25 cents"."""
    whole = read_token(before)
    if whole is None or not is_one_number(before) or last["sign"] or last["inner_sign"]:
        return None
    sign = -1 if before["sign"] or before["inner_sign"] else 1
    gap = text[before.end() : min(last.start(), before.end() + 20)]
    if before["chain"] is not None and before["chain"].isdigit() and is_fraction(last) and 0 < number < 1:
        is_joined = last["chain"] is None or last.group().startswith(JOINER)
        if gap in (" ", " and ") or (gap == "" and is_joined):
            return _Found(whole + sign * number, before.start(), last.end())
    is_money = "$" in before.group() or "dollar" in gap.lower()
    if is_money and whole.denominator == 1 and 0 <= number < 100:
        cents = re.match(_CENTS, text[last.end() : last.end() + 8], re.IGNORECASE)
        if cents and re.fullmatch(_DOLLARS_AND, gap, re.IGNORECASE):
            return _Found(
                whole + sign * read_exact(f"{number.numerator}/{100 * number.denominator}"),
                before.start(),
                last.end() + cents.end(),
            )
    return None


def _count_decimals(denominator: int) -> int | None:
    """Decimals of 1/denominator; None where they never end."""
    twos = fives = 0
    while denominator % 2 == 0:
        denominator //= 2
        twos += 1
    while denominator % 5 == 0:
        denominator //= 5
        fives += 1
    return max(twos, fives) if denominator == 1 else None
