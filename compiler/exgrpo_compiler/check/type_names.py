"""Reading written types."""

from __future__ import annotations

from exgrpo_compiler.ast import RecordField, Ref, Text, TypeExpr
from exgrpo_compiler.check.context import Context
from exgrpo_compiler.check.forms import report_double
from exgrpo_compiler.diagnostics import Edit, Fix
from exgrpo_compiler.source import Span
from exgrpo_compiler.value_types import ANY, SCALARS, Type, list_of

TYPE_NAMES = (*SCALARS, "choice", "list")


def read_type(context: Context, type_: TypeExpr, title: str = "a record") -> Type | None:
    """The type that is written, or None with a diagnostic; `title` is what a record of it is called in messages."""
    if type_.fields is not None:
        return _read_record(context, type_, title)
    if type_.name in SCALARS:
        if type_.arguments:
            context.problems.error("unknown-argument", type_.span, f"`{type_.name}` takes no arguments.")
            return None
        return Type(type_.name)
    if type_.name == "choice":
        return _read_choice(context, type_)
    if type_.name == "list":
        if type_.element is None:
            context.problems.error(
                "missing-argument", type_.span, "`list` needs the type of its elements: list[text]."
            )
            return None
        element = read_type(context, type_.element, f"an element of {title}")
        return list_of(element) if element is not None else None
    message = f"There is no type `{type_.name}`."
    own = _OTHER_NAMES.get(type_.name)
    if own is None:
        context.problems.unknown("unknown-type", type_.span, message, type_.name, TYPE_NAMES, "the types are")
    else:
        place = Span(type_.span.source, type_.span.start, type_.span.start + len(type_.name))
        fix = Fix(f"write `{own}`", (Edit(place, own),), is_safe=True)
        context.problems.error("unknown-type", type_.span, message, hint=fix.title, fix=fix)
    return None


def _read_record(context: Context, type_: TypeExpr, title: str) -> Type | None:
    fields: dict[str, Type] = {}
    names: dict[str, RecordField] = {}
    for field in type_.fields or ():
        name = field.name.text
        if name in names:
            first = names[name].name.span
            message = f"There are two fields `{name}`."
            report_double(context.problems, "duplicate-name", field.name, first, message)
            continue
        names[name] = field
        fields[name] = read_type(context, field.type, f"`{name}` of {title}") or ANY
    if not names:
        message = "A record type names at least one field."
        context.problems.error("missing-key", type_.span, message, hint="as { name: text, count: int }")
        return None
    return Type("record", fields=tuple(fields.items()), title=title, is_written=True)


_OTHER_NAMES = {
    "string": "text",
    "str": "text",
    "float": "number",
    "double": "number",
    "integer": "int",
    "boolean": "bool",
}
"""What other languages call the types."""


def _read_choice(context: Context, type_: TypeExpr) -> Type | None:
    names = [argument.value.name for argument in type_.arguments if isinstance(argument.value, Ref)]
    options = [argument.value.value for argument in type_.arguments if isinstance(argument.value, Text)]
    if len(options) < len(type_.arguments) or len(options) < 2:
        context.problems.error(
            "type-mismatch",
            type_.span,
            'A choice lists at least two texts: choice("A", "B").',
            hint="write choice(" + ", ".join(f'"{name}"' for name in names) + ")"
            if len(names) == len(type_.arguments) > 1
            else 'as choice("A", "B")',
        )
        return None
    if len(set(options)) < len(options):
        context.problems.error("duplicate-key", type_.span, "A choice lists each option once.")
        return None
    return Type("choice", options=tuple(options))
