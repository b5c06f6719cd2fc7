"""Expressions: every operation typed, with its level and its unit.

Levels are those of `exgrpo_artifact.graph`: an operation lives at the lowest level among its arguments, since a group's value
is the same for every rollout, and a rollout's for every turn; `const` takes part in all of them.
"""

from __future__ import annotations

import math

from exgrpo_artifact.graph import Level
from exgrpo_compiler.ast import (
    Attribute,
    Binary,
    Bool,
    Call,
    Compare,
    Conditional,
    Configured,
    Default,
    Expr,
    ListExpr,
    Number,
    Pipe,
    Range,
    Record,
    Ref,
    Text,
    Unary,
)
from exgrpo_compiler.check.constants import read_constant
from exgrpo_compiler.check.context import find_declaration, report_unknown_name
from exgrpo_compiler.check.names import check_attribute, check_name
from exgrpo_compiler.check.scope import Scope
from exgrpo_compiler.diagnostics import Edit, Fix, find_closest, suggest_name
from exgrpo_compiler.ir import Typed
from exgrpo_compiler.problems import list_names, start_sentence
from exgrpo_compiler.source import Span
from exgrpo_compiler.units import describe_unit, verify_unit_known
from exgrpo_compiler.value_types import (
    ANY,
    BOOL,
    NUMBER,
    TEXT,
    Type,
    fits,
    join_types,
    list_of,
    name_type,
)

LEVELS: tuple[Level, ...] = ("turn", "rollout", "group", "const")
"""From the lowest up; `const` needs no rollout at all."""


def combine_levels(*parts: Typed) -> Level:
    """The level of an operation on these."""
    return min((part.level for part in parts), key=LEVELS.index, default="const")


def check_expression(scope: Scope, expr: Expr) -> Typed | None:
    """The typed tree of an expression, or None with diagnostics."""
    match expr:
        case Number():
            if math.isinf(expr.value):
                return None  # reported where it was read
            if not verify_unit_known(expr, scope.context.problems):
                return None
            value = int(expr.value) if expr.is_int else expr.value
            return make_const(value, Type("int" if expr.is_int else "number", unit=expr.unit), expr.span)
        case Text():
            return make_const(expr.value, TEXT, expr.span)
        case Bool():
            return make_const(expr.value, BOOL, expr.span)
        case Ref():
            return check_name(scope, expr, check_const_name)
        case Attribute():
            return check_attribute(scope, expr, check_const_name)
        case Call() | Pipe():
            from exgrpo_compiler.check.calls import check_call

            return check_call(scope, expr)
        case Unary():
            return _check_unary(scope, expr)
        case Binary():
            return _check_binary(scope, expr)
        case Compare():
            return _check_compare(scope, expr)
        case Conditional():
            return _check_conditional(scope, expr)
        case Default():
            return _check_default(scope, expr)
        case ListExpr():
            return _check_list(scope, expr)
        case Range() | Record() | Configured():
            scope.context.problems.error(
                "type-mismatch",
                expr.span,
                "This is no value that can be computed with.",
                hint="values are numbers, texts, `true`, `false`, and lists of them",
            )
            return None


def make_const(value: object, type_: Type, span: Span) -> Typed:
    """A literal."""
    return Typed("const", (), {"value": value}, type_, "const", span)


def get_literal(value: Typed) -> float | None:
    """The number that a tree is whatever it is applied to, or None."""
    number = value.params.get("value") if value.op == "const" else None
    return float(number) if isinstance(number, int | float) and not isinstance(number, bool) else None


def check_const_name(scope: Scope, expr: Ref | Attribute) -> Typed | None:
    """A declared const as a literal."""
    key = find_declaration(scope.context, expr, ("const",), "a value")
    if key is None:
        return None
    constant = read_constant(scope.context, expr)
    if constant is None:
        return None
    value = constant.value
    if isinstance(value, bool):
        return make_const(value, BOOL, expr.span)
    if isinstance(value, int | float):
        kind = Type("int" if isinstance(value, int) else "number", unit=constant.unit)
        return make_const(value, kind, expr.span)
    if isinstance(value, str):
        return make_const(value, TEXT, expr.span)
    if isinstance(value, list):
        return make_const(
            value, list_of(TEXT if all(isinstance(item, str) for item in value) else ANY), expr.span
        )
    report_unknown_name(scope.context, "env", expr.span, [])
    return None


