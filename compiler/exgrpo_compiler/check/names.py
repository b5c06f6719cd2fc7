"""Bare names and attributes in expressions."""

from __future__ import annotations

from collections.abc import Callable

from exgrpo_compiler.ast import Attribute, Name, Ref
from exgrpo_compiler.builtins import (
    AGGREGATES,
    FILTER_CALLS,
    FUNCTIONS,
    OUTCOMES,
    PROBE_FILTERS,
    ROLLOUT_FIELDS,
)
from exgrpo_compiler.check.context import report_unknown_name
from exgrpo_compiler.check.scope import Columns, FieldName, Meaning, PlainName, RecordName, RolloutName, Scope
from exgrpo_compiler.diagnostics import find_closest
from exgrpo_compiler.ir import Typed
from exgrpo_compiler.problems import list_names, start_sentence
from exgrpo_compiler.source import Span
from exgrpo_compiler.value_types import ANY, INT, TEXT, Type, name_type

CheckConst = Callable[[Scope, Ref | Attribute], Typed | None]
"""Reads a name that may be a declared const."""

_CALLABLE = {
    *FUNCTIONS,
    *AGGREGATES,
    *OUTCOMES,
    *FILTER_CALLS,
    *PROBE_FILTERS,
    "similarity",
    "sample",
    "uniform",
    "env",
}


def check_name(scope: Scope, expr: Ref, check_const: CheckConst) -> Typed | None:
    """A bare name: a parameter, a term, a const."""
    meaning = scope.names.get(expr.name)
    if meaning is not None:
        return _check_whole(scope, expr, meaning)
    if scope.find_term is not None and expr.name in scope.term_names:
        return scope.find_term(expr.name, expr.span)
    problems = scope.context.problems
    if scope.context.program.find(scope.context.module, expr.name) is not None:
        return check_const(scope, expr)
    if expr.name in _CALLABLE:
        problems.error("kind-mismatch", expr.span, f"`{expr.name}` is a function; write `{expr.name}(…)`.")
        return None
    columns = next((key for key, meaning in scope.names.items() if isinstance(meaning, Columns)), None)
    if columns is not None and find_closest(expr.name, scope.names) is None:
        hint = f"a column of the row is written `{columns}.{expr.name}`"
        problems.error("unknown-name", expr.span, f"There is no `{expr.name}` here.", hint=hint)
        return None
    known = [*scope.names, *scope.term_names, *scope.context.program.names_of(scope.context.module, "const")]
    report_unknown_name(scope.context, expr.name, expr.span, known)
    return None


def check_attribute(scope: Scope, expr: Attribute, check_const: CheckConst) -> Typed | None:
    """`value.name`: a field, a column, a turn, or a const of a module."""
    if isinstance(expr.value, Attribute):
        record = check_attribute(scope, expr.value, check_const)
        return _check_inner(scope, record, expr.name, expr.span) if record is not None else None
    if not isinstance(expr.value, Ref):
        scope.context.problems.error("unknown-field", expr.name.span, f"There is no `{expr.name.text}` here.")
        return None
    base = expr.value
    meaning = scope.names.get(base.name)
    match meaning:
        case Columns():
            return Typed("column", (), {"name": expr.name.text}, ANY, "const", expr.span)
        case RecordName():
            return check_field(scope, meaning, expr.name, expr.span)
        case RolloutName():
            return _check_rollout_field(scope, meaning, base.name, expr)
        case FieldName() if meaning.type.kind == "record":
            record = Typed("item", (), {"field": meaning.field}, meaning.type, "const", base.span)
            return _check_inner(scope, record, expr.name, expr.span)
        case FieldName() | PlainName():
            type_ = name_type(meaning.type)
            scope.context.problems.error(
                "unknown-field", expr.name.span, f"`{base.name}` is {type_} and has no `{expr.name.text}`."
            )
            return None
    if base.name in scope.term_names:
        scope.context.problems.error(
            "unknown-field", expr.name.span, f"`{base.name}` is a term and has no `{expr.name.text}`."
        )
        return None
    if base.name == "probe" and scope.place == "filter":
        scope.context.problems.error(
            "unknown-name",
            base.span,
            "An item's filter sees its `probes`, all that are left, and no single `probe`.",
            hint="`keep probe` looks at each probe",
        )
        return None
    if scope.context.program.find(scope.context.module, base.name) is None:
        report_unknown_name(scope.context, base.name, base.span, [*scope.names, *scope.term_names])
        return None
    return check_const(scope, expr)


