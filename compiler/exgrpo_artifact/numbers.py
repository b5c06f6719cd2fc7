r"""Numbers in texts, read exactly.

Invariant: a number is a Fraction from the digits as written, so 18, 18.0 and 18.00 are one number and 0.1 is a tenth.
Reads signs (hyphen, U+2212 minus, en dash), thousands separators, decimals, exponents, simple and mixed fractions,
`\frac{3}{4}`, currency before and percent signs after the number (50% is 50). Spelled-out numbers, products such as
3 x 10^5 and units of measure are not evaluated, and digits inside a word (CO2) are no number. Every pattern is linear
in the length of the text.
"""

from __future__ import annotations

import math
import re
from collections import deque
from fractions import Fraction

MAX_DIGITS = 300
"""A longer numeral, or an exponent beyond it, is no number here: it would overflow a float."""

_MINUS = "-\u2212\u2013\ufe63\uff0d"
_NUMERAL = (
    r"(?:(?<![A-Za-z0-9_])[0-9]+(?:,[0-9]+)*(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,3}(?![\w]))?"
    r"|(?<![\w.])\.[0-9]+(?:[eE][-+]?[0-9]{1,3}(?![\w]))?)"
)
_CURRENCY = r"\\?[$\u20ac\u00a3\u00a5\u20b9]"
_TOKEN = re.compile(
    # A minus after a digit, a word or a closing bracket subtracts: "5-2" and "5 -2" end in 2.
    rf"(?P<sign>(?<![\w.)\]}}%])(?<![0-9)\]}}%] )[{_MINUS}])?"
    r"(?:"
    r"\\[dt]?frac ?\{ ?(?P<top_sign>-)?(?P<top>[0-9]+) ?\} ?\{ ?(?P<bottom>[0-9]+) ?\}"
    rf"|(?:{_CURRENCY} ?(?P<inner_sign>[{_MINUS}])?)?(?P<chain>{_NUMERAL}(?:/{_NUMERAL})*)"
    r")"
)
_SEPARATORS = (("{,}", ","), (",\\!", ","), ("\\,", ","))
"""Thousands separators of LaTeX."""
_FULL_WIDTH = str.maketrans("".join(map(chr, range(0xFF10, 0xFF1A))), "0123456789")

RELATIVE_TOLERANCE = Fraction(1, 10**9)
"""Of two numbers that are the same unless both are whole; it forgives the last digits of floats and nothing else."""


def parse_number(text: str) -> Fraction | None:
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
    stripped = stripped.removeprefix("+")
    match = _TOKEN.fullmatch(_unify_separators(stripped))
    if match is None:
        return None
    if match["chain"] and not _is_one_number(match["chain"]):
        return None
    return _read_token(match)


def find_last_number(text: str) -> Fraction | None:
    """The last number of the text, or None where it has none.

    >>> find_last_number("She pays 2 * $600 = $1,200.")
    Fraction(1200, 1)
    >>> find_last_number("5-2"), find_last_number("It is \u22122.")
    (Fraction(2, 1), Fraction(-2, 1))
    """
    text = _unify_separators(text)
    tail = deque(_TOKEN.finditer(text), maxlen=2)
    if not tail:
        return None
    number = _read_token(tail[-1])
    if len(tail) == 2 and number is not None:
        return _add_whole(tail[0], tail[1], text, number)
    return number


def is_same_number(left: Fraction, right: Fraction) -> bool:
    """Whether two numbers are the same: exactly where both are whole, else within RELATIVE_TOLERANCE."""
    if left == right:
        return True
    if left.denominator == right.denominator == 1:
        return False
    return abs(left - right) <= RELATIVE_TOLERANCE * min(abs(left), abs(right))


def convert_to_fraction(value: object) -> Fraction | None:
    """The exact number that a raw value is: an int, a finite float (as it prints), or a text that is a number."""
    if isinstance(value, str):
        return parse_number(value)
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return Fraction(value)
    if isinstance(value, float) and math.isfinite(value):
        return Fraction(repr(value))
    return None