# --- operators ----------------------------------------------------------------------------------------------


def _check_unary(scope: Scope, expr: Unary) -> Typed | None:
    value = check_expression(scope, expr.value)
    if value is None:
        return None
    if expr.op == "not":
        return _make("not", (value,), BOOL, expr.span) if verify_condition(scope, value) else None
    if not verify_number(scope, value):
        return None
    if value.op == "const" and isinstance(value.params["value"], int | float):
        return make_const(-value.params["value"], value.type, expr.span)
    return _make("neg", (value,), value.type, expr.span)


def _check_binary(scope: Scope, expr: Binary) -> Typed | None:
    left, right = check_expression(scope, expr.left), check_expression(scope, expr.right)
    if left is None or right is None:
        return None
    if expr.op in ("and", "or"):
        if verify_condition(scope, left) and verify_condition(scope, right):
            return _make(expr.op, (left, right), BOOL, expr.span)
        return None
    if expr.op == "add" and left.type.kind in ("text", "choice") and right.type.is_text:
        return _make("add", (left, right), TEXT, expr.span)
    if not (verify_number(scope, left) and verify_number(scope, right)):
        return None
    unit = left.type.unit or right.type.unit
    if expr.op in ("add", "sub"):
        if not verify_same_unit(scope, expr.span, left, right):
            return None
    elif expr.op == "div":
        if right.op == "const" and right.params["value"] == 0:
            scope.context.problems.error(
                "invalid-value", expr.span, "This divides by zero.", hint="divide by another number"
            )
            return None
        if right.type.unit is not None:
            if not verify_same_unit(scope, expr.span, left, right):
                return None
            unit = None
    elif left.type.unit and right.type.unit:
        scope.context.problems.error(
            "unit-mismatch", expr.span, "The product of two numbers with units has no unit."
        )
        return None
    is_int = expr.op != "div" and left.type.kind == right.type.kind == "int"
    return _make(expr.op, (left, right), Type("int" if is_int else "number", unit=unit), expr.span)


def _check_compare(scope: Scope, expr: Compare) -> Typed | None:
    operands = [_check_operand(scope, expr, index) for index in range(len(expr.operands))]
    if any(operand is None for operand in operands):
        return None
    parts: list[Typed] = []
    for op, left, right in zip(expr.ops, operands, operands[1:], strict=False):
        assert left is not None
        assert right is not None
        if not _verify_comparable(scope, op, left, right, left.span.to(right.span)):
            return None
        parts.append(_make(op, (left, right), BOOL, expr.span))
    result = parts[0]
    for part in parts[1:]:
        result = _make("and", (result, part), BOOL, expr.span)
    return result


def _check_operand(scope: Scope, expr: Compare, index: int) -> Typed | None:
    """One side of a comparison; a bare name may be an option of the choice, or a scenario, on the other side."""
    operand = expr.operands[index]
    if not isinstance(operand, Ref) or operand.name in scope.names or operand.name in scope.term_names:
        return check_expression(scope, operand)
    for other in expr.operands[max(0, index - 1) : index + 2]:
        if other is operand or (isinstance(other, Ref) and other.name not in scope.names):
            continue
        if not isinstance(other, Ref | Attribute):
            continue
        typed = check_expression(scope, other)
        if typed is None:
            return None
        if typed.type.kind == "choice":
            return _check_option(scope, operand, typed)
    return check_expression(scope, operand)


