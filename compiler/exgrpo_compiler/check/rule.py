"""`rule` and `rubric` declarations."""

from __future__ import annotations

from exgrpo_compiler.ast import Decl, ExampleStmt, Expr, Param
from exgrpo_compiler.check.constants import read_constant, read_names, read_range
from exgrpo_compiler.check.context import Context
from exgrpo_compiler.check.expressions import check_expression, verify_condition
from exgrpo_compiler.check.forms import report_double, sort_statements
from exgrpo_compiler.check.prompt import check_prompt
from exgrpo_compiler.check.scope import FieldName, Scope
from exgrpo_compiler.check.type_names import read_type
from exgrpo_compiler.diagnostics import Edit, Fix, Label
from exgrpo_compiler.ir import CheckedParam, CheckedRubric, CheckedRule, Typed
from exgrpo_compiler.source import Span
from exgrpo_compiler.value_types import ANY


def check_rule(context: Context, decl: Decl) -> CheckedRule | None:
    """A checked `rule`, or None with diagnostics."""
    assert decl.block is not None
    name = decl.name
    before = len(context.problems)
    block = sort_statements(
        decl.block, "rule", f"rule `{name.text}`", name.span, context.problems, is_damaged=decl.is_damaged
    )
    params = _read_params(context, decl.params)
    instruction = block.get("instruction")
    text = read_text(context, instruction.value, "`instruction`") if instruction else None
    if instruction and text is not None and not text.strip():
        context.problems.error(
            "invalid-value",
            instruction.value.span,
            "The instruction is empty.",
            hint="tell the teacher what to ask about a question",
        )
    condition = block.get("applies_when")
    applies_when = _check_condition(context, condition.value, params) if condition else None
    reveals = block.get("reveals")
    revealed = _read_reveals(context, reveals.value, params) if reveals else ()
    examples = []
    for statement in block.others:
        if isinstance(statement, ExampleStmt):
            question = read_text(context, statement.question, "The question of an example")
            probe = read_text(context, statement.probe, "The probe of an example")
            examples.append((question or "", probe or ""))
    if len(context.problems) > before or text is None:
        return None
    return CheckedRule(decl.doc, params, text.strip(), tuple(examples), applies_when, revealed)


def _read_params(context: Context, params: tuple[Param, ...]) -> tuple[CheckedParam, ...]:
    checked: dict[str, CheckedParam] = {}
    for param in params:
        type_ = read_type(context, param.type, f"`{param.name.text}`")
        if param.name.text in checked:
            report_double(
                context.problems,
                "duplicate-name",
                param.name,
                checked[param.name.text].span,
                f"There are two parameters `{param.name.text}`.",
            )
        else:
            name, type_ = param.name, type_ or ANY
            checked[name.text] = CheckedParam(name.text, type_, param.secret, name.span)
    return tuple(checked.values())


def _check_condition(context: Context, expr: Expr, params: tuple[CheckedParam, ...]) -> Typed | None:
    scope = Scope(context, "when", {param.name: FieldName(param.name, param.type) for param in params})
    condition = check_expression(scope, expr)
    return condition if condition is not None and verify_condition(scope, condition) else None


def _read_reveals(context: Context, expr: Expr, params: tuple[CheckedParam, ...]) -> tuple[str, ...]:
    known = [param.name for param in params]
    names = read_names(context, expr, "`reveals`") or ()
    for name in names:
        if name.name not in known:
            context.problems.unknown(
                "unknown-field",
                name.span,
                f"The rule asks for no field `{name.name}`.",
                name.name,
                known,
                "it asks for",
            )
        elif not params[known.index(name.name)].secret:
            place = params[known.index(name.name)].span
            start = Span(place.source, place.start, place.start)
            context.problems.error(
                "invalid-value",
                name.span,
                f"`{name.name}` is no secret, so there is nothing to reveal.",
                labels=(Label(place, "asked for here, without `secret`"),),
                hint=f"ask for `secret {name.name}`, or remove `reveals`",
                fix=Fix(f"ask for `secret {name.name}`", (Edit(start, "secret "),)),
            )
    return tuple(name.name for name in names)


def check_rubric(context: Context, decl: Decl) -> CheckedRubric | None:
    """A checked `rubric`, or None with diagnostics."""
    assert decl.block is not None
    name = decl.name
    block = sort_statements(
        decl.block, "rubric", f"rubric `{name.text}`", name.span, context.problems, is_damaged=decl.is_damaged
    )
    scale, text = block.get("scale"), block.get("text")
    ends = read_range(context, scale.value, "`scale`") if scale else None
    # The judged text is put below the rubric by the judge itself, between marks, so that it cannot pose as instructions.
    template = check_prompt(context, text.value, {}, f"rubric `{name.text}`") if text else None
    return CheckedRubric(ends, template) if ends is not None and template is not None else None


def read_text(context: Context, expr: Expr, what: str) -> str | None:
    """A constant text, or None with a diagnostic."""
    constant = read_constant(context, expr)
    if constant is None:
        return None
    if isinstance(constant.value, str):
        return constant.value
    context.problems.error("type-mismatch", expr.span, f"{what} is a text.", hint='write "…"')
    return None
