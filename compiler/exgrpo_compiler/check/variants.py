"""Variants of a study, each checked as the spec that it makes: its values have types, units and bounds like those of `--set`.

A variant is the written program with its values put in and its stages dropped. What is wrong there and not in the spec itself is
reported, in the variant where it stands there, with the variant's name otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from exgrpo_artifact.record import replace
from exgrpo_compiler.ast import Assign, Block, Decl, DropStmt, GroupBlock, Ref, Stmt
from exgrpo_compiler.diagnostics import Diagnostic, Label
from exgrpo_compiler.overrides import set_target
from exgrpo_compiler.problems import Problems
from exgrpo_compiler.program import Key, Program, TermsOff
from exgrpo_compiler.targets import find_targets, is_term, turn_off

Check = Callable[[Program, TermsOff], Iterable[Diagnostic]]
"""Diagnostics of a program with some terms turned off."""


def check_variants(written: Program, found: Iterable[Diagnostic], check: Check) -> tuple[Diagnostic, ...]:
    """What is wrong in the variants of the entry file's studies; `found` are the diagnostics of the spec itself."""
    problems = Problems()
    known = {_identify(item) for item in found}
    plain = _drop_studies(written)
    for key in written.keys_of("study"):
        decl = written.decls[key]
        base = written.find(key.module, decl.base.text) if decl.base is not None else None
        if key.module != written.entry or not isinstance(base, Key) or decl.block is None or decl.is_damaged:
            continue
        for variant in decl.block.statements:
            if isinstance(variant, GroupBlock) and variant.keyword.text == "variant":
                changed = _apply_variant(plain, key.module, base, variant.block)
                if changed is not None:
                    _report_new(problems, key, variant, check(*changed), known, decl)
    return problems.found


def _drop_studies(program: Program) -> Program:
    decls = {key: decl for key, decl in program.decls.items() if decl.kind != "study"}
    return replace(program, decls=decls, tests=())


def _apply_variant(program: Program, module: str, base: Key, block: Block) -> tuple[Program, TermsOff] | None:
    """The variant's program; None where a path leads nowhere, which was reported."""
    terms: set[tuple[Key, str]] = set()
    for statement in block.statements:
        changed = _apply_statement(program, module, base, statement, terms)
        if changed is None:
            return None
        program = changed
    return program, frozenset(terms)


def _apply_statement(
    program: Program, module: str, base: Key, statement: Stmt, terms: set[tuple[Key, str]]
) -> Program | None:
    if isinstance(statement, DropStmt):
        dropped = turn_off(program.decls[base], (statement.name.text,))
        return program.with_decl(base, dropped) if dropped is not None else None
    if not isinstance(statement, Assign):
        return None
    targets = find_targets(program, module, tuple(part.text for part in statement.path), base)
    if len(targets) != 1:
        return None
    (target,) = targets
    decl = program.decls[target.key]
    if not (isinstance(statement.value, Ref) and statement.value.name == "off"):
        return set_target(program, target, statement.value)
    if is_term(decl, target.path) and target.path != ("total",):
        terms.add((target.key, target.path[0]))
        return program
    changed = turn_off(decl, target.path)
    return program.with_decl(target.key, changed) if changed is not None else None


def _report_new(
    problems: Problems,
    key: Key,
    variant: GroupBlock,
    diagnostics: Iterable[Diagnostic],
    known: set[tuple[str, str, int, str]],
    study: Decl,
) -> None:
    for item in diagnostics:
        if item.severity != "error" or _identify(item) in known:
            continue
        is_inside = (
            item.span.source == study.span.source and study.span.start <= item.span.start < study.span.end
        )
        place = variant.label or variant.keyword
        label = Label(place.span, f"in this variant of `{key.name}`")
        problems.add(item if is_inside else replace(item, labels=(*item.labels, label)))


def _identify(item: Diagnostic) -> tuple[str, str, int, str]:
    return item.id, item.span.source.name, item.span.start, item.message
