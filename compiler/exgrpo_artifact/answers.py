"""Reading the answer out of a text, and when two answers are the same.

Every answer has a canonical text, so that reward, filters and evaluation agree on what is right. Departures from graders of the
field, each of which is a named test: a minus sign counts, `know` holds no `no`, a number inside a word (`CO2`) is none.

Regular expressions here take time linear in the text: quantifiers are possessive or cannot overlap.
"""

from __future__ import annotations

import math
import re
import string
import unicodedata
from collections.abc import Callable, Mapping
from datetime import date
from fractions import Fraction
from functools import lru_cache
from typing import Any

from exgrpo_artifact.errors import MissingDependencyError
from exgrpo_artifact.manifest import AnswerSpec, FieldType

MAX_DIGITS = 300
"""Longer numerals are no numbers: nobody counts that far, and converting them is quadratic."""

RELATIVE_TOLERANCE = 1e-9
"""Of two numbers that are the same; it forgives the last digits of binary floats and nothing else."""


def extract_answer(text: str, spec: AnswerSpec) -> str | None:
    """The canonical text of the answer that `text` gives, or None where it gives none.

    >>> extract_answer("She has 1,234 left. The answer is -5.", AnswerSpec(kind="number.last"))
    '-5'
    """
    return _extract_regex(text, spec) if spec.kind == "regex" else _EXTRACTORS[spec.kind](text)


def same_answer(left: Any, right: Any, spec: AnswerSpec) -> bool:
    """Whether two answers are the same; each a field's value, a canonical text, or a text that gives an answer."""
    if spec.kind in ("number.last", "number.boxed") or _is_numeric(spec.type):
        return _same_number(_to_number(left, spec), _to_number(right, spec))
    if spec.kind == "math.boxed":
        return _same_math(str(left), str(right))
    return _to_text(left, spec) == _to_text(right, spec)


def answer_matches(text: str, gold: Any, spec: AnswerSpec) -> bool:
    """Whether the answer that `text` gives is `gold`; a text without an answer never matches."""
    answer = extract_answer(text, spec)
    return answer is not None and same_answer(answer, gold, spec)


# --- numbers ----------------------------------------------------------------------------------------------

_MINUS = "-\u2212\u2013\ufe63\uff0d"
_CURRENCY = "$\u20ac\u00a3\u00a5\u20b9"
_NUMERAL = r"(?:\d{1,3}(?:,\d{3}(?!\d))++|\d++)(?:\.\d++)?+|(?<![\d.])\.\d++"
_NUMBER = re.compile(
    rf"\\d?frac\{{(?P<top>[{_MINUS}]?\d{{1,40}})\}}\{{(?P<bottom>\d{{1,40}})\}}"
    rf"|(?:(?P<whole>\d{{1,20}})[ ](?=\d{{1,20}}/\d))?+(?P<numeral>{_NUMERAL})"
    r"(?:[eE](?P<exponent>[+-]?\d{1,3})(?![\w.]))?+(?:\s?/\s?(?P<over>\d{1,40})(?!\d|[/.,]\d))?+"
)
_DIGIT_FOLD = str.maketrans(dict.fromkeys(_MINUS, "-"))


def parse_number(text: str) -> Fraction | None:
    """The number that `text` as a whole is: sign, currency, thousands separators, fraction or percent sign allowed.

    >>> parse_number("-$1,234.50")
    Fraction(-2469, 2)
    """
    stripped = unicodedata.normalize("NFKC", text[: MAX_DIGITS * 2]).strip().rstrip("%").strip()
    sign = 1
    body = stripped
    while body and body[0] in _MINUS + _CURRENCY + "+ ":
        sign = -sign if body[0] in _MINUS else sign
        body = body[1:]
    if not body or len(stripped) - len(body) > 3 or len(text) > MAX_DIGITS * 2:
        return None
    match = _NUMBER.fullmatch(body.removesuffix("."))
    value = _read_match(match) if match else None
    return None if value is None else sign * value


def read_number(text: str) -> Fraction | None:
    """Another name for `parse_number`, for fields that hold a number as text."""
    return parse_number(text)


def _find_last_number(text: str) -> Fraction | None:
    folded = text if text.isascii() else unicodedata.normalize("NFKC", text)
    last: Fraction | None = None
    found: re.Match[str] | None = None
    for match in _NUMBER.finditer(folded):
        before = folded[match.start() - 1] if match.start() else ""
        if not (before.isalpha() or before == "_"):
            found = match
    if found is not None:
        value = _read_match(found, in_date=folded[found.start() - 1 : found.start()] == "/")
        last = None if value is None else _find_sign(folded, found.start()) * value
    return last


