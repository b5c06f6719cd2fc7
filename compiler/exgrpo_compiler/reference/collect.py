"""What a reference tells of each declaration: its documentation, its facts, what it names and what names it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from exgrpo_artifact.canonical import to_plain
from exgrpo_artifact.record import Record, get_fields
from exgrpo_compiler.ast import Decl, KeepStmt, NamedStmt, Ref, TypeExpr
from exgrpo_compiler.draw.reward import draw_reward, infer_reward
from exgrpo_compiler.draw.svg import render_svg
from exgrpo_compiler.ir import (
    CheckedAnswer,
    CheckedDataset,
    CheckedDialogue,
    CheckedModel,
    CheckedProbes,
    CheckedProgram,
    CheckedReward,
    CheckedRubric,
    CheckedRule,
    CheckedTask,
)
from exgrpo_compiler.program import Key, Program
from exgrpo_compiler.prove.interval import describe_interval
from exgrpo_compiler.source import Span
from exgrpo_compiler.value_types import describe_type


class Link(Record):
    """A place in a source that names a declaration."""

    span: Span
    target: Key


class Table(Record):
    """Facts of one kind: rows of texts under headings."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class Described(Record):
    """A declaration as the reference tells it."""

    key: Key
    kind: str
    title: str
    header: Span
    """The text up to the first brace."""
    doc: str
    prose: tuple[tuple[str, str], ...]
    """Longer texts by what they are: an instruction, a prompt."""
    tables: tuple[Table, ...]
    picture: str | None
    """SVG, of a reward."""
    span: Span
    links: tuple[Link, ...]


class DescribedModule(Record):
    """A file."""

    name: str
    """As its source is called."""
    described: tuple[Described, ...]
    is_broken: bool


def describe_module(program: Program, checked: CheckedProgram, *, is_broken: bool) -> DescribedModule:
    """All declarations of the entry file, in source order."""
    found = [
        _describe(program, checked, key, decl)
        for key, decl in program.decls.items()
        if key.module == program.entry
    ]
    found += [
        _describe(program, checked, Key(module, f"test {number}"), decl)
        for number, (module, decl) in enumerate(program.tests, 1)
        if module == program.entry
    ]
    found.sort(key=lambda one: one.span.start)
    return DescribedModule(program.entry, tuple(found), is_broken)


def _describe(program: Program, checked: CheckedProgram, key: Key, decl: Decl) -> Described:
    value = checked.known.get(key)
    prose, tables, picture = _describe_value(checked, key, value)
    text = decl.span.source.text[decl.span.start : decl.span.end]
    end = text.find("{")
    start = max(text.find(f"{decl.kind} "), 0)
    header = Span(
        decl.span.source, decl.span.start + start, decl.span.start + (end if end > start else len(text))
    )
    return Described(
        key,
        decl.kind,
        decl.name.text,
        header,
        decl.doc,
        prose,
        (*tables, *_describe_statements(decl)),
        picture,
        decl.span,
        tuple(_find_links(program, key, decl)),
    )


_Facts = tuple[tuple[tuple[str, str], ...], tuple[Table, ...], str | None]


def _describe_value(checked: CheckedProgram, key: Key, value: Any) -> _Facts:
    match value:
        case CheckedRule():
            params = tuple(
                (param.name, describe_type(param.type), "secret" if param.secret else "")
                for param in value.params
            )
            tables = [Table("Asks a dataset for", ("field", "type", ""), params)] if params else []
            if value.examples:
                tables.append(Table("Examples", ("question", "probe"), value.examples))
            prose = [("Instruction", value.instruction)]
            if value.reveals:
                prose.append(("States on purpose", ", ".join(value.reveals)))
            return tuple(prose), tuple(tables), None
        case CheckedDataset():
            fields = tuple(
                (
                    field.name,
                    describe_type(field.type),
                    "secret" if field.secret else "",
                    _quote(field.value.span),
                )
                for field in value.fields
            )
            prose = [("License", value.license)] if value.license else []
            return tuple(prose), (Table("Fields", ("name", "type", "", "from"), fields),), None
        case CheckedProbes():
            rows = tuple(
                (one.name, describe_type(one.type), "open" if one.open else "", one.doc)
                for one in value.yields
            )
            tables = [Table("Yields", ("field", "type", "", ""), rows), _describe_asking(value)]
            return (("Prompt", value.prompt.text),), tuple(tables), None
        case CheckedDialogue():
            turns = tuple(
                (one.name, one.answer.kind if one.answer else "", "for each probe" if one.in_loop else "")
                for one in value.exchanges
            )
            return (), (Table("Assistant turns", ("turn", "answer", ""), turns),), None
        case CheckedReward():
            return (
                (),
                (_describe_terms(checked, key, value),),
                render_svg([draw_reward(checked, key)], is_embedded=True),
            )
        case CheckedRubric():
            low, high = value.scale
            return (("Text", value.text.text), ("Scale", f"{low:g} to {high:g}")), (), None
        case CheckedModel() | CheckedAnswer():
            plain = to_plain(value.model if isinstance(value, CheckedModel) else value.spec)
            return (), (Table("Settings", ("name", "value"), tuple(_flatten(plain))),), None
        case CheckedTask():
            stages = tuple((stage.name, str(stage.kind), _quote(stage.span)) for stage in value.stages)
            return (), (Table("Stages", ("name", "kind", ""), stages),), None
    return (), (), None


