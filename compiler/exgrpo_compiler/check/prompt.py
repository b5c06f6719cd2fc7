"""The place of a template: a string, or a const that is one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from exgrpo_compiler.ast import Attribute, Expr, Ref, Text
from exgrpo_compiler.check.context import Context, find_declaration
from exgrpo_compiler.diagnostics import Edit, Fix
from exgrpo_compiler.ir import Template, TemplateClearance, TemplateRead, TemplateStep
from exgrpo_compiler.template.findings import Analysis, Read
from exgrpo_compiler.template.words import make_span
from exgrpo_compiler.templates import check_template
from exgrpo_compiler.value_types import Type


def check_prompt(
    context: Context,
    expr: Expr,
    names: Mapping[str, Type],
    what: str,
    aliases: Mapping[str, str] | None = None,
    used: set[str] | None = None,
) -> Template | None:
    """The checked template, or None with diagnostics.

    `aliases` maps a name in `names` to the one that the runtime gives the value: the template then begins by binding it.
    To `used` the names that it reads are added.
    """
    text = _find_text(context, expr)
    if text is None:
        return None
    analysis = check_template(text, names, context.problems, what)
    if analysis is None:
        if used is not None:
            used |= set(names)  # a broken template may have meant any of them
        return None
    if used is not None:
        used |= analysis.used
    _warn_single_braces(context, text, names, used)
    aliases = aliases or {}
    renamed = {name: given for name, given in aliases.items() if name != given and name in analysis.used}
    prefix = "".join(f"{{% set {name} = {given} %}}" for name, given in sorted(renamed.items()))
    return _build_template(text, prefix, analysis, aliases)


_SINGLE = re.compile(
    r"(?<![{\w])\$?\{[ \t]*(?P<name>[^\W\d]\w*)\.(?P<field>[^\W\d]\w*)(?P<rest>[ \t]*)\}(?!\})"
)
"""`{ item.question }` and `${item.question}`, as other languages put a value into a text."""
_UNOPENED = r"(?<![\w.])(?P<name>[^\W\d]\w*)\.(?P<field>[^\W\d]\w*)(?P<rest>[^{}\n]{0,80}?)\}\}"
"""`item.question }}`, which lacks what opens it."""
_TAG = r"\{\{[^{}]*\}\}"


def _warn_single_braces(
    context: Context, text: Text, names: Mapping[str, Type], used: set[str] | None
) -> None:
    for match in _find_half_braces(text.value):
        type_ = names.get(match["name"])
        if type_ is None or type_.get_field(match["field"]) is None:
            continue  # a text about something else
        span = make_span(text, match.start(), len(match[0]))
        what = "Single braces print" if match[0].startswith(("{", "$")) else "Braces that nothing opens print"
        fixed = f"{{{{ {match['name']}.{match['field']}{match['rest'].rstrip()} }}}}"
        context.problems.warning(
            "single-braces",
            span,
            f"{what} nothing: `{match[0]}` stands in the text as it is.",
            hint=f"write {fixed}",
            fix=Fix(f"write {fixed}", (Edit(span, fixed),)),
        )
        if used is not None:
            used.add(match["name"])  # it was meant to be read


def _find_half_braces(text: str) -> Iterator[re.Match[str]]:
    yield from _SINGLE.finditer(text)
    if text.count("}}") > text.count("{{"):
        yield from re.finditer(_UNOPENED, re.sub(_TAG, lambda tag: " " * len(tag[0]), text))


def _build_template(text: Text, prefix: str, analysis: Analysis, aliases: Mapping[str, str]) -> Template:
    def place(read: Read) -> TemplateRead:
        steps = tuple(
            TemplateStep(make_span(text, step.start, step.length), step.text) for step in read.steps
        )
        span = make_span(text, read.start, read.length)
        return TemplateRead(aliases.get(read.root, read.root), read.attribute, span, read.how, steps)

    clearances = tuple(
        TemplateClearance(
            item.what,
            item.reason,
            make_span(text, item.start, item.length),
            tuple(place(read) for read in item.reads),
        )
        for item in analysis.clearances
    )
    return Template(text.value, prefix, tuple(place(read) for read in analysis.reads), clearances)


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
    context.problems.error(
        "type-mismatch",
        expr.span,
        "A template is a string, or a const that is a string.",
        hint='write "…", or """…""" over several lines',
    )
    return None
