"""Aggregates: `mean max min count any all`, with `where` and `else`. Each lifts exactly one level."""

from __future__ import annotations

from exgrpo_artifact.graph import Level
from exgrpo_artifact.record import replace
from exgrpo_compiler.ast import Call, Pipe
from exgrpo_compiler.check.expressions import (
    LEVELS,
    check_expression,
    combine_levels,
    verify_condition,
    verify_number,
    verify_same_unit,
)
from exgrpo_compiler.check.scope import Scope
from exgrpo_compiler.ir import Typed
from exgrpo_compiler.source import Span
from exgrpo_compiler.value_types import BOOL, INT, Type

_LIFTED: dict[Level, Level] = {"turn": "rollout", "rollout": "group"}


def check_aggregate(scope: Scope, expr: Call | Pipe, name: str) -> Typed | None:
    """A typed aggregate over the turns of a rollout, the rollouts of a group, or a list."""
    arguments = expr.arguments
    if len(arguments) != 1 or arguments[0].name is not None:
        scope.context.problems.error(
            "missing-argument" if not arguments else "unknown-argument",
            expr.span,
            f"`{name}` takes one value: {name}(x), or {name}(x where condition).",
        )
        return None
    value = check_expression(scope, arguments[0].value)
    written = expr.where if isinstance(expr, Call) else None
    where = check_expression(replace(scope, in_where=True), written) if written is not None else None
    if value is None or (where is None and written is not None):
        return None
    if where is not None and not verify_condition(scope, where):
        return None
    is_lifted = scope.place == "reward"
    level = (
        _lift(scope, name, value, where, expr.span) if is_lifted else _verify_list(scope, name, value, where)
    )
    if level is None:
        return None
    result = _get_result(scope, name, value)
    if result is None:
        return None
    args = (value,) if where is None else (value, where)
    aggregate = Typed("aggregate", args, {"fn": name}, result, level, expr.span)
    return _add_default(scope, expr, aggregate)


def _lift(scope: Scope, name: str, value: Typed, where: Typed | None, span: Span) -> Level | None:
    level = combine_levels(value, *((where,) if where else ()))
    if where is not None and value.level != "const" and LEVELS.index(where.level) < LEVELS.index(value.level):
        scope.context.problems.error(
            "level-mismatch",
            where.span,
            f"`{name}` goes over values of each {value.level}, but the condition differs within a {value.level}.",
            hint="aggregate the condition first, with `any` or `all`",
        )
        return None
    if level not in _LIFTED:
        what = "one value for the whole group" if level == "group" else "the same in every rollout"
        scope.context.problems.error(
            "level-mismatch",
            value.span,
            f"`{name}` has nothing to go over: this is {what}.",
            hint="an aggregate goes from turns to their rollout, or from rollouts to their group",
        )
        return None
    return _LIFTED[level]


def _verify_list(scope: Scope, name: str, value: Typed, where: Typed | None) -> Level | None:
    if value.type.kind != "list":
        scope.context.problems.error(
            "type-mismatch",
            value.span,
            f"`{name}` needs a list here.",
            hint="as count(probes); over rollouts and turns it goes in a reward",
        )
        return None
    if where is not None:
        scope.context.problems.error(
            "unsupported-builtin",
            where.span,
            "`where` over a list belongs to rewards; this version has it there only.",
        )
        return None
    return "const"


def _get_result(scope: Scope, name: str, value: Typed) -> Type | None:
    if name == "count":
        return INT
    element = value.type
    if scope.place != "reward" and value.type.element is not None:
        element = value.type.element
    probe = Typed(value.op, (), value.params, element, value.level, value.span)
    if name in ("any", "all"):
        return BOOL if verify_condition(scope, probe) else None
    return Type("number", unit=element.unit) if verify_number(scope, probe) else None


def _add_default(scope: Scope, expr: Call | Pipe, aggregate: Typed) -> Typed | None:
    if not isinstance(expr, Call) or expr.otherwise is None:
        return aggregate
    otherwise = check_expression(scope, expr.otherwise)
    if otherwise is None or not verify_same_unit(scope, expr.span, aggregate, otherwise):
        return None
    level = combine_levels(aggregate, otherwise)
    return Typed("default", (aggregate, otherwise), {}, aggregate.type, level, expr.span)
