"""`model` declarations: how a model is reached or built, and its settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from exgrpo_artifact.manifest import EnvRef, Limits, Lora, Model, Price, Sampling, Scratch
from exgrpo_artifact.record import get_fields
from exgrpo_compiler.ast import Assign, Block, Call, Configured, Decl, Expr, GroupBlock, Name, Record, Ref
from exgrpo_compiler.builtins import BLOCKS_OF_MODEL, MODEL_ARGUMENTS, MODEL_SETTINGS, Setting
from exgrpo_compiler.check.arguments import bind_arguments
from exgrpo_compiler.check.constants import Env, read_constant, read_setting
from exgrpo_compiler.check.context import Context, report_unknown_name
from exgrpo_compiler.check.forms import Form, report_double, sort_statements
from exgrpo_compiler.ir import CheckedModel
from exgrpo_compiler.source import Span
from exgrpo_compiler.syntax.braces import build_statements_fix

Values = dict[str, Any]


def check_model(context: Context, decl: Decl) -> CheckedModel | None:
    """A checked `model`, or None with diagnostics."""
    assert decl.value is not None
    head, block = split_model(decl.value)
    kind = get_model_kind(head)
    if isinstance(decl.value, Record):
        context.problems.error(
            "type-mismatch",
            decl.value.span,
            "A model's settings are statements: `name = value`.",
            hint="write = for :",
            fix=build_statements_fix(decl.value),
        )
        return None
    if kind is None:
        context.problems.error(
            "type-mismatch",
            head.span,
            'A model is openai("…"), hf("…"), scratch { … }, plugin("…") or replay("…").',
            hint='as openai("gpt-4o"), hf("Qwen/Qwen2.5-7B-Instruct"), scratch { layers = 2; … }',
        )
        return None
    if kind not in MODEL_ARGUMENTS:
        span = head.function.span if isinstance(head, Call) else head.span
        report_unknown_name(context, kind, span, list(MODEL_ARGUMENTS), what="kind of model")
        return None
    before = len(context.problems)
    arguments, options = _read_arguments(context, kind, head)
    settings = _read_settings(context, kind, block, decl)
    is_whole = all(name in settings for name in MODEL_SETTINGS[kind]) and all(
        name in settings[group]
        for group, table in BLOCKS_OF_MODEL[kind].items()
        if group in settings
        for name in table
    )  # a damaged block may lack what it needs
    if len(context.problems) > before or not is_whole:
        return None
    return CheckedModel(_build_model(decl.name.text, kind, arguments, options, settings))


def split_model(expr: Expr) -> tuple[Expr, Block | None]:
    """The call and its block of settings."""
    return (expr.value, expr.block) if isinstance(expr, Configured) else (expr, None)


def get_model_kind(head: Expr) -> str | None:
    """`openai`, `hf`, …, as written."""
    if isinstance(head, Call) and isinstance(head.function, Ref):
        return head.function.name
    return head.name if isinstance(head, Ref) else None


def _read_arguments(context: Context, kind: str, head: Expr) -> tuple[Values, Values]:
    table = MODEL_ARGUMENTS[kind]
    written = head.arguments if isinstance(head, Call) else ()
    required = [name for name, setting in table.items() if setting.is_required]
    bound = bind_arguments(
        written,
        list(table),
        required,
        f"`{kind}`",
        head.span,
        context.problems,
        num_positional=1,
        takes_any_name=kind == "plugin",
    )
    if bound is None:
        return {}, {}
    values = {name: setting.default for name, setting in table.items() if not setting.is_required}
    options: Values = {}
    for name, argument in bound.items():
        if name in table:
            values[name] = read_setting(context, argument.value, table[name])
            continue
        constant = read_constant(context, argument.value)
        if constant is None:
            continue
        if isinstance(constant.value, Env) or constant.unit is not None:
            context.problems.error(
                "type-mismatch",
                argument.span,
                f"`{name}` is a plain value: text, number, bool or list.",
                hint='as 0.1, "text", true or [1, 2]',
            )
            continue
        options[name] = constant.value
    return values, options


def _read_settings(context: Context, kind: str, block: Block | None, decl: Decl) -> Values:
    table = MODEL_SETTINGS[kind]
    groups = BLOCKS_OF_MODEL[kind]
    what = f"model `{decl.name.text}`"
    values = read_table(
        context, table, block, what, decl.name.span, tuple(groups), is_damaged=decl.is_damaged
    )
    first: dict[str, Name] = {}
    for statement in block.statements if block else ():
        if not isinstance(statement, GroupBlock) or statement.keyword.text not in groups:
            continue
        keyword = statement.keyword
        if statement.label is not None:
            context.problems.error(
                "misplaced-statement", statement.label.span, f"`{keyword.text}` has no name of its own."
            )
        if keyword.text in first:
            report_double(
                context.problems,
                "duplicate-key",
                keyword,
                first[keyword.text].span,
                f"`{keyword.text}` is given twice.",
            )
            continue
        first[keyword.text] = keyword
        values[keyword.text] = read_table(
            context,
            groups[keyword.text],
            statement.block,
            f"`{keyword.text}`",
            keyword.span,
            (),
            is_damaged=decl.is_damaged,
        )
    return values


def read_table(
    context: Context,
    table: Mapping[str, Setting],
    block: Block | None,
    what: str,
    span: Span,
    groups: tuple[str, ...],
    *,
    is_damaged: bool,
) -> Values:
    """Settings of a block by a table, defaults filled in."""
    form = Form({name: setting.is_required for name, setting in table.items()}, groups)
    statements = block if block is not None else Block((), span)
    block_sorted = sort_statements(statements, form, what, span, context.problems, is_damaged=is_damaged)
    values: Values = {name: setting.default for name, setting in table.items() if not setting.is_required}
    for name, assign in block_sorted.assigns.items():
        values[name] = read_setting(context, assign.value, table[name])
    _verify_shape(context, values, block_sorted.assigns)
    return values


def _verify_shape(context: Context, values: Values, assigns: Mapping[str, Assign]) -> None:
    width, heads = values.get("width"), values.get("heads")
    if width and heads and width % (2 * heads):
        context.problems.error(
            "invalid-value",
            assigns["width"].value.span,
            f"`width` must be a multiple of twice `heads` ({2 * heads}), so that every head has an even size; this is {width}.",
            hint=f"write {max(1, width // (2 * heads)) * 2 * heads}",
        )


def _build_model(name: str, kind: str, arguments: Values, options: Values, settings: Values) -> Model:
    def to_url(value: object) -> object:
        return EnvRef(env=value.name) if isinstance(value, Env) else value

    values: Values = {"name": name, "kind": kind, "options": options, "id": arguments.get("id")}
    values["revision"], values["api_key"] = arguments.get("revision"), to_url(arguments.get("api_key"))
    first, *rest = map(to_url, arguments.get("base_url") or (None,))
    values["base_url"], values["more_urls"] = first, tuple(rest)
    sampling = {key: settings[key] for key in ("temperature", "top_p", "max_tokens") if key in settings}
    values["sampling"] = Sampling(**sampling)
    if "budget" in settings:
        values["budget_usd"] = settings["budget"]
        values["timeout_s"] = settings["timeout"]
        values["tries"] = settings["tries"]
    values |= {key: settings[key] for key in ("json", "license") if key in settings}
    if "dtype" in settings:
        values["dtype"] = settings["dtype"]
    if "lora" in settings:
        values["lora"] = Lora(**settings["lora"])
    if "price" in settings:
        values["price"] = Price(**settings["price"])
    if "limits" in settings:
        values["limits"] = Limits(**settings["limits"])
    if kind == "scratch":
        values["scratch"] = Scratch(**{key: settings[key] for key in get_fields(Scratch)})
    return Model(**values)
