"""Units of numbers. A unit is part of a number's type; there are no conversions between units."""

from __future__ import annotations

from exgrpo_compiler.ast import Number
from exgrpo_compiler.diagnostics import Edit, Fix, suggest_name
from exgrpo_compiler.problems import Problems, list_names, suggest_fix
from exgrpo_compiler.source import Span

UNITS = {
    "tok": "tokens",
    "usd": "US dollars",
    "s": "seconds",
    "%": "per cent",
    "GiB": "gibibytes",
}
"""Every unit that a number may carry, and its name in messages."""


def describe_unit(unit: str | None) -> str:
    """The unit in words: "in tokens (`tok`)", or "without a unit"."""
    return f"in {UNITS[unit]} (`{unit}`)" if unit in UNITS else "without a unit"


def verify_unit_known(number: Number, problems: Problems) -> bool:
    """Reports a unit that does not exist."""
    if number.unit is None or number.unit in UNITS:
        return True
    written = Span(number.span.source, number.span.end - len(number.unit), number.span.end)
    problems.error(
        "unit-mismatch",
        number.span,
        f"`{number.unit}` is not a unit.",
        hint=suggest_name(number.unit, UNITS) or list_names(UNITS, "the units are"),
        fix=suggest_fix(written, number.unit, UNITS),
    )
    return False


def verify_unit(number: Number, actual: str | None, due: str | None, problems: Problems, what: str) -> bool:
    """Reports a number whose unit is not the one due for `what` ("`max_tokens`")."""
    if actual == due:
        return True
    fix = None
    if due is None:
        message = f"{what} is a plain number; `{number.text}` is {describe_unit(actual)}."
        # A per cent is a share: `5%` of something stands for 0.05, so that leaving the sign away would say 100 times as much.
        plain = f"{number.value / 100:g}" if actual == "%" else number.text.removesuffix(actual or "")
        hint = f"write `{plain}`"
    elif actual is None:
        message = f"{what} is {describe_unit(due)}; `{number.text}` has no unit."
        shown = f"{100 * number.value:g}" if due == "%" and 0 < number.value <= 1 else number.text
        hint = f"write `{shown}{due}`"
        fix = Fix(hint, (Edit(number.span, f"{shown}{due}"),), is_safe=shown == number.text)
    else:
        message = f"{what} is {describe_unit(due)}; `{number.text}` is {describe_unit(actual)}."
        hint = None
    problems.error("unit-mismatch", number.span, message, hint=hint, fix=fix)
    return False