def _check_option(scope: Scope, operand: Ref, other: Typed) -> Typed | None:
    if operand.name in other.type.options:
        if other.op == "scenario" and scope.in_where:
            scope.notes.setdefault(operand.name, operand.span)
        return make_const(operand.name, TEXT, operand.span)
    if other.type.is_open and find_closest(operand.name, other.type.options) is None:
        return None  # it may stand in what is broken
    what = "scenario" if other.op == "scenario" else "option"
    scope.context.problems.unknown(
        "unknown-scenario" if other.op == "scenario" else "unknown-option",
        operand.span,
        f"There is no {what} `{operand.name}`.",
        operand.name,
        other.type.options,
        f"the {what}s are",
    )
    return None


def _verify_comparable(scope: Scope, op: str, left: Typed, right: Typed, span: Span) -> bool:
    if op in ("eq", "ne"):
        if join_types(left.type, right.type) is None or left.type.kind in ("list", "record"):
            scope.context.problems.error(
                "type-mismatch",
                span,
                f"{start_sentence(name_type(left.type))} and {name_type(right.type)} cannot be compared.",
                hint=_suggest_comparison(left, right),
            )
            return False
        if not (_verify_option(scope, left, right) and _verify_option(scope, right, left)):
            return False
    elif not (verify_number(scope, left) and verify_number(scope, right)):
        return False
    return verify_same_unit(scope, span, left, right)


def _verify_option(scope: Scope, choice: Typed, other: Typed) -> bool:
    """Reports a text that a choice is compared with and can never be."""
    value = other.params.get("value") if other.op == "const" else None
    if choice.type.kind != "choice" or not isinstance(value, str) or value in choice.type.options:
        return True
    what = "scenario" if choice.op == "scenario" else "option"
    closest = find_closest(value, choice.type.options)
    if choice.type.is_open and closest is None:
        return False  # it may stand in what is broken
    fix = Fix(f'write "{closest}"', (Edit(other.span, f'"{closest}"'),)) if closest is not None else None
    scope.context.problems.error(
        "unknown-scenario" if what == "scenario" else "unknown-option",
        other.span,
        f"There is no {what} `{value}`.",
        hint=suggest_name(value, choice.type.options) or list_names(choice.type.options, f"the {what}s are"),
        fix=fix,
    )
    return False


def _check_conditional(scope: Scope, expr: Conditional) -> Typed | None:
    condition = check_expression(scope, expr.condition)
    then, otherwise = check_expression(scope, expr.then), check_expression(scope, expr.otherwise)
    if condition is None or then is None or otherwise is None or not verify_condition(scope, condition):
        return None
    type_ = _join(scope, then, otherwise, expr.span)
    return _make("if", (condition, then, otherwise), type_, expr.span) if type_ else None


def _check_default(scope: Scope, expr: Default) -> Typed | None:
    value, otherwise = check_expression(scope, expr.value), check_expression(scope, expr.otherwise)
    if value is None or otherwise is None:
        return None
    type_ = _join(scope, value, otherwise, expr.span)
    return _make("default", (value, otherwise), type_, expr.span) if type_ else None


def _check_list(scope: Scope, expr: ListExpr) -> Typed | None:
    items = [check_expression(scope, item) for item in expr.items]
    checked = [item for item in items if item is not None]
    if len(checked) < len(items):
        return None
    element = checked[0].type if checked else ANY
    for item in checked[1:]:
        element = join_types(element, item.type) or ANY
    return _make("list", tuple(checked), list_of(element), expr.span)


def _join(scope: Scope, left: Typed, right: Typed, span: Span) -> Type | None:
    type_ = join_types(left.type, right.type)
    if type_ is None:
        scope.context.problems.error(
            "type-mismatch",
            span,
            f"The value is {name_type(left.type)} in one case and {name_type(right.type)} in the other.",
            hint="give both cases a value of the same type",
        )
        return None
    if not verify_same_unit(scope, span, left, right):
        return None
    return type_


def _make(op: str, args: tuple[Typed, ...], type_: Type, span: Span) -> Typed:
    return Typed(op, args, {}, type_, combine_levels(*args), span)


# --- demands ------------------------------------------------------------------------------------------------


