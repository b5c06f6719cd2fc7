"""What stands between `{` and `}`: a block of statements or a record of values.

A block holds statements (`name = value`), a record holds entries (`name: value`). The grammar takes both, and
here the wrong one is reported, once for each pair of braces, and read as what its place asks for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from exgrpo_artifact.named import NamedTuple
from exgrpo_compiler.ast import Assign, Block, Configured, Entry, Expr, Record, Stmt
from exgrpo_compiler.diagnostics import Diagnostic, Edit, Fix, Label
from exgrpo_compiler.source import Span
from exgrpo_compiler.syntax.tokens import get_span
from exgrpo_compiler.syntax.tree import Token

Member = Stmt | Entry | Token


class Braces(NamedTuple):
    """Members in order, separators (tokens `,` and `;`) among them."""

    members: tuple[Member, ...]
    span: Span


class ReadBlock(NamedTuple):
    """A block and what was wrong with it."""

    value: Block
    diagnostics: tuple[Diagnostic, ...]


class ReadExpr(NamedTuple):
    """A record or configured expression and what was wrong with it."""

    value: Expr
    diagnostics: tuple[Diagnostic, ...]


def read_block(braces: Braces) -> ReadBlock:
    """Braces where only statements belong."""
    problems: list[Diagnostic] = []
    entry = _find_first(braces, Entry)
    if entry is not None:
        problems.append(_report_entry_in_block(cast(Entry, entry), _find_first(braces, Assign), braces))
    else:
        problems.extend(_check_block_separators(braces))
    statements = tuple(
        _turn_to_assign(member) if isinstance(member, Entry) else member
        for member in braces.members
        if not isinstance(member, Token)
    )
    return ReadBlock(Block(statements, braces.span), tuple(problems))


def read_record(braces: Braces, tag: Expr | None, span: Span) -> ReadExpr:
    """Braces where only a record belongs."""
    problems: list[Diagnostic] = []
    entries: list[Entry] = []
    for member in braces.members:
        if isinstance(member, Entry):
            entries.append(member)
        elif not isinstance(member, Token) and not problems:
            problems.append(_report_statement_in_record(member, _find_first(braces, Entry), braces))
        if isinstance(member, Assign) and len(member.path) == 1:
            entries.append(Entry(member.path[0], member.value, member.span))
    if not problems:
        problems.extend(_check_record_separators(braces))
    return ReadExpr(Record(tag, tuple(entries), span), tuple(problems))


def read_braced(value: Expr, braces: Braces, span: Span) -> ReadExpr:
    """`value { … }`: a tagged record if an entry comes first, settings otherwise."""
    first = next((member for member in braces.members if not isinstance(member, Token)), None)
    if isinstance(first, Entry):
        return read_record(braces, value, span)
    block, problems = read_block(braces)
    return ReadExpr(Configured(value, block, span), problems)


def _find_first(braces: Braces, kind: type[Entry] | type[Assign]) -> Entry | Assign | None:
    return next((member for member in braces.members if isinstance(member, kind)), None)


def _turn_to_assign(entry: Entry) -> Assign:
    return Assign((entry.key,), entry.value, "", entry.span)


def _report_entry_in_block(entry: Entry, statement: Entry | Assign | None, braces: Braces) -> Diagnostic:
    name = entry.key.text
    labels = () if statement is None else (Label(statement.span, "this is a statement"),)
    return Diagnostic(
        "mixed-braces",
        "error",
        f"`{name}: …` is a record's entry, but these braces hold statements.",
        entry.key.span,
        labels,
        f"write `{name} = …`",
        _build_sign_fix(braces, Entry, ":", " ="),
    )


def _report_statement_in_record(statement: Stmt, entry: Entry | Assign | None, braces: Braces) -> Diagnostic:
    fix = None
    labels = () if entry is None else (Label(entry.span, "this is an entry"),)
    if isinstance(statement, Assign):
        name = ".".join(part.text for part in statement.path)
        message = f"`{name} = …` is a statement, but these braces hold a record."
        hint = f"write `{name}: …`"
        span = statement.path[0].span.to(statement.path[-1].span)
        fix = _build_sign_fix(braces, Assign, "=", ":")
    else:
        message = "This is a statement, but these braces hold a record."
        hint = "a record holds entries, written `name: value`"
        span = statement.span
    return Diagnostic("mixed-braces", "error", message, span, labels, hint, fix)


def _build_sign_fix(braces: Braces, kind: type[Entry] | type[Assign], old: str, new: str) -> Fix | None:
    """The other sign after the name of every member of a kind; None where one has no plain name."""
    edits: list[Edit] = []
    source = braces.span.source
    for member in braces.members:
        if not isinstance(member, kind):
            continue
        if isinstance(member, Assign) and len(member.path) > 1:
            return None
        name = member.path[0] if isinstance(member, Assign) else member.key
        between = source.text[name.span.end : member.value.span.start]
        at = name.span.end + len(between) - len(between.lstrip())
        if not source.text.startswith(old, at):
            return None
        edits.append(Edit(Span(source, name.span.end, at + 1), new))
    return Fix(f"write `{new.strip()}`", tuple(edits), is_safe=True)


def _check_block_separators(braces: Braces) -> Sequence[Diagnostic]:
    for member in braces.members:
        if isinstance(member, Token) and member.type == "COMMA":
            span = get_span(braces.span.source, member)
            message = "Statements are separated by line breaks or `;`, not by `,`."
            fix = _build_separator_fix(braces, "COMMA", ";")
            return (Diagnostic("syntax-error", "error", message, span, hint=fix.title, fix=fix),)
    return ()


def _check_record_separators(braces: Braces) -> Sequence[Diagnostic]:
    source = braces.span.source
    previous: Member | None = None
    for member in braces.members:
        if isinstance(member, Token):
            if member.start == member.end:
                continue
            if member.type == "SEMICOLON":
                message = "Entries of a record are separated by `,`, not by `;`."
                fix = _build_separator_fix(braces, "SEMICOLON", ",")
                return (
                    Diagnostic(
                        "syntax-error", "error", message, get_span(source, member), hint=fix.title, fix=fix
                    ),
                )
            if not isinstance(previous, Entry):
                message = "Expected an entry before this `,`."
                return (Diagnostic("syntax-error", "error", message, get_span(source, member)),)
        elif isinstance(previous, Entry):
            span = Span(source, previous.span.end, previous.span.end)
            message = f"Expected `,` after the entry `{previous.key.text}`."
            fix = Fix("write `,`", _build_commas(braces), is_safe=True)
            return (Diagnostic("syntax-error", "error", message, span, hint=fix.title, fix=fix),)
        previous = member
    return ()


def _build_separator_fix(braces: Braces, terminal: str, separator: str) -> Fix:
    """Another separator in place of every one of a kind."""
    tokens = (member for member in braces.members if isinstance(member, Token) and member.type == terminal)
    edits = tuple(
        Edit(get_span(braces.span.source, token), separator) for token in tokens if token.start < token.end
    )
    return Fix(f"write `{separator}`", edits, is_safe=True)


def _build_commas(braces: Braces) -> tuple[Edit, ...]:
    """A comma after every entry that another one follows without."""
    source = braces.span.source
    pairs = zip(braces.members, braces.members[1:], strict=False)
    ends = [one.span.end for one, other in pairs if isinstance(one, Entry) and isinstance(other, Entry)]
    return tuple(Edit(Span(source, end, end), ",") for end in ends)


def build_statements_fix(record: Record) -> Fix | None:
    """A record's entries as the statements of a block: `=` for `:`, and `;` or a line break for `,`."""
    if not record.entries:
        return None
    source = record.span.source
    edits: list[Edit] = []
    ends = [*(entry.span.start for entry in record.entries[1:]), record.span.end - 1]
    for entry, end in zip(record.entries, ends, strict=True):
        colon = source.text.find(":", entry.key.span.end, entry.value.span.start)
        after = source.text[entry.span.end : end]
        if colon < 0 or "//" in source.text[entry.key.span.end : entry.value.span.start]:
            return None
        edits.append(Edit(Span(source, entry.key.span.end, colon + 1), " ="))
        comma = after.partition("//")[0].find(",")
        if comma >= 0:
            place = Span(source, entry.span.end + comma, entry.span.end + comma + 1)
            edits.append(Edit(place, "" if "\n" in after else ";"))
    return Fix("write statements, `name = value`", tuple(edits), is_safe=True)
