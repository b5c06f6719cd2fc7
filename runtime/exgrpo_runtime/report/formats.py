"""Numbers as the page writes them. Rounding happens here and nowhere else."""

from __future__ import annotations

THIN = "\u202f"
"""Narrow no-break space, between a number and its unit."""
MINUS = "\u2212"
NONE = "\u2013"
"""Shown where there is no value."""


def format_number(value: float | None, digits: int = 3) -> str:
    """`digits` significant digits, no exponent between 1e-4 and 1e6; whole numbers stay whole.

    >>> format_number(0.03749), format_number(4.0), format_number(1234.5)
    ('0.0375', '4', '1,234')
    """
    if value is None:
        return NONE
    if value == int(value) and abs(value) < 1e6:
        return format_count(int(value))
    if not 1e-4 <= abs(value) < 1e6:
        return _sign(f"{value:.{digits - 1}e}")
    whole = len(str(int(abs(value)))) if abs(value) >= 1 else 0
    if whole >= digits:
        return _sign(f"{value:,.0f}")
    decimals = digits - whole if whole else digits - 1 + _count_zeros(abs(value)) + 1
    text = f"{value:.{decimals}f}".rstrip("0").rstrip(".")
    return _sign(text)


def format_count(value: int | None) -> str:
    """A whole number with thousands set off.

    >>> format_count(4158)
    '4,158'
    """
    return NONE if value is None else _sign(f"{value:,}")


def format_percent(share: float | None, decimals: int = 1) -> str:
    """A share of 1 in per cent.

    >>> format_percent(0.4125).replace(THIN, " ")
    '41.2 %'
    """
    return NONE if share is None else f"{format_points(share, decimals)}{THIN}%"


def format_points(share: float, decimals: int = 1) -> str:
    """A share of 1 in per cent, without the sign of it."""
    return _sign(f"{share * 100:.{decimals}f}")


def format_signed(value: float | None, decimals: int = 2) -> str:
    """With its sign, also where it is positive; zero has none."""
    if value is None:
        return NONE
    text = f"{value:+.{decimals}f}"
    return text[1:] if float(text) == 0 else _sign(text)


def format_seconds(seconds: float | None) -> str:
    """A duration.

    >>> [format_seconds(s).replace(THIN, " ") for s in (0.41, 31.2, 148.3, 7325)]
    ['0.4 s', '31 s', '2 min 28 s', '2 h 2 min']
    """
    if seconds is None:
        return NONE
    if seconds < 9.95:
        return f"{seconds:.1f}{THIN}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}{THIN}s"
    if whole < 3600:
        return f"{whole // 60}{THIN}min {whole % 60}{THIN}s"
    return f"{whole // 3600}{THIN}h {whole % 3600 // 60}{THIN}min"


def format_value(value: object) -> str:
    """A setting: text as it is, truth values and none in words, lists by commas."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return ", ".join(format_value(item) for item in value) or "none"
    return str(value)


def _count_zeros(value: float) -> int:
    """Zeros between the point and the first digit of a value below 1."""
    zeros = 0
    while value * 10 < 1:
        value *= 10
        zeros += 1
    return zeros


def _sign(text: str) -> str:
    return MINUS + text[1:] if text.startswith("-") else text