def _read_match(match: re.Match[str], *, in_date: bool = False) -> Fraction | None:
    if in_date and match["over"]:
        return Fraction(int(match["over"]))
    if match["top"] is not None:
        bottom = int(match["bottom"])
        return Fraction(int(match["top"].translate(_DIGIT_FOLD)), bottom) if bottom else None
    digits = match["numeral"].replace(",", "")
    if len(digits) > MAX_DIGITS:
        return None
    value = Fraction(digits if digits[0] != "." else "0" + digits)
    if match["exponent"]:
        value *= Fraction(10) ** int(match["exponent"])
    if match["over"]:
        if int(match["over"]) == 0:
            return None
        value /= int(match["over"])
    if match["whole"]:
        value += int(match["whole"])
    return value


def _find_sign(text: str, start: int) -> int:
    """-1 where the number at `start` has a minus sign of its own; the minus of `5-2` is an operator."""
    place = start - 1
    while place >= 0 and text[place] in _CURRENCY:
        place -= 1
    if place < 0 or text[place] not in _MINUS:
        return 1
    before = text[max(0, place - 8) : place]
    word = before.rstrip()
    if not word:
        return -1
    is_operand = word[-1].isdigit() or word[-1] in ")]}%" or (word == before and word[-1].isalpha())
    return 1 if is_operand else -1


def _to_number(value: Any, spec: AnswerSpec) -> Fraction | None:
    if isinstance(value, bool):
        return Fraction(int(value))
    if isinstance(value, int):
        return Fraction(value)
    if isinstance(value, float):
        return Fraction(repr(value)) if math.isfinite(value) else None
    if not isinstance(value, str):
        return None
    number = parse_number(value)
    if number is not None:
        return number
    found = extract_answer(value, spec)
    return None if found is None else Fraction(found)


def _same_number(left: Fraction | None, right: Fraction | None) -> bool:
    if left is None or right is None:
        return False
    return left == right or abs(left - right) <= RELATIVE_TOLERANCE * min(abs(left), abs(right))


def _extract_last_number(text: str) -> str | None:
    number = _find_last_number(text)
    return None if number is None else str(number)


def _is_numeric(type_: FieldType | None) -> bool:
    return type_ is not None and type_.kind in ("number", "int")


# --- boxed ------------------------------------------------------------------------------------------------


def find_boxed(text: str) -> str | None:
    r"""Content of the last `\boxed{…}` whose braces close, or None.

    >>> find_boxed(r"\boxed{1} so \boxed{\frac{3}{4}}")
    '\\frac{3}{4}'
    """
    end = len(text)
    for _ in range(8):  # a text of a million unclosed boxes must not cost a million scans
        start = text.rfind("\\boxed{", 0, end)
        if start < 0:
            return None
        depth = 0
        for place in range(start + len("\\boxed"), len(text)):
            depth += {"{": 1, "}": -1}.get(text[place], 0)
            if depth == 0:
                return text[start + len("\\boxed{") : place]
        end = start
    return None


def _extract_boxed_number(text: str) -> str | None:
    content = find_boxed(text)
    if content is None:
        return None
    number = parse_number(content) if parse_number(content) is not None else _find_last_number(content)
    return None if number is None else str(number)


def _same_math(left: str, right: str) -> bool:
    """Symbolic equality of two LaTeX answers.

    Raises:
        MissingDependencyError: the extra `math` is not installed.
    """
    try:
        from math_verify import parse, verify
    except ImportError as error:
        raise MissingDependencyError(
            "math.boxed answers need math-verify: pip install 'exgrpo[math]'"
        ) from error
    # Its own time-outs are alarms, which work in the main thread only.
    gold = parse(f"${left}$", parsing_timeout=None)
    answer = parse(f"${right}$", parsing_timeout=None)
    return bool(verify(gold, answer, timeout_seconds=None)) or left.strip() == right.strip()


# --- words ------------------------------------------------------------------------------------------------

_YESNO = re.compile(r"\b(yes|no|true|false)\b", re.IGNORECASE)
_STATED_LETTER = re.compile(
    r"(?:answer|option|choice)(?:\s{1,3}is)?\s{0,3}:?\s{0,3}\(?([A-J])\)?(?![A-Za-z'])", re.IGNORECASE
)
_PARENTHESISED_LETTER = re.compile(r"\(([A-J])\)")
_LONE_LETTER = re.compile(r"\W{0,4}([A-J])\W{0,4}")


