"""`expect` of a test: comparisons of reward terms with one value for all rollouts, or a list of one for each."""

from __future__ import annotations

from exgrpo_artifact.record import Record
from exgrpo_compiler.ast import Attribute, Binary, Call, Compare, Expr, ListExpr, Number, Ref, Unary
from exgrpo_compiler.check.constants import read_constant
from exgrpo_compiler.check.context import Context, find_declaration
from exgrpo_compiler.checked_tests import Operand
from exgrpo_compiler.ir import CheckedReward
from exgrpo_compiler.program import Key, ModuleAlias
from exgrpo_compiler.units import describe_unit

_AGGREGATES = ("mean", "max", "min", "count", "any", "all")
_FUNCTIONS = ("abs", "min", "max")
_HINT = "compare terms with one value, or with a list of one for each rollout: expect REWARD.TERM == [1, 0]"
GAP = "_"
"""What stands for "no value": the term is not applicable, or its rollout was dropped."""


class Expecting(Record):
    """What an expectation is read with. `num_rollouts` is None where the group is broken."""

    context: Context
    num_rollouts: int | None


def check_condition(at: Expecting, expr: Expr) -> Operand | None:
    """What must be true of every rollout, or None with diagnostics."""
    match expr:
        case Compare():
            return _check_compare(at, expr)
        case Unary(op="not"):
            inner = check_condition(at, expr.value)
            return inner and Operand("not", (inner,), {}, None, expr.span)
        case Binary(op="and" | "or"):
            left, right = check_condition(at, expr.left), check_condition(at, expr.right)
            if left is None or right is None:
                return None
            return Operand("and" if expr.op == "and" else "or", (left, right), {}, None, expr.span)
        case Call(function=Ref(name="any" | "all")):
            return _check_call(at, expr)
    value = check_operand(at, expr)
    if value is not None and value.op in ("number", "values"):
        _report_form(at, expr)
        return None
    return value


def find_rewards(at: Expecting, expr: Expr) -> list[Key]:
    """Rewards that an expectation names, also where it cannot be read; says nothing of what it does not find."""
    match expr:
        case Attribute(value=Ref() as owner):
            key = at.context.program.find(at.context.module, owner.name)
            is_one = isinstance(key, Key) and isinstance(at.context.known.get(key), CheckedReward)
            return [key] if is_one and isinstance(key, Key) else []
        case Compare(operands=parts) | ListExpr(items=parts):
            return [key for part in parts for key in find_rewards(at, part)]
        case Binary(left=left, right=right):
            return [*find_rewards(at, left), *find_rewards(at, right)]
        case Unary(value=value):
            return find_rewards(at, value)
        case Call(arguments=arguments):
            return [key for argument in arguments for key in find_rewards(at, argument.value)]
    return []


def check_operand(at: Expecting, expr: Expr) -> Operand | None:
    """A number for each rollout, or None with diagnostics."""
    match expr:
        case ListExpr():
            return _check_list(at, expr)
        case Unary(op="neg") if not isinstance(expr.value, Number):
            inner = check_operand(at, expr.value)
            return inner and Operand("neg", (inner,), {}, inner.unit, expr.span)
        case Binary(op="add" | "sub" | "mul" | "div"):
            return _check_arithmetic(at, expr)
        case Call():
            return _check_call(at, expr)
        case Ref(name="_"):
            return Operand("number", (), {"value": None}, None, expr.span)
        case Attribute() if not _is_const(at, expr):
            return _check_term(at, expr)
    return _check_number(at, expr)


def _is_const(at: Expecting, expr: Attribute) -> bool:
    """Whether it is a const of a module: `m.delta`."""
    if not isinstance(expr.value, Ref):
        return False
    alias = at.context.program.find(at.context.module, expr.value.name)
    return isinstance(alias, ModuleAlias)


def _check_number(at: Expecting, expr: Expr) -> Operand | None:
    constant = read_constant(at.context, expr)
    if constant is None:
        return None
    if not isinstance(constant.value, int | float):
        at.context.problems.error("type-mismatch", expr.span, "A term is compared with numbers.", hint=_HINT)
        return None
    return Operand("number", (), {"value": constant.value}, constant.unit, expr.span)