def verify_number(scope: Scope, value: Typed) -> bool:
    """Reports what arithmetic cannot work on."""
    if value.type.is_number:
        return True
    scope.context.problems.error(
        "type-mismatch",
        value.span,
        f"A number is due here; this is {name_type(value.type)}.",
        hint=_suggest_value(value, "a number"),
    )
    return False


def _suggest_value(value: Typed, due: str) -> str:
    """What to compute of a value that is neither a number nor a condition."""
    shown = value.span.source.text[value.span.start : value.span.end]
    shown = shown if len(shown) <= 40 and "\n" not in shown else "…"
    if value.type.unit is not None:
        return f"compare it, as in `{shown} > 100{value.type.unit}`"
    if value.op == "turn":
        return f'score the text: matches({shown}, item.FIELD), contains({shown}, "…"), words({shown})'
    if value.type.kind == "list":
        return f"aggregate it, as in `count({shown})`"
    if due == "a condition":
        return f'compare it, as in `{shown} == "…"`'
    return f"`{shown} | number` reads a number from a text"


def _suggest_comparison(left: Typed, right: Typed) -> str:
    """What to write for a comparison of two values of different types."""
    kinds = {left.type.kind, right.type.kind}
    turn, other = (left, right) if left.op == "turn" else (right, left)
    if turn.op == "turn":
        texts = [part.span.source.text[part.span.start : part.span.end] for part in (turn, other)]
        return f"an answer is read from a turn by matches({', '.join(texts)})"
    if "list" in kinds:
        return "lists are not compared; compare their `count`"
    if kinds & {"text", "choice"} and kinds & {"number", "int"}:
        return "`x | number` reads a number from a text"
    return "compare two values of the same type"


def verify_condition(scope: Scope, value: Typed) -> bool:
    """Reports what is neither true nor false; what is computed may be 0 or 1, a number that is given may not."""
    is_given = value.op in ("const", "item", "probe") and value.type.kind in ("number", "int")
    if value.type.is_number and value.type.unit is None and not is_given:
        return True
    if is_given and value.type.unit is None:
        shown = value.span.source.text[value.span.start : value.span.end]
        scope.context.problems.error(
            "type-mismatch",
            value.span,
            f"A condition is due here; this is {name_type(value.type)}.",
            hint="write `true` or `false`" if value.op == "const" else f"compare it, as in `{shown} > 0`",
        )
        return False
    scope.context.problems.error(
        "type-mismatch",
        value.span,
        f"A condition is due here; this is {name_type(value.type)}.",
        hint=_suggest_value(value, "a condition"),
    )
    return False


def verify_same_unit(scope: Scope, span: Span, left: Typed, right: Typed) -> bool:
    """Reports numbers whose units differ; a source column has none yet and fits all."""
    if "any" in (left.type.kind, right.type.kind) or left.type.unit == right.type.unit:
        return True
    scope.context.problems.error(
        "unit-mismatch",
        span,
        f"One side is {describe_unit(left.type.unit)}, the other {describe_unit(right.type.unit)}.",
        hint=_suggest_unit(left, right),
    )
    return False


def _suggest_unit(left: Typed, right: Typed) -> str:
    """What to write where two numbers have different units, or one has none."""
    unit = left.type.unit or right.type.unit
    if {left.type.unit, right.type.unit} != {"%", None}:
        return f"write the unit on both sides: `{unit}`"
    share = left if left.type.unit == "%" else right
    while share.op != "const" and share.args:
        share = next((part for part in share.args if part.type.unit == "%"), share.args[0])
    written = share.span.source.text[share.span.start : share.span.end]
    value = get_literal(share)
    return (
        f"a share is a plain number here: write {value / 100:g} for {written}"
        if value is not None
        else "a share is a plain number here"
    )


def verify_type(scope: Scope, value: Typed, due: Type, what: str, *, hint: str | None = None) -> bool:
    """Reports a value of another type than the one due for `what`."""
    if fits(value.type, due) or (due == NUMBER and value.type.is_number):
        return True
    scope.context.problems.error(
        "type-mismatch",
        value.span,
        f"{what} is {name_type(due)}; this is {name_type(value.type)}.",
        hint=hint,
    )
    return False
