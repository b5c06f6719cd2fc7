"""The place of a template: a string, or a const that is one."""

from __future__ import annotations

from collections.abc import Mapping

from exgrpo_compiler.ast import Attribute, Expr, Ref, Text
from exgrpo_compiler.check.context import Context, find_declaration
from exgrpo_compiler.ir import Template
from exgrpo_compiler.templates import check_template
from exgrpo_compiler.value_types import Type


def check_prompt(
    context: Context,
    expr: Expr,
    names: Mapping[str, Type],
    what: str,
    aliases: Mapping[str, str] | None = None,
) -> Template | None:
    """The checked template, or None with diagnostics.

    `aliases` maps a name in `names` to the one that the runtime gives the value: the template then begins by binding it.
    """
    text = _find_text(context, expr)
    if text is None:
        return None
    used = check_template(text, names, context.problems, what)
    if used is None:
        return None
    renamed = {name: given for name, given in (aliases or {}).items() if name != given and name in used}
    prefix = "".join(f"{{% set {name} = {given} %}}" for name, given in sorted(renamed.items()))
    return Template(text.value, prefix)


def _find_text(context: Context, expr: Expr) -> Text | None:
    if isinstance(expr, Text):
        return expr
    if isinstance(expr, Ref | Attribute):
        key = find_declaration(context, expr, ("const",), "a template")
        if key is None:
            return None
        value = context.get_decl(key).value
        if isinstance(value, Text):
            return value
    context.problems.error("type-mismatch", expr.span, "A template is a string, or a const that is a string.")
    return None
