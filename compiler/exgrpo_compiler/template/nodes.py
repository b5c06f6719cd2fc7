"""The tree of a template. Every node says where it stands in the template's text: `start` included, `end` excluded."""

from __future__ import annotations

from exgrpo_artifact.record import Record

# --- expressions ------------------------------------------------------------------------------------------


class NameRead(Record):
    """A bare name."""

    name: str
    start: int
    end: int


class Constant(Record):
    """A number, a text, `true` or `false`."""

    value: str | int | float | bool
    start: int
    end: int


class Field(Record):
    """`value.name`, or `value["name"]`; `at` is where the name begins."""

    value: Value
    name: str
    at: int
    start: int
    end: int


class Listed(Record):
    """`[a, b]`, or `a, b`."""

    items: tuple[Value, ...]
    start: int
    end: int


class Argument(Record):
    """An argument of a filter or of `declassify`."""

    name: str
    """Empty for a positional one."""
    value: Value
    start: int
    end: int


class Filtered(Record):
    """`value | name(arguments)`; `at` is where the name begins."""

    value: Value
    name: str
    at: int
    arguments: tuple[Argument, ...]
    start: int
    end: int


class Declassified(Record):
    """`declassify(value, reason="…")`; `value | declassify(…)` is the same."""

    arguments: tuple[Argument, ...]
    start: int
    end: int


class Chosen(Record):
    """`then if test else otherwise`."""

    test: Value
    then: Value
    otherwise: Value
    start: int
    end: int


class Logical(Record):
    """`left and right`, `left or right`."""

    left: Value
    right: Value
    start: int
    end: int


class Negated(Record):
    """`not value`."""

    value: Value
    start: int
    end: int


class Compared(Record):
    """`first < second <= third`: operands one more than signs (`== != < <= > >= in notin`)."""

    operands: tuple[Value, ...]
    signs: tuple[str, ...]
    start: int
    end: int


class Computed(Record):
    """`left + right` and `- * /`; for a signed number `left` is None."""

    sign: str
    left: Value | None
    right: Value
    start: int
    end: int


class Joined(Record):
    """`a ~ b ~ c`."""

    items: tuple[Value, ...]
    start: int
    end: int


class Refused(Record):
    """What templates do not have, already reported; `parts` are the values in it."""

    parts: tuple[Value, ...]
    start: int
    end: int


Value = (
    NameRead
    | Constant
    | Field
    | Listed
    | Filtered
    | Declassified
    | Chosen
    | Logical
    | Negated
    | Compared
    | Computed
    | Joined
    | Refused
)

# --- statements -------------------------------------------------------------------------------------------


class Data(Record):
    """Text that stands as it is."""

    start: int
    end: int


class Printed(Record):
    """`{{ value }}`."""

    value: Value
    start: int
    end: int


class Branch(Record):
    """`if test` or `elif test` with what follows it."""

    test: Value
    body: tuple[Statement, ...]


class Decided(Record):
    """`{% if %}…{% endif %}`. `otherwise` is None where there is no `else`."""

    branches: tuple[Branch, ...]
    otherwise: tuple[Statement, ...] | None
    start: int
    end: int


class Looped(Record):
    """`{% for name in items if test %}…{% else %}…{% endfor %}`; `at` is where the name begins."""

    name: str
    at: int
    items: Value
    test: Value | None
    body: tuple[Statement, ...]
    otherwise: tuple[Statement, ...]
    start: int
    end: int


class Assigned(Record):
    """`{% set name = value %}`; `at` is where the name begins."""

    name: str
    at: int
    value: Value
    start: int
    end: int


Statement = Data | Printed | Decided | Looped | Assigned
