r"""Numerals in texts: how numbers are written, and what each piece of such writing is worth.

A text is first brought to one form (`unify_forms`); a numeral with its sign, currency, fraction bar, power of ten and
scale word is then one token. Invariant: every pattern looks at each character a bounded number of times, so time is
linear in the length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fractions import Fraction

    Number = int | Fraction
    """An exact number, an int where it is whole as written; `fractions` is loaded for those that are not."""

MAX_DIGITS = 300
"""A longer numeral, or a number of more digits, is no number here: it would overflow a float."""

MINUS = "-\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63"
"""Hyphens, dashes and the minus sign."""
CURRENCY = "$\u20ac\u00a3\u00a5\u20b9\u20a9\u00a2"
JOINER = "\u2064"
"""Invisible plus: what stands between 1 and 1/2 in 1½."""

_GROUP_MARKS = r"(?<=[0-9])[\u00a0\u2007\u2009\u202f'\u2019](?=[0-9]{3}(?![0-9]))"
_MARKS = frozenset("\u00a0\u2007\u2009\u202f'\u2019")
"""What separates thousands beside a comma."""
_LATEX_SEPARATORS = (
    ("{,}", ","),
    (",\\!", ","),
    ("\\,", ","),
    ("\\ ", " "),
    ("~", " "),
    ("\\left", ""),
    ("\\right", ""),
)
_FULL_WIDTH = {0xFF01 + at: 0x21 + at for at in range(94)}
_VULGAR = {
    "\u00bc": "1/4",
    "\u00bd": "1/2",
    "\u00be": "3/4",
    "\u2150": "1/7",
    "\u2151": "1/9",
    "\u2152": "1/10",
    "\u2153": "1/3",
    "\u2154": "2/3",
    "\u2155": "1/5",
    "\u2156": "2/5",
    "\u2157": "3/5",
    "\u2158": "4/5",
    "\u2159": "1/6",
    "\u215a": "5/6",
    "\u215b": "1/8",
    "\u215c": "3/8",
    "\u215d": "5/8",
    "\u215e": "7/8",
    "\u2189": "0/3",
}
_FORMS = str.maketrans(
    {
        **{chr(wide): chr(plain) for wide, plain in _FULL_WIDTH.items()},
        **{char: JOINER + fraction for char, fraction in _VULGAR.items()},
        "\u2044": "/",
        "\u2215": "/",
        "\u200b": None,
        "\u2060": None,
    }
)
_SUPERSCRIPTS = str.maketrans(
    "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079\u207b\u207a", "0123456789-+"
)

_WORD = "A-Za-z0-9_\u00aa-\u024f\u0370-\u052f"
"""Characters of words that blanks set apart: in a Chinese sentence a minus may stand behind any."""
_SUPERSCRIPT = "[\u207b\u207a]?[\u2070\u00b9\u00b2\u00b3\u2074-\u2079]{1,3}"
_TIMES = "\u00d7\u00b7\u22c5"
_SPECIAL = frozenset(f"-{MINUS}{CURRENCY}{JOINER}{_TIMES}\u207b\u207a\u2070\u00b9\u00b2\u00b3") - {"$"} | {
    chr(code) for code in range(0x2074, 0x207A)
}
"""What the plain pattern does not read, or reads otherwise beside letters of other scripts."""


def find_tokens(text: str, start: int = 0) -> Iterator[re.Match[str]]:
    """Every numeral of a text in one form, from an offset on."""
    is_plain = text.isascii() or _SPECIAL.isdisjoint(text)
    return get_pattern(is_plain).finditer(text, start)


@lru_cache(2)
def get_pattern(is_plain: bool) -> re.Pattern[str]:
    """The pattern of a token; the plain one knows no signs but those of ASCII, and is made in half the time."""
    minus, currency, word = ("-", "$", "A-Za-z0-9_") if is_plain else (MINUS, CURRENCY, _WORD)
    dash, times = ("-", "") if is_plain else ("-\u2212", _TIMES)
    joiner, superscript = ("", "") if is_plain else (f"{JOINER}?", f"|{_SUPERSCRIPT}")
    exponent = rf"(?:\^ ?(?:\{{ ?[{minus}+]?[0-9]{{1,3}} ?\}}|[{minus}+]?[0-9]{{1,3}}(?![0-9]|\.[0-9])){superscript})"
    numeral = (
        # Not inside of a word, and neither an exponent nor an index.
        rf"(?:(?<![A-Za-z0-9_^])(?<!\^[{dash}])(?<![_^]\{{)(?<!\^\{{[{dash}])"
        rf"(?:[0-9]+(?:,[0-9]+)*(?:\.[0-9]+)?|(?<![\w.])\.[0-9]+)(?:[eE][{dash}+]?[0-9]{{1,3}}(?![\w]))?)"
    )
    part = (
        rf"(?:\{{{{ ?(?P<{{0}}_sign>[{dash}])? ?(?P<{{0}}>[0-9]+(?:\.[0-9]+)?) ?\}}}}|(?P<{{0}}_digit>[0-9]))"
    )
    return re.compile(
        # A minus after a digit, a word, a closing bracket or dollar subtracts: "5-2" and "5 -2" end in 2.
        rf"(?P<sign>(?<![{word}.)\]}}%{currency}])(?<![0-9)\]}}%] )[{minus}])?"
        r"(?:"
        rf"\\[dtc]?frac ?{part.format('top')} ?{part.format('bottom')}"
        rf"|(?:(?:[A-Z]{{1,3}})?\\?[{currency}] ?(?:(?P<inner_sign>[{minus}])(?:\\[{currency}])?)?)?{joiner}"
        rf"(?P<chain>(?!/)(?:/?{numeral})+)"
        rf"(?: ?(?P<times>(?:[xX*{times}]|\\times|\\cdot) ?10 ?)?(?P<power>{exponent}))?"
        r"(?:[ -]?(?P<scale>(?i:thousand|million|billion|trillion))(?![A-Za-z]))?"
        r")"
    )


MOST_BEFORE_DIGIT = 16
"""Characters of a token before its first digit, at most: a sign, `\\dfrac {` and a sign, or letters and signs of a currency."""
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}


def unify_forms(text: str) -> str:
    """The text with one form for separators of thousands, full-width characters, and fractions that are one character.

    >>> unify_forms("1'234 and 1{,}234")
    '1,234 and 1,234'
    """
    for separator, plain in _LATEX_SEPARATORS:
        text = text.replace(separator, plain)
    if not text.isascii():
        text = text.translate(_FORMS)
    return text if _MARKS.isdisjoint(text) else re.sub(_GROUP_MARKS, ",", text)


def read_token(match: re.Match[str]) -> Number | None:
    """What a token is worth; None where it has too many digits."""
    sign = -1 if match["sign"] or match["inner_sign"] else 1
    if match["chain"] is None:
        return _read_latex_fraction(match, sign)
    parts = match["chain"].split("/")
    number = _divide(parts[0], parts[1], sign) if len(parts) == 2 else None
    if number is None:
        numeral, is_whole = _join_groups(parts[-1])
        # In "-1,23" or "8/2/2024" the sign belongs to the first number of several, and the last one counts.
        number = _read_numeral(numeral, sign if is_whole and len(parts) == 1 else 1)
    if number is None:
        return None
    if match["times"]:
        power = _raise(10, _read_exponent(match["power"]))
        number = None if power is None else number * power
    elif match["power"]:
        raised = _raise(number if number >= 0 else -number, _read_exponent(match["power"]))
        number = None if raised is None else raised if number >= 0 else -raised
    return number * _SCALES.get((match["scale"] or "").lower(), 1) if number is not None else None


def is_one_number(match: re.Match[str]) -> bool:
    """Whether the token is one number and no list, date or chain of fractions."""
    if match["chain"] is None:
        return True
    parts = match["chain"].split("/")
    return len(parts) <= 2 and all(_join_groups(part)[1] for part in parts)


def is_fraction(match: re.Match[str]) -> bool:
    """Whether it is written with a fraction bar and without a sign of its own."""
    has_bar = match["chain"] is None or match["chain"].count("/") == 1
    return has_bar and not (match["sign"] or match["inner_sign"])


def _read_latex_fraction(match: re.Match[str], sign: int) -> Number | None:
    for part in ("top", "bottom"):
        sign = -sign if match[f"{part}_sign"] else sign
    top, bottom = (match[part] or match[f"{part}_digit"] for part in ("top", "bottom"))
    return _divide(top, bottom, sign)


def _divide(top: str, bottom: str, sign: int) -> Number | None:
    above, is_above = _join_groups(top)
    below, is_below = _join_groups(bottom)
    if not (is_above and is_below):
        return None
    numerator, denominator = _read_numeral(above, sign), _read_numeral(below, 1)
    if numerator is None or not denominator:
        return None
    if isinstance(numerator, int) and isinstance(denominator, int) and numerator % denominator == 0:
        return numerator // denominator
    from fractions import Fraction

    return Fraction(numerator) / denominator


def _read_numeral(numeral: str, sign: int) -> Number | None:
    if numeral.isdecimal():
        return sign * int(numeral) if len(numeral) <= MAX_DIGITS else None
    from fractions import Fraction  # here, as below: most numbers are whole

    mantissa, _, exponent = numeral.lower().replace("\u2212", "-").partition("e")
    if len(mantissa) > MAX_DIGITS or (exponent and abs(int(exponent)) > MAX_DIGITS):
        return None
    return sign * Fraction(numeral.replace("\u2212", "-"))


def _read_exponent(written: str) -> int:
    plain = written.translate(_SUPERSCRIPTS).strip("^{} ")
    return -int(plain[1:]) if plain[0] in MINUS else int(plain)


def _raise(base: Number, exponent: int) -> Number | None:
    digits = max(len(str(base.numerator)), len(str(base.denominator)))
    if digits * abs(exponent) > MAX_DIGITS or (base == 0 and exponent < 0):
        return None
    if exponent >= 0:
        return base**exponent
    from fractions import Fraction

    return Fraction(base) ** exponent


def _join_groups(numeral: str) -> tuple[str, bool]:
    """The numeral without thousands separators; or its last part, and False, where the commas separate a list."""
    if "," not in numeral:
        return numeral, True
    first, *rest = numeral.split(",")
    sizes = [*map(len, rest[:-1]), len(re.split(r"[.eE]", rest[-1], maxsplit=1)[0])]
    is_western = all(size == 3 for size in sizes)
    is_indian = sizes[-1] == 3 and all(size == 2 for size in sizes[:-1])
    if len(first) <= 3 and (is_western or is_indian):
        return "".join([first, *rest]), True
    return rest[-1], False
