"""`unused-declaration`, `unused-rule`, `unused-import`: what a file with a task holds and none of its tasks, tests and studies needs.

A file without a task is a library: others use what it declares.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from exgrpo_compiler import ast
from exgrpo_compiler.diagnostics import Diagnostic, Edit, Fix, Label
from exgrpo_compiler.ir import CheckedProbes, CheckedProgram, CheckedRule
from exgrpo_compiler.program import Key, Module, Program
from exgrpo_compiler.prove.case import Cases
from exgrpo_compiler.prove.filters import can_apply
from exgrpo_compiler.prove.usage import ROOTS, find_usage
from exgrpo_compiler.source import Span


def prove_usage(program: Program, checked: CheckedProgram, cases: Cases) -> Iterable[Diagnostic]:
    """All three, of the entry file."""
    del cases
    module = program.modules[program.entry]
    spec = module.spec
    is_whole = not spec.lost_names and not any(decl.is_damaged for decl in spec.decls)
    if not checked.tasks or not is_whole or any(value is None for value in checked.known.values()):
        return
    usage = find_usage(module)
    yield from _report_declarations(module, usage.needed, usage.named)
    for use in spec.uses:
        yield from _report_imports(program, use, usage.written)
    yield from _report_idle_rules(program, checked)


def _report_declarations(
    module: Module, needed: set[str], named: Mapping[str, set[str]]
) -> Iterable[Diagnostic]:
    idle = [decl for decl in module.spec.decls if decl.kind not in ROOTS and decl.name.text not in needed]
    used_by_idle = {name for other in idle for name in named[other.name.text] if name != other.name.text}
    for decl in idle:
        name = decl.name.text
        if name in used_by_idle:
            continue  # it goes with what uses it
        if decl.kind == "rule":
            yield _make_rule_warning(name, decl.name.span)
            continue
        yield Diagnostic(
            "unused-declaration",
            "warning",
            f"The {decl.kind} `{name}` is used by no task, test or study of this file.",
            decl.name.span,
            hint="remove it, or use it",
        )


def _make_rule_warning(name: str, span: Span, fix: Fix | None = None) -> Diagnostic:
    return Diagnostic(
        "unused-rule",
        "warning",
        f"The rule `{name}` stands in no list of rules, so no probe is made by it.",
        span,
        hint=f"write rules = […, {name}] in a probes block, or remove it",
        fix=fix,
    )


def _report_imports(program: Program, use: ast.Use, written: set[str]) -> Iterable[Diagnostic]:
    if use.items is None:
        if use.alias is not None and use.alias.text not in written:
            yield _make_import_warning(
                use.alias.text, use.alias.span, Fix("remove it", (Edit(use.span, ""),), True)
            )
        return
    for at, item in enumerate(use.items):
        local = item.alias or item.name
        if local.text in written:
            continue
        fix = Fix("remove it", (Edit(_find_item_span(use, at), ""),), True)
        target = program.find(program.entry, local.text)
        decl = program.decls.get(target) if isinstance(target, Key) else None
        if decl is None:
            continue
        if decl.kind == "rule":
            yield _make_rule_warning(local.text, local.span, fix)
        else:
            yield _make_import_warning(local.text, local.span, fix)


def _make_import_warning(name: str, span: Span, fix: Fix) -> Diagnostic:
    message = f"`{name}` is imported and never used."
    return Diagnostic("unused-import", "warning", message, span, hint="remove it", fix=fix)


def _find_item_span(use: ast.Use, at: int) -> Span:
    """An item with the comma that goes with it; the whole `use` where it is the only one."""
    assert use.items is not None
    if len(use.items) == 1:
        return use.span
    source = use.span.source
    if at + 1 < len(use.items):
        return Span(source, use.items[at].name.span.start, use.items[at + 1].name.span.start)
    previous, last = use.items[at - 1], use.items[at]
    return Span(source, (previous.alias or previous.name).span.end, (last.alias or last.name).span.end)


def _report_idle_rules(program: Program, checked: CheckedProgram) -> Iterable[Diagnostic]:
    """Rules of a list whose `applies_when` is never met."""
    listed = {
        rule: key
        for key, value in checked.known.items()
        if isinstance(value, CheckedProbes) and key.module == program.entry
        for rule in value.rules
    }
    for key, probes in listed.items():
        rule = checked.known.get(key)
        if isinstance(rule, CheckedRule) and rule.applies_when is not None and not can_apply(rule):
            yield Diagnostic(
                "unused-rule",
                "warning",
                f"The rule `{key.name}` never applies: its `applies_when` is false for every row.",
                rule.applies_when.span,
                (Label(program.decls[probes].name.span, f"`{probes.name}` lists it"),),
                "change the condition, or take the rule out of the list",
            )