def _check_term(at: Expecting, expr: Attribute) -> Operand | None:
    key = find_declaration(at.context, expr.value, ("reward",), "`expect`")
    reward = at.context.known.get(key) if key is not None else None
    if key is None or not isinstance(reward, CheckedReward):
        return None
    name = expr.name.text
    if name not in reward.terms:
        at.context.problems.unknown(
            "unknown-term",
            expr.name.span,
            f"Reward `{key.name}` has no term `{name}`.",
            name,
            reward.terms,
            "its terms are",
        )
        return None
    return Operand("term", (), {"reward": key, "term": name}, reward.terms[name].type.unit, expr.span)


def _check_list(at: Expecting, expr: ListExpr) -> Operand | None:
    parts = [check_operand(at, item) for item in expr.items]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    wrong = next((part for part in known if part.op != "number"), None)
    if wrong is not None:
        at.context.problems.error(
            "type-mismatch",
            wrong.span,
            "A value of such a list is a number, or `_` where there is none.",
            hint=_HINT,
        )
        return None
    if at.num_rollouts is not None and len(known) != at.num_rollouts:
        at.context.problems.error(
            "value-count-mismatch",
            expr.span,
            f"The group has {_count(at.num_rollouts, 'rollout')}, and here {_are(len(known))}.",
            hint="give one value for each rollout, in their order; `_` where the term has none",
        )
        return None
    units = {part.unit for part in known if part.params["value"] is not None}
    if len(units) > 1:
        at.context.problems.error("unit-mismatch", expr.span, "The values of this list have different units.")
        return None
    values = tuple(part.params["value"] for part in known)
    return Operand("values", (), {"values": values}, next(iter(units), None), expr.span)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _are(number: int) -> str:
    return f"{'is' if number == 1 else 'are'} {_count(number, 'value')}"


def _check_compare(at: Expecting, expr: Compare) -> Operand | None:
    sides = [check_operand(at, operand) for operand in expr.operands]
    parts: list[Operand] = []
    for op, left, right in zip(expr.ops, sides, sides[1:], strict=False):
        if left is None or right is None or not _verify_units(at, left, right):
            return None
        parts.append(Operand(op, (left, right), {}, None, left.span.to(right.span)))
    result = parts[0]
    for part in parts[1:]:
        result = Operand("and", (result, part), {}, None, expr.span)
    return result


def _check_arithmetic(at: Expecting, expr: Binary) -> Operand | None:
    left, right = check_operand(at, expr.left), check_operand(at, expr.right)
    if left is None or right is None:
        return None
    if expr.op in ("add", "sub") and not _verify_units(at, left, right):
        return None
    unit = None if expr.op == "div" and right.unit else left.unit or right.unit
    assert expr.op not in ("and", "or")
    return Operand(expr.op, (left, right), {}, unit, expr.span)


def _check_call(at: Expecting, expr: Call) -> Operand | None:
    name = expr.function.name if isinstance(expr.function, Ref) else ""
    is_plain = (
        expr.where is None and expr.otherwise is None and all(arg.name is None for arg in expr.arguments)
    )
    count = len(expr.arguments)
    is_aggregate = name in _AGGREGATES and count == 1
    if not is_plain or not (is_aggregate or (name in _FUNCTIONS and count >= (1 if name == "abs" else 2))):
        _report_form(at, expr)
        return None
    takes_condition = name in ("any", "all", "count")
    read = check_condition if takes_condition else check_operand
    args = [read(at, argument.value) for argument in expr.arguments]
    known = tuple(arg for arg in args if arg is not None)
    if len(known) < len(args):
        return None
    unit = None if takes_condition else known[0].unit
    return Operand("aggregate" if is_aggregate else "call", known, {"fn": name}, unit, expr.span)


def _verify_units(at: Expecting, left: Operand, right: Operand) -> bool:
    if left.unit == right.unit or _is_gap(left) or _is_gap(right):
        return True
    at.context.problems.error(
        "unit-mismatch",
        left.span.to(right.span),
        f"One side is {describe_unit(left.unit)}, the other {describe_unit(right.unit)}.",
    )
    return False


def _is_gap(operand: Operand) -> bool:
    values = operand.params.get("values", (operand.params.get("value", 0),))
    return all(value is None for value in values)


def _report_form(at: Expecting, expr: Expr) -> None:
    at.context.problems.error(
        "type-mismatch", expr.span, "This is nothing that an `expect` can be about.", hint=_HINT
    )
