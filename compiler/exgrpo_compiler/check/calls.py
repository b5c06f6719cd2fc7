"""Calls and pipes: which function, with which arguments, giving what at which level."""

from __future__ import annotations

from exgrpo_compiler.ast import Argument, Attribute, Call, Expr, Pipe, Ref
from exgrpo_compiler.builtins import (
    AGGREGATES,
    FILTER_CALLS,
    FUNCTIONS,
    JUDGES,
    OUTCOMES,
    PLANNED,
    PROBE_FILTERS,
    Function,
)
from exgrpo_compiler.check.aggregates import check_aggregate
from exgrpo_compiler.check.arguments import bind_arguments
from exgrpo_compiler.check.context import report_unknown_name
from exgrpo_compiler.check.expressions import (
    check_expression,
    combine_levels,
    get_literal,
    verify_same_unit,
    verify_type,
)
from exgrpo_compiler.check.external import check_filter_call, check_judge, check_outcome
from exgrpo_compiler.check.probe_filters import check_probe_filter
from exgrpo_compiler.check.scope import PLACE_TITLES, Scope
from exgrpo_compiler.check.similarity import check_similarity
from exgrpo_compiler.diagnostics import Edit, Fix, suggest_name
from exgrpo_compiler.ir import Typed
from exgrpo_compiler.problems import is_one_slip, list_names, suggest_fix
from exgrpo_compiler.source import Span
from exgrpo_compiler.units import describe_unit
from exgrpo_compiler.value_types import NUMBER, Type


def check_call(scope: Scope, expr: Call | Pipe) -> Typed | None:
    """A typed call; a pipe's value is the first argument."""
    arguments = expr.arguments
    if isinstance(expr, Pipe):
        arguments = (Argument(None, expr.value, expr.value.span), *arguments)
    name = _get_function_name(expr.function)
    is_known = name in FUNCTIONS or name in PLACES
    if isinstance(expr, Call) and (expr.where or expr.otherwise) and name not in AGGREGATES and is_known:
        part = expr.where or expr.otherwise
        assert part is not None
        scope.context.problems.error(
            "type-mismatch",
            part.span,
            f"Only an aggregate takes `where` and `else`; `{name}` is a plain function.",
            hint=f"write mean({name}(…) where …); the aggregates are {_AGGREGATE_NAMES}",
        )
        return None
    if name in AGGREGATES and not isinstance(expr, Pipe):
        if name in ("min", "max") and len(arguments) > 1:
            return _check_function(scope, FUNCTIONS[name], arguments, expr.span)
        return check_aggregate(scope, expr, name)
    if name in FUNCTIONS:
        return _check_place(scope, FUNCTIONS[name], arguments, expr)
    if name in OUTCOMES:
        return check_outcome(scope, name, arguments, expr.span) if _verify_place(scope, name, expr) else None
    if name in FILTER_CALLS:
        return (
            check_filter_call(scope, name, arguments, expr.span) if _verify_place(scope, name, expr) else None
        )
    if name in PROBE_FILTERS:
        return (
            check_probe_filter(scope, name, arguments, expr.span)
            if _verify_place(scope, name, expr)
            else None
        )
    if name == "similarity":
        return check_similarity(scope, arguments, expr.span) if _verify_place(scope, name, expr) else None
    if name in tuple(f"judge.{judge}" for judge in JUDGES):
        return check_judge(scope, name, arguments, expr.span) if _verify_place(scope, name, expr) else None
    if name == "uniform" and scope.place == "cut":
        return _check_uniform(scope, arguments, expr.span)
    if name == "uniform" or name == "sample":
        _verify_place(scope, name, expr)
        return None
    _report_unknown(scope, expr.function, name)
    return None


_AGGREGATE_NAMES = ", ".join(f"`{name}`" for name in AGGREGATES)

PLACES: dict[str, tuple[str, ...]] = {
    "matches": ("reward", "filter"),
    "format": ("reward", "filter"),
    "agrees": ("filter",),
    "solved": ("filter",),
    "majority": ("filter",),
    "both": ("filter",),
    "duplicate": ("filter",),
    "similarity": ("reward", "filter"),
    "judge.score": ("reward", "filter"),
    "judge.same": ("reward", "filter"),
    "bernoulli": ("reward",),
    "declassify": ("field",),
    "uniform": ("cut",),
}
"""Builtins that only some places have."""


def _verify_place(scope: Scope, name: str, expr: Call | Pipe) -> bool:
    places = PLACES.get(name)
    if name == "sample":
        places = ()
    if places is None or scope.place in places:
        return True
    home = " or ".join(PLACE_TITLES[place] for place in places if place in PLACE_TITLES) or "`for probe in …`"
    scope.context.problems.error(
        "misplaced-function",
        expr.function.span,
        f"`{name}` cannot be used in {PLACE_TITLES[scope.place]}; it belongs in {home}.",
    )
    return False


