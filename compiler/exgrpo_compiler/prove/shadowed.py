"""`shadowed-name`: a name that means one thing outside and another inside.

Looked for where a reader would be misled: terms of a reward, parameters, the variable of `for probe in`, and the names
that a template makes with `set` and `for`. A parameter that is named after its own type hides nothing that could be meant.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from exgrpo_compiler import ast
from exgrpo_compiler.diagnostics import Diagnostic, Label
from exgrpo_compiler.ir import CheckedProgram
from exgrpo_compiler.program import Binding, Key, Program
from exgrpo_compiler.prove.case import Cases
from exgrpo_compiler.source import Span

_MADE = r"\{#.*?#\}|\{%-?\s*raw\s*-?%\}.*?\{%-?\s*endraw\s*-?%\}|\{%-?\s*(?:set|for)\s+(\w+)(?:\s*,\s*(\w+))?"


def prove_names(program: Program, checked: CheckedProgram, cases: Cases) -> Iterable[Diagnostic]:
    """`shadowed-name` of the entry file."""
    del checked, cases
    module = program.modules[program.entry]
    for decl in module.spec.decls:
        if not decl.is_damaged:
            yield from _look_at(program, decl, module.scope)


def _look_at(program: Program, decl: ast.Decl, scope: Mapping[str, Binding]) -> Iterable[Diagnostic]:
    own: dict[str, Span] = {}
    for param in decl.params:
        name = param.name
        if name.text in scope and param.type.name != name.text and decl.kind != "rule":
            yield _warn("parameter", name, scope[name.text].span, _name_kind(program, name.text))
        own[name.text] = param.name.span
    if decl.block is None:
        return
    if decl.kind == "reward":
        for statement in decl.block.statements:
            if isinstance(statement, ast.Assign) and statement.path[0].text in scope:
                term = statement.path[0]
                yield _warn("term", term, scope[term.text].span, _name_kind(program, term.text))
    given = {_name_rules(decl.block): decl.name.span} if decl.kind == "probes" else {}
    yield from _look_into(decl.block, {**given, **own}, scope, program)


def _name_rules(block: ast.Block) -> str:
    """What the prompt of a probes block calls what it is given of the rules."""
    asks = [
        item.value for item in block.statements if isinstance(item, ast.Assign) and item.path[0].text == "ask"
    ]
    is_together = any(isinstance(value, ast.Ref) and value.name == "together" for value in asks)
    return "rules" if is_together else "rule"


def _look_into(
    block: ast.Block, outer: Mapping[str, Span], scope: Mapping[str, Binding], program: Program
) -> Iterable[Diagnostic]:
    for statement in block.statements:
        if isinstance(statement, ast.ForStep):
            name = statement.variable
            if name.text in outer:
                yield _warn("variable", name, outer[name.text], "parameter")
            elif name.text in scope:
                yield _warn("variable", name, scope[name.text].span, _name_kind(program, name.text))
            yield from _look_into(statement.block, {**outer, name.text: name.span}, scope, program)
        elif isinstance(statement, ast.UserStep | ast.AssistantStep | ast.Assign) and isinstance(
            statement.value, ast.Text
        ):
            yield from _look_at_template(statement.value, outer)


def _look_at_template(text: ast.Text, outer: Mapping[str, Span]) -> Iterable[Diagnostic]:
    if "{%" not in text.value:
        return
    for match in re.finditer(_MADE, text.value, re.DOTALL):
        for group in (1, 2):
            name = match[group]
            if name in outer:
                start, end = text.offsets[match.start(group)], text.offsets[match.end(group)]
                span = Span(text.span.source, start, end)
                yield Diagnostic(
                    "shadowed-name",
                    "warning",
                    f"This template makes a `{name}` of its own, which hides the one that it is given.",
                    span,
                    (Label(outer[name], "given here"),),
                    "give it another name",
                )


def _name_kind(program: Program, name: str) -> str:
    target = program.find(program.entry, name)
    decl = program.decls.get(target) if isinstance(target, Key) else None
    return decl.kind if decl is not None else "import"


def _warn(what: str, name: ast.Name, hidden: Span, kind: str) -> Diagnostic:
    return Diagnostic(
        "shadowed-name",
        "warning",
        f"The {what} `{name.text}` hides the {kind} of that name.",
        name.span,
        (Label(hidden, "hidden there"),),
        "give one of the two another name",
    )