def _extract_yesno(text: str) -> str | None:
    last = None
    for match in _YESNO.finditer(text):
        last = match
    if last is None:
        return None
    return "yes" if last[1].lower() in ("yes", "true") else "no"


def _extract_letter(text: str) -> str | None:
    """The last "answer is (X)", else the last "(X)", else a text that is a letter."""
    plain = text.replace("*", "")
    for pattern in (_STATED_LETTER, _PARENTHESISED_LETTER):
        letters = [match[1] for match in pattern.finditer(plain) if match[1].isupper()]
        if letters:
            return letters[-1]
    alone = _LONE_LETTER.fullmatch(plain.strip())
    return alone[1] if alone else None


_ARTICLES = frozenset({"a", "an", "the"})
_PUNCTUATION = str.maketrans(dict.fromkeys(string.punctuation, " "))


def normalize_text(text: str) -> str:
    """Case, articles, punctuation and spacing taken out, compatibility forms folded.

    >>> normalize_text("The  Train-Station!")
    'train station'
    """
    folded = unicodedata.normalize("NFKC", text).casefold().translate(_PUNCTUATION)
    return " ".join(word for word in folded.split() if word not in _ARTICLES)


# --- dates ------------------------------------------------------------------------------------------------

_MONTHS = {
    name: number
    for number, names in enumerate(
        ("january jan", "february feb", "march mar", "april apr", "may", "june jun", "july jul", "august aug",
         "september sep sept", "october oct", "november nov", "december dec"), start=1)
    for name in names.split()
}  # fmt: skip
_MONTH = "(?P<{0}>" + "|".join(sorted(_MONTHS, key=len, reverse=True)) + r")\.?"
_DATE = re.compile(
    r"\b(?:(?P<y1>\d{4})-(?P<m1>\d{1,2})-(?P<d1>\d{1,2})"
    r"|(?P<m2>\d{1,2})/(?P<d2>\d{1,2})/(?P<y2>\d{4})"
    rf"|{_MONTH.format('m3')}\s{{1,3}}(?P<d3>\d{{1,2}})(?:st|nd|rd|th)?,?\s{{1,3}}(?P<y3>\d{{4}})"
    rf"|(?P<d4>\d{{1,2}})(?:st|nd|rd|th)?\s{{1,3}}{_MONTH.format('m4')},?\s{{1,3}}(?P<y4>\d{{4}}))\b",
    re.IGNORECASE,
)


def _extract_date(text: str) -> str | None:
    """The last date in ISO form; `m/d/yyyy` is read the American way, as the field's date sets write it."""
    last: str | None = None
    for match in _DATE.finditer(text):
        parts = {name[0]: value for name, value in match.groupdict().items() if value is not None}
        month = int(parts["m"]) if parts["m"].isdigit() else _MONTHS[parts["m"].lower()]
        try:
            last = date(int(parts["y"]), month, int(parts["d"])).isoformat()
        except ValueError:
            continue
    return last


# --- regex ------------------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _compile(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _extract_regex(text: str, spec: AnswerSpec) -> str | None:
    found: str | None = None
    for match in _compile(spec.pattern or "").finditer(text):
        value = _convert_match(match[1] if match.re.groups else match[0], spec.type)
        if value is None:
            continue
        found = value
        if spec.which == "first":
            break
    return found


def _convert_match(text: str | None, type_: FieldType | None) -> str | None:
    """The canonical text of a match; None where it is none of the type."""
    if text is None:
        return None
    if _is_numeric(type_):
        number = parse_number(text)
        return None if number is None else str(number)
    if type_ is not None and type_.kind == "choice":
        return text if text in type_.options else None
    if type_ is not None and type_.kind == "bool":
        return _extract_yesno(text)
    return text.strip()


def _to_text(value: Any, spec: AnswerSpec) -> str | None:
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = value if isinstance(value, str) else str(value)
    if spec.kind == "regex":
        return text.strip()
    extracted = _EXTRACTORS[spec.kind](text)
    return text.strip() if extracted is None else extracted


_EXTRACTORS: Mapping[str, Callable[[str], str | None]] = {
    "number.last": _extract_last_number,
    "number.boxed": _extract_boxed_number,
    "math.boxed": find_boxed,
    "choice.letter": _extract_letter,
    "yesno.last": _extract_yesno,
    "date.last": _extract_date,
    "text.exact": str.strip,
    "text.normalized": normalize_text,
}
