"""`probes` declarations: rules bound to a dataset, the teacher's prompt, what it yields, and the filters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from exgrpo_compiler.ast import Attribute, Decl, Expr, KeepStmt, ListExpr, Ref, YieldsStmt
from exgrpo_compiler.check.context import Context, find_declaration
from exgrpo_compiler.check.expressions import check_expression, verify_condition
from exgrpo_compiler.check.external import find_askable
from exgrpo_compiler.check.forms import report_double, sort_statements
from exgrpo_compiler.check.params import bind_params, require_param
from exgrpo_compiler.check.probe_settings import read_asking, warn_same_answers
from exgrpo_compiler.check.prompt import check_prompt
from exgrpo_compiler.check.scope import Meaning, PlainName, RecordName, Scope
from exgrpo_compiler.check.type_names import read_type
from exgrpo_compiler.diagnostics import Diagnostic, Label, find_closest, suggest_name
from exgrpo_compiler.ir import CheckedDataset, CheckedKeep, CheckedProbes, CheckedRule, CheckedYield, Template
from exgrpo_compiler.problems import list_names
from exgrpo_compiler.program import Key
from exgrpo_compiler.value_types import ANY, Type, describe_type, fits, list_of

_GIVEN = ("rule", "rules", "probe", "probes", "student")
"""Names that every probes block has."""


def check_probes(context: Context, decl: Decl) -> CheckedProbes | None:
    """A checked `probes` block, or None with diagnostics. One that is broken in part may be there, with diagnostics too."""
    assert decl.block is not None
    name, before = decl.name, len(context.problems)
    block = sort_statements(
        decl.block, "probes", f"probes `{name.text}`", name.span, context.problems, is_damaged=decl.is_damaged
    )
    bound = bind_params(context, decl, ("dataset",))
    param = (
        require_param(context, decl, bound, "dataset", "item: NAME_OF_A_DATASET")
        if bound is not None
        else None
    )
    if param is not None and param.name in _GIVEN:
        context.problems.error(
            "reserved-name",
            param.param.name.span,
            f"`{param.name}` is given in every probes block; give the row another name.",
            hint=f"write probes {name.text}(item: {param.param.type.name}) …",
        )
        return None
    dataset = context.known.get(param.key) if param else None
    yields = _read_yields(context, [item for item in block.others if isinstance(item, YieldsStmt)], decl)
    teacher_assign, rules_assign, prompt_assign = map(block.get, ("teacher", "rules", "prompt"))
    teacher = find_askable(context, teacher_assign.value, "the teacher") if teacher_assign else None
    asking, samples = read_asking(context, block), block.get("samples")
    if samples is not None:
        warn_same_answers(context, teacher, asking.samples, samples.span, "`samples`")
    rows = dataset if isinstance(dataset, CheckedDataset) else None
    rules = _read_rules(context, rules_assign.value, rows, name.text) if rules_assign else {}
    if param is None or rows is None:
        return None
    prompt, used = None, set[str]()
    if prompt_assign:
        names, title = {param.name: rows.row_type, **asking.names}, f"the prompt of `{name.text}`"
        prompt = check_prompt(context, prompt_assign.value, names, title, {param.name: "item"}, used)
    probe_type = Type(
        "record",
        fields=tuple((item.name, item.type) for item in yields),
        title=f"a probe of `{name.text}`",
        is_open=decl.is_damaged or not yields,
    )
    keep_statements = [item for item in block.others if isinstance(item, KeepStmt)]
    shown = tuple(field.name for field in yields if field.open)
    item = RecordName("item", rows.row_type)
    keeps = _read_keeps(context, keep_statements, item, param.name, probe_type, shown)
    if decl.is_damaged or len(context.problems) > before:
        # Broken, and known all the same: what uses it is checked against what is right in it.
        teacher, prompt = teacher or param.key, prompt or Template("")
    elif param.name not in used:
        context.problems.warning(
            "unused-parameter",
            param.param.name.span,
            f"The prompt of `{name.text}` does not read `{param.name}`, so the teacher is asked the same for every row.",
            hint=f"show a field of it: {{{{ {param.name}.FIELD }}}}",
        )
    if teacher is None or prompt is None:
        return None
    spans = tuple(expr.span for expr in rules.values())
    return CheckedProbes(
        param.key,
        tuple(rules),
        teacher,
        prompt,
        yields,
        keeps,
        probe_type,
        spans,
        asking.ask,
        asking.samples,
        asking.per_rule,
    )


# --- rules --------------------------------------------------------------------------------------------------


def _read_rules(
    context: Context, expr: Expr, dataset: CheckedDataset | None, probes: str
) -> Mapping[Key, Expr]:
    if not isinstance(expr, ListExpr) or not expr.items:
        hint = "write `[NAME_OF_A_RULE]`"
        if isinstance(expr, Ref | Attribute):
            hint = f"write `[{expr.span.source.text[expr.span.start : expr.span.end]}]`"
        context.problems.error(
            "type-mismatch", expr.span, "`rules` is a list of rules: [why, contrast].", hint=hint
        )
        return {}
    keys: dict[Key, Expr] = {}
    missing = _report_missing(context, expr.items)
    for item in expr.items:
        if item in missing:
            continue
        key = find_declaration(context, item, ("rule",), f"`rules` of `{probes}`")
        if key is None:
            continue
        if key in keys:
            context.problems.error(
                "duplicate-key",
                item.span,
                f"The rule `{key.name}` is listed twice.",
                labels=(Label(keys[key].span, "the first is here"),),
            )
            continue
        keys[key] = item
        rule = context.known.get(key)
        if isinstance(rule, CheckedRule) and dataset is not None:
            _verify_rule_fits(context, item, key, rule, dataset)
    return keys


def _report_missing(context: Context, items: Sequence[Expr]) -> Sequence[Ref]:
    """Reports names of one list that nothing declares and nothing is like, once: their import was forgotten."""
    known = context.program.names_of(context.module, "rule")
    missing = [
        item
        for item in items
        if isinstance(item, Ref)
        and context.program.find(context.module, item.name) is None
        and not context.is_lost(item.name)
        and find_closest(item.name, known) is None
    ]
    if len(missing) < 2:
        return ()
    names = [item.name for item in missing]
    context.problems.error(
        "unknown-name",
        missing[0].span,
        f"There are no rules {', '.join(f'`{name}`' for name in names[:-1])} and `{names[-1]}`.",
        labels=tuple(Label(item.span, "and here") for item in missing[1:]),
        hint=f"declare them, or import them, as by `use std.rules.{{{', '.join(names)}}}`",
    )
    return missing


def _verify_rule_fits(
    context: Context, expr: Expr, key: Key, rule: CheckedRule, dataset: CheckedDataset
) -> None:
    fields = {field.name: field for field in dataset.fields}
    for param in rule.params:
        field = fields.get(param.name)
        if field is None and dataset.row_type.is_open:
            continue
        title = dataset.row_type.title.removeprefix("a row of ")
        if field is None:
            closest = find_closest(param.name, fields)
            context.problems.add(
                Diagnostic(
                    "rule-field-mismatch",
                    "error",
                    f"The rule `{key.name}` asks for a field `{param.name}`, which dataset {title} does not have.",
                    expr.span,
                    (Label(param.span, "asked for here"),),
                    suggest_name(param.name, fields) or list_names(fields, "its fields are"),
                    missed=(param.name, closest),
                )
            )
        elif not fits(field.type, param.type):
            context.problems.error(
                "rule-field-mismatch",
                expr.span,
                f"The rule `{key.name}` asks for `{param.name}: {describe_type(param.type)}`; "
                f"in dataset {title} it is {describe_type(field.type)}.",
                labels=(Label(param.span, "asked for here"),),
            )


# --- yields and filters -------------------------------------------------------------------------------------


def _read_yields(context: Context, statements: Sequence[YieldsStmt], decl: Decl) -> tuple[CheckedYield, ...]:
    if len(statements) != 1:
        if statements:
            context.problems.error("duplicate-key", statements[1].span, "`yields` stands here twice.")
        elif not decl.is_damaged:
            context.problems.error(
                "missing-key",
                decl.name.span,
                f"Probes `{decl.name.text}` has no `yields`.",
                hint="add yields { open question: text, rationale: text, answer: text }",
            )
            return ()
        else:
            return ()
    fields: dict[str, CheckedYield] = {}
    for field in statements[0].fields:
        type_ = read_type(context, field.type, f"`{field.name.text}`")
        if field.name.text in fields:
            first = next(item for item in statements[0].fields if item.name.text == field.name.text)
            report_double(
                context.problems,
                "duplicate-name",
                field.name,
                first.name.span,
                f"There are two fields `{field.name.text}`.",
            )
            continue
        fields[field.name.text] = CheckedYield(field.name.text, type_ or ANY, field.open, field.doc)
    if not fields and not decl.is_damaged:
        context.problems.error(
            "missing-key", statements[0].span, "`yields` names at least one field of the reply."
        )
    return tuple(fields.values())


def _report_subject(context: Context, statement: KeepStmt) -> None:
    subject, known = statement.subject, ("probe", "item")
    message = f"A filter keeps a `probe` or an `item`, not a `{subject.text}`."
    if statement.name is None and find_closest(subject.text, known) is None:
        hint = f"write `keep probe {subject.text} where …`, or `keep item {subject.text} where …`"
        context.problems.error("unknown-name", subject.span, message, hint=hint)
        return
    context.problems.unknown("unknown-name", subject.span, message, subject.text, known, "write")


def _read_keeps(
    context: Context,
    statements: Sequence[KeepStmt],
    item: RecordName,
    item_name: str,
    probe_type: Type,
    shown: tuple[str, ...],
) -> tuple[CheckedKeep, ...]:
    keeps: dict[str, CheckedKeep] = {}
    first: dict[str, KeepStmt] = {}
    for index, statement in enumerate(statements, start=1):
        subject: Literal["probe", "item"] = "probe" if statement.subject.text == "probe" else "item"
        if statement.subject.text not in ("probe", "item"):
            _report_subject(context, statement)
            continue
        name = statement.name.text if statement.name else f"{subject}_{index}"
        if name in first and statement.name is not None:
            report_double(
                context.problems,
                "duplicate-name",
                statement.name,
                first[name].span,
                f"There are two filters `{name}`.",
            )
            continue
        first[name] = statement
        names: dict[str, Meaning] = {item_name: item, "probes": PlainName("probes", list_of(ANY))}
        if subject == "probe":
            names["probe"] = RecordName("probe", probe_type)
        scope = Scope(context, "filter", names, shown=shown, find_student=True)
        condition = check_expression(scope, statement.condition)
        if condition is not None and verify_condition(scope, condition):
            keeps[name] = CheckedKeep(name, subject, condition)
    return tuple(keeps.values())
