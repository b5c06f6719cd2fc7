"""Filters in templates, by the signatures of the builtins table, and `declassify`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from exgrpo_compiler.builtins import FILTERS, PLANNED, Param
from exgrpo_compiler.diagnostics import suggest_name
from exgrpo_compiler.problems import list_names
from exgrpo_compiler.template.findings import Finding, suggest_word
from exgrpo_compiler.template.nodes import Argument, Constant, Declassified, Filtered
from exgrpo_compiler.value_types import Type, fits, name_type

if TYPE_CHECKING:
    from exgrpo_compiler.template.check import Scope, TemplateChecker

_DECLASSIFY_HINT = 'write declassify(item.FIELD, reason="why the student may see it")'


def check_filter(checker: TemplateChecker, node: Filtered, scope: Scope) -> Type | None:
    """The type of `value | filter(arguments)`, or None with findings."""
    value = checker.check_value(node.value, scope)
    given = [checker.check_value(argument.value, scope) for argument in node.arguments]
    function = FILTERS.get(node.name)
    if function is None:
        _report_unknown(checker, node)
        return None
    bound = _bind(checker, node, function.params[1:])
    if bound is None or value is None or any(type_ is None for type_ in given):
        return None
    if not fits(value, function.params[0].type):
        due = name_type(function.params[0].type)
        checker.report(
            "type-mismatch",
            node.at,
            len(node.name),
            f"`{node.name}` works on {due}; this is {name_type(value)}.",
        )
        return None
    for param, argument in bound:
        type_ = given[node.arguments.index(argument)]
        if type_ is not None and not fits(type_, param.type):
            message = (
                f"`{param.name}` of `{node.name}` is {name_type(param.type)}; this is {name_type(type_)}."
            )
            checker.report_at("type-mismatch", argument.value, message)
            return None
    if node.name == "shuffle":
        return value
    if node.name in ("first", "last") and value.element is not None:
        return value.element
    return function.result


def _report_unknown(checker: TemplateChecker, node: Filtered) -> None:
    if node.name in PLANNED:
        message, hint = f"`{node.name}` is not implemented in this version.", None
    else:
        message = f"There is no filter `{node.name}`."
        hint = suggest_name(node.name, FILTERS) or list_names(FILTERS, "the filters are", limit=20)
    remedy = suggest_word(node.at, node.name, FILTERS)
    checker.findings.append(Finding("unknown-filter", node.at, len(node.name), message, hint, remedy))


def _bind(
    checker: TemplateChecker, node: Filtered, params: Sequence[Param]
) -> list[tuple[Param, Argument]] | None:
    """Each argument with its parameter, or None with a finding."""
    shown = ", ".join(param.name if param.is_required else f"[{param.name}]" for param in params)
    signature = f"{node.name}({shown})" if shown else node.name
    bound: dict[str, tuple[Param, Argument]] = {}
    for index, argument in enumerate(node.arguments):
        named = [param for param in params if param.name == argument.name]
        if argument.name == "":
            named = [params[index]] if index < len(params) else []
        if not named:
            what = f"has no argument `{argument.name}`" if argument.name else "takes no further argument"
            _report_argument(
                checker, argument, f"`{node.name}` {what}.", f"the filter is written `{signature}`"
            )
            return None
        if named[0].name in bound:
            _report_argument(checker, argument, f"The argument `{argument.name}` is given twice.", None)
            return None
        bound[named[0].name] = (named[0], argument)
    missing = [param.name for param in params if param.is_required and param.name not in bound]
    if missing:
        checker.report("missing-argument", node.at, len(node.name), f"The filter is written `{signature}`.")
        return None
    return list(bound.values())


def _report_argument(checker: TemplateChecker, argument: Argument, message: str, hint: str | None) -> None:
    id_ = "duplicate-key" if hint is None else "unknown-argument"
    checker.report(id_, argument.start, argument.end - argument.start, message, hint)


def check_declassify(checker: TemplateChecker, node: Declassified, scope: Scope) -> Type | None:
    """The type of what `declassify(x, reason="…")` clears, or None with findings."""
    types = [checker.check_value(argument.value, scope) for argument in node.arguments]
    plain = [argument for argument in node.arguments if not argument.name]
    reasons = [argument for argument in node.arguments if argument.name == "reason"]
    others = [argument for argument in node.arguments if argument.name not in ("", "reason")]
    if others:
        message = f"`declassify` has no argument `{others[0].name}`."
        _report_argument(checker, others[0], message, _DECLASSIFY_HINT)
        return None
    if len(plain) == 2 and not reasons:
        reasons = [plain.pop()]
    if len(plain) != 1 or len(reasons) != 1:
        message = "`declassify` takes the value and the reason why the student may see it."
        checker.report("missing-argument", node.start, len("declassify"), message, _DECLASSIFY_HINT)
        return None
    reason = reasons[0].value
    if not isinstance(reason, Constant) or not isinstance(reason.value, str):
        checker.report_at("type-mismatch", reason, "The reason of `declassify` is a text.", _DECLASSIFY_HINT)
        return None
    if not reason.value.strip():
        message = "The reason of `declassify` is empty."
        checker.report_at("invalid-value", reason, message, "say why the student may see it")
        return None
    return types[node.arguments.index(plain[0])]