def _check_place(
    scope: Scope, function: Function, arguments: tuple[Argument, ...], expr: Call | Pipe
) -> Typed | None:
    if not _verify_place(scope, function.name, expr):
        return None
    if isinstance(expr, Pipe) and not function.is_filter:
        scope.context.problems.error(
            "kind-mismatch",
            expr.function.span,
            f"`{function.name}` is no pipe; call it: {function.name}(…).",
            hint=f"write {function.name}(…)",
        )
        return None
    return _check_function(scope, function, arguments, expr.span)


def _check_function(
    scope: Scope, function: Function, arguments: tuple[Argument, ...], span: Span
) -> Typed | None:
    names = [param.name for param in function.params]
    if function.is_variadic:
        names.extend(f"y{index}" for index in range(len(names), len(arguments)))
    required = [param.name for param in function.params if param.is_required]
    bound = bind_arguments(arguments, names, required, f"`{function.name}`", span, scope.context.problems)
    if bound is None:
        return None
    params = {param.name: param for param in function.params}
    checked: list[Typed] = []
    for name in names:
        if name not in bound:
            continue
        param = params.get(name, function.params[-1])
        value = check_expression(scope, bound[name].value)
        if value is None:
            return None
        if not verify_type(scope, value, param.type, f"`{param.name}` of `{function.name}`"):
            return None
        if param.same_unit and checked and not verify_same_unit(scope, span, checked[0], value):
            return None
        is_plain = param.type.kind in ("number", "int") and not param.same_unit
        if is_plain and not _verify_no_unit(scope, value, f"`{param.name}` of `{function.name}`"):
            return None
        checked.append(value)
    if function.name == "bernoulli" and not _verify_chance(scope, checked[0]):
        return None
    if function.name == "ramp" and not _verify_ramp(scope, checked, span):
        return None
    if function.name == "clip" and not _verify_clip(scope, checked, span):
        return None
    result = function.result
    if function.keeps_unit and checked[0].type.unit:
        result = Type(result.kind, unit=checked[0].type.unit)
    element = checked[0].type.element
    if function.name in ("first", "last") and element is not None:
        result = element
    if function.name in ("shuffle", "declassify"):
        result = checked[0].type
    if function.name == "declassify" and not _verify_reason(scope, checked[1]):
        return None
    level = combine_levels(*checked)
    if function.name == "bernoulli":
        if level == "turn":
            scope.context.problems.error(
                "level-mismatch",
                span,
                "`bernoulli` is drawn once per rollout; this differs from turn to turn.",
            )
            return None
        level = "rollout"
    return Typed("call", tuple(checked), {"fn": function.name}, result, level, span)


def _verify_no_unit(scope: Scope, value: Typed, what: str) -> bool:
    if value.type.unit is None:
        return True
    scope.context.problems.error(
        "unit-mismatch",
        value.span,
        f"{what} is a plain number; this is {describe_unit(value.type.unit)}.",
        hint=f"write it without `{value.type.unit}`",
    )
    return False


def _verify_chance(scope: Scope, value: Typed) -> bool:
    chance = get_literal(value)
    if chance is None or 0 <= chance <= 1:
        return True
    scope.context.problems.error(
        "invalid-value",
        value.span,
        f"`bernoulli` takes a chance from 0 to 1; this is {chance:g}.",
        hint="as bernoulli(0.5)",
    )
    return False


def _verify_ramp(scope: Scope, checked: list[Typed], span: Span) -> bool:
    start, end = get_literal(checked[1]), get_literal(checked[2])
    if start is None or start != end:
        return True
    scope.context.problems.error(
        "invalid-value",
        span,
        f"`ramp` rises from 0 at `from` to 1 at `to`; both are {start:g} here.",
        hint="give two different numbers; for a step, write `1 if x >= a else 0`",
    )
    return False


def _verify_clip(scope: Scope, checked: list[Typed], span: Span) -> bool:
    low, high = get_literal(checked[1]), get_literal(checked[2])
    if low is None or high is None or low <= high:
        return True
    first, second = checked[1].span, checked[2].span
    texts = [place.source.text[place.start : place.end] for place in (first, second)]
    scope.context.problems.error(
        "invalid-value",
        span,
        f"`clip` keeps a value between its second and third number, and nothing is between {low:g} and {high:g}.",
        hint=f"write clip(…, {texts[1]}, {texts[0]})",
        fix=Fix("swap the two", (Edit(first, texts[1]), Edit(second, texts[0]))),
    )
    return False


