"""Dates in texts: ISO and the common English forms, as ISO dates.

`05/01/2024` is read month first, as the Date Understanding task of BIG-bench writes it, unless the month would be above
12. A date that the calendar lacks (30 February) is no date.
"""

from __future__ import annotations

import re
from datetime import date

_MONTHS = (
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
)
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sept?|oct|nov|dec)[a-z]{0,6}\.?"
_DATE = re.compile(
    r"(?<![0-9])(?P<y1>[0-9]{4})(?P<separator>[-/.])(?P<m1>[0-9]{1,2})(?P=separator)(?P<d1>[0-9]{1,2})(?![0-9])"
    r"|(?<![0-9/.-])(?P<first>[0-9]{1,2})(?P<mark>[/.-])(?P<second>[0-9]{1,2})(?P=mark)(?P<y2>[0-9]{4})(?![0-9])"
    rf"|\b(?P<m3>{_MONTH}) (?P<d3>[0-9]{{1,2}})(?:st|nd|rd|th)?(?:,| ,)? ?(?P<y3>[0-9]{{4}})(?![0-9])"
    rf"|(?<![0-9])(?P<d4>[0-9]{{1,2}})(?:st|nd|rd|th)?(?: of)? (?P<m4>{_MONTH}),? (?P<y4>[0-9]{{4}})(?![0-9])",
    re.IGNORECASE | re.ASCII,
)


def find_last_date(text: str) -> str | None:
    """The last date of the text as YYYY-MM-DD, or None.

    >>> find_last_date("From 2024-02-01 to March 3rd, 2024.")
    '2024-03-03'
    """
    last = None
    for match in _DATE.finditer(text):
        last = _read_date(match) or last
    return last


def _read_date(match: re.Match[str]) -> str | None:
    if match["y1"]:
        return _format_date(int(match["y1"]), int(match["m1"]), int(match["d1"]))
    if match["y2"]:
        month, day = int(match["first"]), int(match["second"])
        if month > 12 or match["mark"] == ".":
            month, day = day, month
        return _format_date(int(match["y2"]), month, day)
    form = "3" if match["y3"] else "4"
    number = _find_month(match["m" + form])
    return None if number is None else _format_date(int(match["y" + form]), number, int(match["d" + form]))


def _find_month(name: str) -> int | None:
    name = name.lower().rstrip(".")
    if name == "sept":
        return 9
    return next((at for at, month in enumerate(_MONTHS, start=1) if name in (month, month[:3])), None)


def _format_date(year: int, month: int, day: int) -> str | None:
    try:
        return date(year, month, day).isoformat()
    except ValueError:
        return None
