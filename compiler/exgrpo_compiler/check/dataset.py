"""`dataset` declarations: where rows come from, their splits, and their typed fields."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from exgrpo_artifact.manifest import Source, SourceKind, Split
from exgrpo_artifact.record import replace
from exgrpo_compiler.ast import (
    Argument,
    Attribute,
    Binary,
    Call,
    Decl,
    Expr,
    FieldStmt,
    NamedStmt,
    Ref,
)
from exgrpo_compiler.builtins import DATASET, FILE_SOURCES, SOURCE_ARGUMENTS, Setting
from exgrpo_compiler.check.arguments import bind_arguments
from exgrpo_compiler.check.constants import Env, read_constant, read_number, read_setting
from exgrpo_compiler.check.context import Context, report_unknown_name
from exgrpo_compiler.check.expressions import check_expression, verify_type
from exgrpo_compiler.check.forms import report_double, sort_statements
from exgrpo_compiler.check.scope import Columns, Scope
from exgrpo_compiler.check.type_names import read_type
from exgrpo_compiler.diagnostics import Edit, Fix, find_closest
from exgrpo_compiler.ir import CheckedDataset, CheckedField, Typed
from exgrpo_compiler.value_types import ANY, Type

_UNKNOWN = Source(kind="jsonl", location="?")
"""Stands for a source that is wrong, and reported; what is emitted never has it."""
_FRACTION = Setting("split", "number", unit="%", low=0, high=100)


def check_dataset(context: Context, decl: Decl) -> CheckedDataset:
    """A checked `dataset`, also with diagnostics: fields and splits that are broken are known by their names."""
    assert decl.block is not None
    name = decl.name
    what = f"dataset `{name.text}`"
    block = sort_statements(
        decl.block, "dataset", what, name.span, context.problems, is_damaged=decl.is_damaged
    )
    assign = block.get("source")
    source = read_source(context, assign.value) if assign else None
    split_statements = [item for item in block.others if isinstance(item, NamedStmt)]
    field_statements = [item for item in block.others if isinstance(item, FieldStmt)]
    splits = _read_splits(context, split_statements, source)
    fields = _read_fields(context, field_statements)
    for word, written in (("split", split_statements), ("field", field_statements)):
        if not written and not decl.is_damaged:
            context.problems.error("missing-key", name.span, f"Dataset `{name.text}` has no `{word}`.")
    row_type = Type(
        "record",
        fields=tuple((field.name, field.type) for field in fields),
        title=f"a row of `{name.text}`",
        is_open=decl.is_damaged,
    )
    terms = block.get("license")
    license_ = read_setting(context, terms.value, DATASET["license"]) if terms else None
    return CheckedDataset(
        decl.doc,
        source or _UNKNOWN,
        splits,
        fields,
        row_type,
        license_ if isinstance(license_, str) else None,
    )


# --- source -------------------------------------------------------------------------------------------------


def read_source(context: Context, expr: Expr) -> Source | None:
    """`hf(…)`, `jsonl(…)`, `csv(…)`, `parquet(…)`, `arrow(…)`, `plugin(…)`."""
    if not isinstance(expr, Call) or not isinstance(expr.function, Ref):
        context.problems.error(
            "type-mismatch",
            expr.span,
            "A source is hf(…), jsonl(…), csv(…), parquet(…), arrow(…) or plugin(…).",
            hint='as hf("openai/gsm8k", config: "main") or jsonl("rows.jsonl")',
        )
        return None
    kind = expr.function.name
    if kind not in SOURCE_ARGUMENTS:
        report_unknown_name(context, kind, expr.function.span, list(SOURCE_ARGUMENTS), what="kind of source")
        return None
    if kind in FILE_SOURCES:
        return _read_file_source(context, kind, expr)
    return _read_named_source(context, kind, expr)


def _read_named_source(context: Context, kind: str, expr: Call) -> Source | None:
    names = ("location", *SOURCE_ARGUMENTS[kind])
    bound = bind_arguments(
        expr.arguments,
        names,
        ("location",),
        f"`{kind}`",
        expr.span,
        context.problems,
        num_positional=1,
        takes_any_name=kind == "plugin",
    )
    if bound is None:
        return None
    location = _read_text(context, bound["location"], f"The first argument of `{kind}`")
    options: dict[str, object] = {}
    for name, argument in bound.items():
        if name == "location":
            continue
        if kind == "hf" and name != "streaming":
            options[name] = _read_text(context, argument, f"`{name}`")
            continue
        constant = read_constant(context, argument.value)
        if constant is None:
            return None
        if isinstance(constant.value, Env) or constant.unit is not None:
            context.problems.error(
                "type-mismatch",
                argument.span,
                f"`{name}` is a plain value: text, number, bool or list.",
                hint='as 0.1, "text", true or [1, 2]',
            )
            return None
        if kind == "hf" and not isinstance(constant.value, bool):
            context.problems.error(
                "type-mismatch",
                argument.value.span,
                f"`{name}` is true or false.",
                hint=f"write {name}: true",
            )
            return None
        options[name] = constant.value
    if location is None or None in options.values():
        return None
    return Source(kind=cast(SourceKind, kind), location=location, options=options)


def _read_file_source(context: Context, kind: str, expr: Call) -> Source | None:
    named = [argument for argument in expr.arguments if argument.name is not None]
    plain = [argument for argument in expr.arguments if argument.name is None]
    if len(plain) > 1 or bool(plain) == bool(named):
        context.problems.error(
            "missing-argument" if not expr.arguments else "unknown-argument",
            expr.span,
            f"`{kind}` takes one file, or files by the name of their part.",
            hint=f'{kind}("rows.{kind}") or {kind}(train: "a.{kind}", test: "b.{kind}")',
        )
        return None
    if plain:
        location = _read_text(context, plain[0], f"The file of `{kind}`")
        return Source(kind=cast(SourceKind, kind), location=location) if location is not None else None
    parts: dict[str, str] = {}
    for argument in named:
        assert argument.name is not None
        path = _read_text(context, argument, f"`{argument.name.text}`")
        if path is None:
            return None
        if argument.name.text in parts:
            context.problems.error(
                "duplicate-key", argument.name.span, f"`{argument.name.text}` is given twice."
            )
            return None
        parts[argument.name.text] = path
    return Source(kind=cast(SourceKind, kind), parts=parts)


def _is_unquoted(context: Context, expr: Expr) -> bool:
    """Whether a path or a name was written without its quotes: a name that no const has, or names with `.` and `/`."""
    if isinstance(expr, Binary):
        return _is_unquoted(context, expr.left) or _is_unquoted(context, expr.right)
    while isinstance(expr, Attribute):
        expr = expr.value
    if not isinstance(expr, Ref) or context.is_lost(expr.name):
        return False
    names = context.program.names_of(context.module, "const")
    return context.program.find(context.module, expr.name) is None and find_closest(expr.name, names) is None


def _read_text(context: Context, argument: Argument, what: str) -> str | None:
    if _is_unquoted(context, argument.value):
        span = argument.value.span
        quoted = f'"{span.source.text[span.start : span.end]}"'
        context.problems.error(
            "type-mismatch",
            span,
            f"{what} stands in quotes.",
            hint=f"write {quoted}",
            fix=Fix(f"write {quoted}", (Edit(span, quoted),)),
        )
        return None
    constant = read_constant(context, argument.value)
    if constant is None:
        return None
    if isinstance(constant.value, str) and constant.value:
        return constant.value
    if constant.value == "":
        context.problems.error(
            "invalid-value", argument.value.span, f"{what} is empty.", hint="write its name or path"
        )
        return None
    context.problems.error(
        "type-mismatch", argument.value.span, f"{what} is a text.", hint="write it in quotes"
    )
    return None


# --- splits -------------------------------------------------------------------------------------------------


def _read_splits(
    context: Context, statements: Sequence[NamedStmt], source: Source | None
) -> dict[str, Split]:
    splits: dict[str, Split] = {}
    broken: dict[str, Split] = {}
    first: dict[str, NamedStmt] = {}
    for statement in statements:
        name = statement.name
        if name.text in first:
            report_double(
                context.problems,
                "duplicate-name",
                name,
                first[name.text].name.span,
                f"There are two splits `{name.text}`.",
            )
            continue
        first[name.text] = statement
        split = _read_split(context, statement, source)
        if split is None:
            broken[name.text] = Split(part="?")
            continue
        if split.fraction is not None:
            start = sum(other.fraction or 0.0 for other in splits.values())
            splits[name.text] = replace(split, start=round(start, 12))
        else:
            splits[name.text] = split
    fractions = [split.fraction for split in splits.values() if split.fraction is not None]
    if fractions and len(fractions) < len(splits):
        context.problems.error(
            "invalid-value",
            statements[0].span,
            "Splits are all parts of the source by name, or all shares of its rows.",
            hint='give every split a share, as 80%, or every split a part, as "train"',
        )
    if sum(fractions) > 1 + 1e-9:
        context.problems.error(
            "invalid-value",
            statements[-1].span,
            f"The splits take {100 * sum(fractions):g}% of the rows; there are 100%.",
            hint=_suggest_share(statements[-1].name.text, 1 - sum(fractions[:-1])),
        )
    return {**splits, **broken}


def _suggest_share(name: str, rest: float) -> str:
    if rest > 1e-9:
        return f"`{name}` may have at most {100 * rest:g}%"
    return "lower the shares so that they add up to 100% or less"


def _read_split(context: Context, statement: NamedStmt, source: Source | None) -> Split | None:
    value = statement.value
    constant = read_constant(context, value)
    if constant is None:
        return None
    if isinstance(constant.value, str):
        return _read_part(context, statement, constant.value, source)
    number = read_number(context, value, _FRACTION, constant)
    if number == 0:
        context.problems.error(
            "empty-split",
            value.span,
            f"The split `{statement.name.text}` takes 0% of the rows, so there are none in it.",
            hint="give it a share above 0%, or remove it",
        )
        return None
    return Split(fraction=number / 100) if number is not None else None


def _read_part(context: Context, statement: NamedStmt, part: str, source: Source | None) -> Split | None:
    if source is not None and source.kind in FILE_SOURCES:
        span = statement.value.span
        if not source.parts:
            context.problems.error(
                "unknown-part",
                span,
                f"The source is one file and has no part `{part}`.",
                hint=f'give it parts: {source.kind}({part}: "{source.location}"); or split its rows: 80%',
            )
            return None
        if part not in source.parts:
            context.problems.unknown(
                "unknown-part", span, f"The source has no part `{part}`.", part, source.parts, "its parts are"
            )
            return None
    return Split(part=part)


# --- fields -------------------------------------------------------------------------------------------------


def _read_fields(context: Context, statements: Sequence[FieldStmt]) -> tuple[CheckedField, ...]:
    scope = Scope(context, "field", {"row": Columns()})
    fields: list[CheckedField] = []
    seen: dict[str, FieldStmt] = {}
    for statement in statements:
        name = statement.name
        if name.text in seen:
            report_double(
                context.problems,
                "duplicate-name",
                name,
                seen[name.text].name.span,
                f"There are two fields `{name.text}`.",
            )
            continue
        seen[name.text] = statement
        type_ = read_type(scope.context, statement.type, f"`{name.text}`")
        field = _read_field(scope, statement, type_)
        fields.append(field or _stand_in(statement, type_ or ANY))
    return tuple(fields)


def _stand_in(statement: FieldStmt, type_: Type) -> CheckedField:
    """A field that is broken, and known by its name and type."""
    name = statement.name
    value = Typed("column", (), {"name": name.text}, ANY, "const", name.span)
    return CheckedField(name.text, type_, statement.secret, value)


def _read_field(scope: Scope, statement: FieldStmt, type_: Type | None) -> CheckedField | None:
    name = statement.name.text
    if statement.value is None:
        value: Typed | None = Typed("column", (), {"name": name}, ANY, "const", statement.name.span)
    else:
        value = check_expression(scope, statement.value)
    if type_ is None or value is None:
        return None
    if value.type.unit is not None:
        scope.context.problems.error(
            "unit-mismatch", value.span, f"Field `{name}` is a plain number, without a unit."
        )
        return None
    is_convertible = (type_.kind, value.type.kind) in _CONVERTED
    if not is_convertible and not verify_type(
        scope, value, type_, f"Field `{name}`", hint=_get_conversion(type_)
    ):
        return None
    return CheckedField(name, type_, statement.secret, value)


_CONVERTED = frozenset({("int", "number"), ("choice", "text"), ("record", "any")})
"""Kinds of a field, and of what it may be mapped to besides what fits it: each row is converted, or refused."""


def _get_conversion(type_: Type) -> str | None:
    return "convert it: … | number" if type_.kind in ("number", "int") else None
