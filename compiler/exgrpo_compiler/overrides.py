"""`--set NAME.path=VALUE`: values of a spec changed from outside, before anything is checked.

A value is an expression of the language, put into the tree in the place of the old one, so that it is checked like what
the file says. Diagnostics about it point into a source of its own, called `--set`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TypeVar, cast

from exgrpo_artifact.record import Record, get_fields, replace
from exgrpo_compiler.ast import Call, Decl, Expr, NamedStmt, Ref, Text
from exgrpo_compiler.diagnostics import Label, Outcome, find_closest, suggest_name
from exgrpo_compiler.override_labels import find_removed, find_replaced, find_term
from exgrpo_compiler.problems import Problems, list_names
from exgrpo_compiler.program import Overridden, Program, Replaced
from exgrpo_compiler.source import Source, Span
from exgrpo_compiler.targets import (
    Path,
    Target,
    find_targets,
    is_term,
    list_paths,
    may_be_lost,
    set_value,
    turn_off,
)

T = TypeVar("T")
ParseExpression = Callable[[Source], Outcome[Expr]]

_PATH = re.compile(r"\s*([^\W\d]\w*(?:\s*\.\s*[^\W\d]\w*)*)\s*=(?!=)")


def apply_overrides(program: Program, texts: Sequence[str], parse: ParseExpression) -> Outcome[Overridden]:
    """The program changed by each override in turn; one that is wrong is reported and left out."""
    problems = Problems()
    result = Overridden(program)
    seen: dict[Target, Span] = {}
    for number, text in enumerate(texts, start=1):
        # Reports are shown by the name of their source: each override has one of its own.
        name = "--set" if number == 1 else f"--set ({number})"
        result = _apply(result, text, name, parse, problems, seen)
    return Outcome(result, problems.found)


def _apply(
    state: Overridden,
    text: str,
    name: str,
    parse: ParseExpression,
    problems: Problems,
    seen: dict[Target, Span],
) -> Overridden:
    source = Source(name, text, name)
    match = _PATH.match(text)
    if match is None:
        problems.error(
            "bad-override",
            Span(source, 0, len(text)),
            "An override is written NAME.path=VALUE.",
            hint="as --set train.steps=20",
        )
        return state
    path = tuple(part.strip() for part in match[1].split("."))
    span = Span(source, match.start(1), match.end(1))
    target = _find_target(state.program, path, span, problems)
    # The value keeps its offsets in the whole text, so that carets stand under what was typed.
    value_source = Source(name, " " * match.end() + text[match.end() :], name)
    parsed = parse(value_source)
    problems.extend(_move(diagnostic, source) for diagnostic in parsed.diagnostics)
    if target is None or parsed.value is None:
        return state
    if target in seen:
        problems.error(
            "bad-override",
            span,
            f"`{'.'.join(path)}` is set twice.",
            hint=f"remove this, or `--set {seen[target].source.text}` before it",
        )
        return state
    seen[target] = span
    if isinstance(parsed.value, Ref) and parsed.value.name == "off":
        return _turn_off(state, target, span, problems)
    value = _move(parsed.value, source)
    program = set_target(state.program, target, value)
    place = find_replaced(state.program.decls[target.key], program.decls[target.key], value)
    change = Replaced(place, value.span, f"`{'.'.join(path)}` was set to this")
    return replace(state, program=program, replaced=(*state.replaced, change))


def _find_target(program: Program, path: Path, span: Span, problems: Problems) -> Target | None:
    targets = find_targets(program, program.entry, path)
    if len(targets) == 1:
        return targets[0]
    shown = ".".join(path)
    if targets:
        options = " or ".join(f"`{target.qualified}`" for target in targets)
        problems.error(
            "ambiguous-path", span, f"`{shown}` may mean several things here.", hint=f"write {options}"
        )
    elif not may_be_lost(program, program.entry, path):
        problems.error(
            "unknown-path",
            span,
            f"`{shown}` names nothing in this spec that could be set.",
            hint=_suggest_path(path, list_paths(program, program.entry)),
        )
    return None


def _suggest_path(path: Path, known: Sequence[str]) -> str | None:
    """The path that was meant: below the same name where that exists, so that no unrelated setting of it is close."""
    head, rest = path[0], ".".join(path[1:])
    below = [name.removeprefix(f"{head}.") for name in known if name.startswith(f"{head}.")]
    if rest and below:
        meant = find_closest(rest, below)
        return (
            f"did you mean `{head}.{meant}`?"
            if meant
            else list_names([f"{head}.{name}" for name in below], "there is")
        )
    inside = [name for name in known if name.endswith(f".{head}")] if not rest else []
    if inside:
        return f"did you mean {' or '.join(f'`{name}`' for name in inside[:4])}?"
    return suggest_name(".".join(path), known) or list_names(known, "there is")


def _list_switches(program: Program, target: Target) -> str | None:
    """What can be turned off: in the same declaration, or where that has nothing, in the spec."""
    paths = list_paths(program, program.entry)
    near = [path for path in paths if path.startswith(f"{target.key.name}.")]
    for candidates in (near, paths):
        found = [path for path in candidates if _is_switch(program, tuple(path.split(".")))]
        if found:
            return list_names(found, "these can be turned off:")
    return None


def _is_switch(program: Program, path: Path) -> bool:
    targets = find_targets(program, program.entry, path)
    if len(targets) != 1:
        return False
    decl, inner = program.decls[targets[0].key], targets[0].path
    return inner != ("total",) and (is_term(decl, inner) or turn_off(decl, inner) is not None)


def _turn_off(state: Overridden, target: Target, span: Span, problems: Problems) -> Overridden:
    decl = state.program.decls[target.key]
    if is_term(decl, target.path) and target.path[0] != "total":
        terms = state.terms_off | {(target.key, target.path[0])}
        change = Replaced(find_term(decl, target.path[0]), span, "turned off here")
        state = replace(state, replaced=(*state.replaced, change))
        return replace(state, terms_off=terms, turned_off=_add(state.turned_off, target.qualified))
    changed = turn_off(decl, target.path)
    if changed is None:
        problems.error(
            "bad-override",
            span,
            "Only a filter, a stage, or a term other than `total` can be turned off.",
            hint=_list_switches(state.program, target),
        )
        return state
    change = Replaced(find_removed(decl, changed), span, "turned off here")
    program = state.program.with_decl(target.key, changed)
    state = replace(state, replaced=(*state.replaced, change))
    return replace(state, program=program, turned_off=_add(state.turned_off, target.qualified))


def _add(names: tuple[str, ...], name: str) -> tuple[str, ...]:
    return names if name in names else (*names, name)


def set_target(program: Program, target: Target, value: Expr) -> Program:
    """The program with a value put in the place of another; the splits of a new source keep their names."""
    decl = set_value(program.decls[target.key], target.path, value)
    assert decl is not None, "find_targets gives only what can be set"
    if decl.kind == "dataset" and target.path == ("source",):
        decl = _map_splits(decl, value)
    return program.with_decl(target.key, decl)


def _map_splits(decl: Decl, source: Expr) -> Decl:
    """A source given by parts keeps the declared splits: each takes the part of its own name."""
    if not isinstance(source, Call) or decl.block is None:
        return decl
    parts = {
        argument.name.text: argument.name.span for argument in source.arguments if argument.name is not None
    }
    is_by_part = isinstance(source.function, Ref) and source.function.name in ("jsonl", "csv", "parquet")
    if not is_by_part or not parts:
        return decl
    statements = list(decl.block.statements)
    for index, statement in enumerate(statements):
        if not isinstance(statement, NamedStmt) or statement.keyword != "split":
            continue
        name = statement.name.text
        # A split without a part gets its own name all the same: `check` then says so, at the source given here.
        span = parts.get(name, source.span)
        offsets = tuple(min(span.start + index, span.end) for index in range(len(name) + 1))
        statements[index] = replace(statement, value=Text(name, "quoted", offsets, span))
    return replace(decl, block=replace(decl.block, statements=tuple(statements)))


def _move(node: T, source: Source) -> T:
    """The same tree or diagnostic with all its spans in another source of the same length."""
    moved: object = node
    if isinstance(node, Span):
        moved = Span(source, node.start, node.end)
    elif isinstance(node, Label):
        moved = Label(_move(node.span, source), node.text)
    elif isinstance(node, tuple):
        moved = tuple(_move(item, source) for item in node)
    elif isinstance(node, Record):
        changes = {name: _move(getattr(node, name), source) for name in get_fields(type(node))}
        moved = replace(node, **changes)
    return cast(T, moved)