def format_number(number: Fraction) -> str:
    """The one text of a number: an integer, a finite decimal, or `p/q` in lowest terms.

    >>> [format_number(Fraction(x)) for x in ("18", "-1.50", "1/3")]
    ['18', '-1.5', '1/3']
    """
    digits = _count_decimals(number.denominator)
    if digits is None:
        return f"{number.numerator}/{number.denominator}"
    if digits == 0:
        return str(number.numerator)
    scaled = str(abs(number.numerator) * 10**digits // number.denominator).rjust(digits + 1, "0")
    return f"{'-' if number < 0 else ''}{scaled[:-digits]}.{scaled[-digits:]}"


def simplify_number(number: Fraction) -> int | float | None:
    """The number as an int where it is whole, else the nearest float; None beyond the range of floats."""
    if number.denominator == 1:
        return number.numerator if abs(number.numerator) < 10**MAX_DIGITS else None
    try:
        return float(number)
    except OverflowError:
        return None


def _unify_separators(text: str) -> str:
    for separator, plain in _SEPARATORS:
        text = text.replace(separator, plain)
    return text if text.isascii() else text.translate(_FULL_WIDTH)


def _read_token(match: re.Match[str]) -> Fraction | None:
    sign = -1 if match["sign"] or match["inner_sign"] else 1
    if match["top"] is not None:
        sign = -sign if match["top_sign"] else sign
        return _divide(match["top"], match["bottom"], sign)
    parts = match["chain"].split("/")
    if len(parts) == 2:
        quotient = _divide(parts[0], parts[1], sign)
        if quotient is not None:
            return quotient
    numeral, is_whole = _join_groups(parts[-1])
    # In "-1,23" or "8/2/2024" the sign belongs to the first number of several, and the last one counts.
    return _read_numeral(numeral, sign if is_whole and len(parts) == 1 else 1)


def _divide(top: str, bottom: str, sign: int) -> Fraction | None:
    above, is_above = _join_groups(top)
    below, is_below = _join_groups(bottom)
    if not (is_above and is_below):
        return None
    numerator, denominator = _read_numeral(above, sign), _read_numeral(below, 1)
    if numerator is None or not denominator:
        return None
    return numerator / denominator


def _read_numeral(numeral: str, sign: int) -> Fraction | None:
    mantissa, _, exponent = numeral.lower().partition("e")
    if len(mantissa) > MAX_DIGITS or (exponent and abs(int(exponent)) > MAX_DIGITS):
        return None
    return sign * Fraction(numeral)


def _join_groups(numeral: str) -> tuple[str, bool]:
    """The numeral without thousands separators; or its last part, and False, where the commas separate a list."""
    if "," not in numeral:
        return numeral, True
    first, *rest = numeral.split(",")
    sizes = [len(re.split(r"[.eE]", group, maxsplit=1)[0]) for group in rest]
    is_western = all(size == 3 for size in sizes)
    is_indian = sizes[-1] == 3 and all(size == 2 for size in sizes[:-1])
    if len(first) <= 3 and (is_western or is_indian):
        return "".join([first, *rest]), True
    return rest[-1], False


def _is_one_number(chain: str) -> bool:
    parts = chain.split("/")
    return len(parts) <= 2 and all(_join_groups(part)[1] for part in parts)


def _add_whole(before: re.Match[str], last: re.Match[str], text: str, number: Fraction) -> Fraction:
    """The mixed number "5 1/2", where the last two tokens are one; else `number`."""
    chain = last["chain"]
    is_latex = last["top"] is not None
    is_fraction = is_latex or (chain is not None and chain.count("/") == 1)
    gap = text[before.end() : last.start()]
    if not is_fraction or last["sign"] or last["inner_sign"] or not 0 < number < 1:
        return number
    if gap != " " and not (is_latex and gap == ""):
        return number
    if before["chain"] is None or not before["chain"].isdigit():
        return number
    whole = _read_token(before)
    if whole is None:
        return number
    return whole - number if before["sign"] or before["inner_sign"] else whole + number


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