def _describe_asking(probes: CheckedProbes) -> Table:
    how = "all rules of a row at once" if probes.ask == "together" else "each rule by itself"
    kept = "all that pass" if probes.per_rule is None else f"the first {probes.per_rule} that pass"
    rows = (("requests", how), ("answers to each", str(probes.samples)), ("kept of each rule", kept))
    return Table("How the teacher is asked", ("", ""), rows)


def _flatten(plain: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Settings by dotted name, those that are not set left out."""
    for name, value in plain.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{before}{name}.")
        elif isinstance(value, list) and value:
            yield f"{before}{name}", ", ".join(map(str, value))
        elif value not in (None, [], ""):
            yield f"{before}{name}", str(value)


def _describe_terms(checked: CheckedProgram, key: Key, reward: CheckedReward) -> Table:
    intervals = infer_reward(checked, key).intervals
    rows = tuple(
        (name, _quote(tree.span), tree.level, describe_interval(intervals[name]))
        for name, tree in reward.terms.items()
    )
    low, high = reward.range
    return Table(
        f"Terms; the total is declared {low:g}..{high:g}", ("term", "formula", "level", "comes to"), rows
    )


def _describe_statements(decl: Decl) -> tuple[Table, ...]:
    statements = decl.block.statements if decl.block is not None else ()
    keeps = tuple(
        (one.name.text if one.name else "", one.subject.text, _quote(one.condition.span))
        for one in statements
        if isinstance(one, KeepStmt)
    )
    named = [one for one in statements if isinstance(one, NamedStmt)]
    scenarios = tuple((one.name.text, _quote(one.value.span)) for one in named if one.keyword == "scenario")
    splits = tuple((one.name.text, _quote(one.value.span)) for one in named if one.keyword == "split")
    tables = (
        Table("Filters", ("name", "of", "kept where"), keeps),
        Table("Scenarios", ("name", "cut"), scenarios),
        Table("Splits", ("name", "part"), splits),
    )
    return tuple(table for table in tables if table.rows)


def _quote(span: Span) -> str:
    return " ".join(span.source.text[span.start : span.end].split())


# --- names --------------------------------------------------------------------------------------------------


def _find_links(program: Program, key: Key, decl: Decl) -> Iterator[Link]:
    """Every name in the declaration that stands for another one; its own parameters stand for themselves."""
    own = {param.name.text for param in decl.params} | {decl.name.text}
    for node in _walk(decl):
        name = node.name
        span = (
            node.span
            if isinstance(node, Ref)
            else Span(node.span.source, node.span.start, node.span.start + len(name))
        )
        if isinstance(node, Ref) and name in own:
            continue
        target = program.find(key.module, name)
        if isinstance(target, Key) and target in program.decls:
            yield Link(span, target)


def _walk(node: Any) -> Iterator[Ref | TypeExpr]:
    if isinstance(node, Ref | TypeExpr):
        yield node
    if isinstance(node, Record) and not isinstance(node, Span):
        for name in get_fields(type(node)):
            yield from _walk(getattr(node, name))
    elif isinstance(node, tuple):
        for item in node:
            yield from _walk(item)


def find_users(modules: Mapping[str, DescribedModule]) -> dict[Key, tuple[Key, ...]]:
    """Declaration -> those that name it, in the order of the modules."""
    users: dict[Key, dict[Key, None]] = {}
    for module in modules.values():
        for one in module.described:
            for link in one.links:
                if link.target != one.key:
                    users.setdefault(link.target, {})[one.key] = None
    return {key: tuple(found) for key, found in users.items()}