def _verify_reason(scope: Scope, reason: Typed) -> bool:
    if reason.op == "const" and str(reason.params["value"]).strip():
        return True
    scope.context.problems.error(
        "invalid-value",
        reason.span,
        "The reason of `declassify` is empty."
        if reason.op == "const"
        else "The reason of `declassify` is a text that is written out.",
        hint="say why the student may see it",
    )
    return False


def _check_uniform(scope: Scope, arguments: tuple[Argument, ...], span: Span) -> Typed | None:
    bound = bind_arguments(arguments, ("a", "b"), ("a", "b"), "`uniform`", span, scope.context.problems)
    if bound is None:
        return None
    ends = [check_expression(scope, bound[name].value) for name in ("a", "b")]
    checked = [end for end in ends if end is not None]
    if len(checked) < 2 or not all(verify_type(scope, end, NUMBER, "An end of `uniform`") for end in checked):
        return None
    if not all(_verify_no_unit(scope, end, "An end of `uniform`") for end in checked):
        return None
    low, high = (get_literal(end) for end in checked)
    if low is not None and (low < 0 or (high is not None and low > high)):
        is_swapped = high is not None and 0 <= high < low
        scope.context.problems.error(
            "invalid-value",
            span,
            "`uniform` draws a number of probes from the first number, 0 or more, up to the second.",
            hint=f"write uniform({high:g}, {low:g})" if is_swapped else "as uniform(1, k - 1)",
        )
        return None
    return Typed("call", tuple(checked), {"fn": "uniform"}, Type("int"), "const", span)


def _get_function_name(function: Expr) -> str:
    if isinstance(function, Ref):
        return function.name
    if isinstance(function, Attribute) and isinstance(function.value, Ref):
        return f"{function.value.name}.{function.name.text}"
    return ""


_AVERAGE = "an average is `mean(x where condition) else 0`"
_OTHER_NAMES = {
    "sum": "write `mean(x where condition) * count(x where condition)`; aggregates are " + _AGGREGATE_NAMES,
    "avg": _AVERAGE,
    "average": _AVERAGE,
    "len": "`words(text)` counts words, `count(x where condition)` rollouts; a rollout's own length is `.tokens`",
    "judge": "a judge is asked by `judge.score(text, rubric: NAME, by: MODEL)` or `judge.same(a, b, by: MODEL)`",
    "length": "`words(text)` counts words, `count(x where condition)` rollouts; a rollout's own length is `.tokens`",
}
"""What other languages call a function -> what is written here in a reward."""


def _report_unknown(scope: Scope, function: Expr, name: str) -> None:
    problems = scope.context.problems
    if _report_method(scope, function):
        return
    if not name:
        problems.error("kind-mismatch", function.span, "Only a function can be called.")
        return
    if name in PLANNED:
        report_unknown_name(scope.context, name, function.span, [])
        return
    known = _list_known(scope)
    if name in scope.names or name in scope.term_names:
        problems.error("kind-mismatch", function.span, f"`{name}` is a value and cannot be called.")
        return
    message = f"There is no function `{name}`."
    own = _OTHER_NAMES.get("judge" if name.startswith("judge.") else name)
    if own is not None and any(is_one_slip(name, f"judge.{judge}") for judge in JUDGES):
        own = None
    if own is not None and scope.place == "reward":
        problems.error("unknown-function", function.span, message, hint=own)
        return
    problems.error(
        "unknown-function",
        function.span,
        message,
        hint=suggest_name(name, known) or list_names(known, "there are", limit=len(known)),
        fix=suggest_fix(function.span, name, known),
    )


def _report_method(scope: Scope, function: Expr) -> bool:
    """Reports `value.strip(…)`, which is a pipe here."""
    if not isinstance(function, Attribute) or function.name.text not in FUNCTIONS:
        return False
    value, name = function.value, function.name
    if not FUNCTIONS[name.text].is_filter:
        return False
    shown = value.span.source.text[value.span.start : value.span.end]
    dot = Span(value.span.source, value.span.end, name.span.start)
    scope.context.problems.error(
        "kind-mismatch",
        name.span,
        f"A value has no methods; `{name.text}` is a pipe.",
        hint=f"write {shown} | {name.text}…",
        fix=Fix(f"write `| {name.text}`", (Edit(dot, " | "),), is_safe=True),
    )
    return True


def _list_known(scope: Scope) -> list[str]:
    """Functions that this place has, those that only it has first."""
    own = [name for name, places in PLACES.items() if scope.place in places]
    if scope.place == "cut":
        return own
    plain = [name for name in FUNCTIONS if name not in PLACES]
    return [*own, *(AGGREGATES if scope.place in ("reward", "filter") else ()), *plain]