def check_field(scope: Scope, meaning: RecordName, name: Name, span: Span) -> Typed | None:
    """A field of a row or a probe."""
    type_ = meaning.type.get_field(name.text)
    if type_ is None:
        scope.context.problems.unknown(
            "unknown-field",
            name.span,
            f"{start_sentence(meaning.type.title)} has no field `{name.text}`.",
            name.text,
            meaning.type.field_names,
            "its fields are",
        )
        return None
    return Typed(meaning.op, (), {"field": name.text}, type_, "const", span)


def _check_inner(scope: Scope, record: Typed, name: Name, span: Span) -> Typed | None:
    """A field of a record that a row or a probe holds."""
    shown = record.span.source.text[record.span.start : record.span.end]
    if record.type.kind != "record" or record.op not in ("item", "probe"):
        scope.context.problems.error(
            "unknown-field", name.span, f"`{shown}` is {name_type(record.type)} and has no `{name.text}`."
        )
        return None
    type_ = record.type.get_field(name.text)
    if type_ is None:
        scope.context.problems.unknown(
            "unknown-field",
            name.span,
            f"`{shown}` has no field `{name.text}`.",
            name.text,
            record.type.field_names,
            "its fields are",
        )
        return None
    return Typed(record.op, (), {"field": f"{record.params['field']}.{name.text}"}, type_, "const", span)


def _check_whole(scope: Scope, expr: Ref, meaning: Meaning) -> Typed | None:
    match meaning:
        case FieldName():
            return Typed("item", (), {"field": meaning.field}, meaning.type, "const", expr.span)
        case PlainName():
            return Typed(meaning.op, (), {}, meaning.type, "const", expr.span)
        case Columns():
            what, example = "the row of the source", "a column"
        case RecordName():
            what, example = meaning.type.title, "a field"
        case RolloutName():
            what, example = meaning.title, "a turn"
    hint = list_names(meaning.type.field_names, "its fields are") if isinstance(meaning, RecordName) else None
    scope.context.problems.error(
        "type-mismatch",
        expr.span,
        f"`{expr.name}` is {what} as a whole; name {example} of it, as `{expr.name}.NAME`.",
        hint=hint,
    )
    return None


def _check_rollout_field(scope: Scope, meaning: RolloutName, base: str, expr: Attribute) -> Typed | None:
    name = expr.name.text
    dialogue = meaning.dialogue
    if name == "scenario":
        type_ = Type("choice", options=tuple(dialogue.scenarios), is_open=dialogue.is_open)
        return Typed("scenario", (), {}, type_, "rollout", expr.span)
    if name == "tokens":
        return Typed("tokens", (), {}, Type("int", unit="tok"), "rollout", expr.span)
    if name == "turns":
        return Typed("num_turns", (), {}, INT, "rollout", expr.span)
    exchange = dialogue.get_exchange(name)
    turns = [*(item.name for item in dialogue.exchanges), *ROLLOUT_FIELDS]
    if exchange is None and dialogue.is_open and find_closest(name, turns) is None:
        return None  # it may stand in what is broken
    if exchange is None:
        scope.context.problems.unknown(
            "unknown-field",
            expr.name.span,
            f"{start_sentence(meaning.title)} has no turn `{name}`.",
            name,
            turns,
            f"`{base}` has",
        )
        return None
    return Typed("turn", (), {"name": name}, TEXT, "turn" if exchange.in_loop else "rollout", expr.span)
