"""Paths from outside into a spec: what `train.steps`, `gsm8k.source` or `invert.in_reach` name, and how to change it.

One reading of paths serves `--set` and the variants of a study. A path begins with the name of a declaration, or of a stage of
the tasks at hand; a qualified one (`task.stage.key`) is never ambiguous.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from exgrpo_artifact.named import NamedTuple
from exgrpo_artifact.record import replace
from exgrpo_compiler.ast import (
    Argument,
    Assign,
    Block,
    Call,
    Configured,
    Decl,
    Entry,
    Expr,
    FieldStmt,
    GroupBlock,
    KeepStmt,
    Name,
    NamedStmt,
    Record,
    Ref,
    Stmt,
)
from exgrpo_compiler.builtins import BLOCKS_OF_MODEL, MODEL_ARGUMENTS, MODEL_SETTINGS, STAGES
from exgrpo_compiler.check.forms import FORMS
from exgrpo_compiler.program import Key, Program
from exgrpo_compiler.source import Span

Path = tuple[str, ...]


class Target(NamedTuple):
    """A place in a declaration."""

    key: Key
    path: Path
    """Below the declaration; empty for its whole value."""

    @property
    def qualified(self) -> str:
        """How to name it without ambiguity."""
        return ".".join((self.key.name, *self.path))


def find_targets(program: Program, module: str, path: Path, task: Key | None = None) -> list[Target]:
    """Everything that the path may mean; `task` limits whose stages count."""
    found: list[Target] = []
    head = program.find(module, path[0])
    if isinstance(head, Key) and head in program.decls and _can_set(program.decls[head], path[1:]):
        found.append(Target(head, path[1:]))
    for key in _get_tasks(program, module, task):
        target = Target(key, path)
        if (
            target not in found
            and path[0] in list_stages(program, key)
            and _can_set(program.decls[key], path)
        ):
            found.append(target)
    return found


def may_be_lost(program: Program, module: str, path: Path, task: Key | None = None) -> bool:
    """Whether what the path names may have stood in text that could not be read, which was reported."""
    head = program.find(module, path[0])
    near = [*_get_tasks(program, module, task), *([head] if isinstance(head, Key) else [])]
    if path[0] in program.modules[module].spec.lost_names:
        return True
    if any(_is_unknown_stage(program, key, path[0]) for key in _get_tasks(program, module, task)):
        return True
    return any(program.decls[key].is_damaged for key in near if key in program.decls)


def _is_unknown_stage(program: Program, task: Key, name: str) -> bool:
    """Whether the task has a stage of this name that is none of the stages there are, which was reported."""
    block = program.decls[task].block
    for item in block.statements if block is not None else ():
        if isinstance(item, NamedStmt) and item.name.text == name and isinstance(item.value, Call):
            function = item.value.function
            known = isinstance(function, Ref) and (
                function.name in STAGES or program.find(task.module, function.name) is not None
            )
            return not known
    return False


def list_stages(program: Program, task: Key) -> list[str]:
    """Names of a task's stages."""
    block = program.decls[task].block
    return [item.name.text for item in block.statements if isinstance(item, NamedStmt)] if block else []


def list_paths(program: Program, module: str, task: Key | None = None) -> list[str]:
    """Every path of one or two names that can be set, for suggestions."""
    paths: list[str] = []
    for name in program.names_of(module):
        key = program.find(module, name)
        assert isinstance(key, Key)
        decl = program.decls[key]
        if decl.kind in ("model", "const"):
            paths.append(name)
        paths.extend(f"{name}.{member}" for member in _list_members(decl))
    for key in _get_tasks(program, module, task):
        for stage in _list_statements(program.decls[key], NamedStmt):
            assert isinstance(stage, NamedStmt)
            paths.append(stage.name.text)
            paths.extend(f"{stage.name.text}.{setting}" for setting in STAGES[_get_stage_kind(stage.value)])
    return list(dict.fromkeys(paths))


def set_value(decl: Decl, path: Path, value: Expr) -> Decl | None:
    """The declaration with the value at `path` replaced, or None where the path leads nowhere."""
    if not path:
        return replace(decl, value=value) if decl.kind in ("model", "const") else None
    if decl.kind == "model" and decl.value is not None:
        changed = _set_in_model(decl.value, path, value)
        return replace(decl, value=changed) if changed is not None else None
    if decl.block is None:
        return None
    block = _set_in_block(decl, decl.block, path, value)
    return replace(decl, block=block) if block is not None else None


def turn_off(decl: Decl, path: Path) -> Decl | None:
    """The declaration without the filter or stage at `path`, or None where that is neither."""
    if decl.block is None or len(path) != 1:
        return None
    for index, statement in enumerate(decl.block.statements):
        is_stage = (
            isinstance(statement, NamedStmt)
            and statement.keyword == "stage"
            and statement.name.text == path[0]
        )
        if is_stage or (isinstance(statement, KeepStmt) and _get_keep_name(decl.block, statement) == path[0]):
            return replace(decl, block=_replace_statement(decl.block, index, None))
    return None


def is_term(decl: Decl, path: Path) -> bool:
    """Whether the path names a term of a reward."""
    return (
        decl.kind == "reward"
        and len(path) == 1
        and path[0] in _list_members(decl)
        and path[0] != "on_failure"
    )


# --- reading ------------------------------------------------------------------------------------------------


def _get_tasks(program: Program, module: str, task: Key | None) -> list[Key]:
    return [task] if task is not None else [key for key in program.keys_of("task") if key.module == module]


def _can_set(decl: Decl, path: Path) -> bool:
    return set_value(decl, path, Ref("_", decl.span)) is not None


def _list_members(decl: Decl) -> Iterator[str]:
    if decl.kind == "model" and decl.value is not None:
        kind = _get_kind(decl.value)
        for table in (MODEL_ARGUMENTS, MODEL_SETTINGS, BLOCKS_OF_MODEL):
            yield from table.get(kind, {})
        return
    form = FORMS.get(decl.kind)
    if form is None or decl.block is None:
        return
    yield from form.keys
    for statement in decl.block.statements:
        if isinstance(statement, Assign) and form.takes_any_key and len(statement.path) == 1:
            yield statement.path[0].text
        elif isinstance(statement, NamedStmt | FieldStmt):
            yield statement.name.text
        elif isinstance(statement, KeepStmt):
            yield _get_keep_name(decl.block, statement)


def _list_statements(decl: Decl, kind: type[Stmt]) -> list[Stmt]:
    return [item for item in decl.block.statements if isinstance(item, kind)] if decl.block else []


def _get_keep_name(block: Block, statement: KeepStmt) -> str:
    if statement.name is not None:
        return statement.name.text
    keeps = [item for item in block.statements if isinstance(item, KeepStmt)]
    return f"{statement.subject.text}_{keeps.index(statement) + 1}"


def _get_kind(expr: Expr) -> str:
    head = expr.value if isinstance(expr, Configured) else expr
    function = head.function if isinstance(head, Call) else head
    return function.name if isinstance(function, Ref) else ""


def _get_stage_kind(expr: Expr) -> str:
    kind = _get_kind(expr)
    return kind if kind in STAGES else "probe"


# --- writing ------------------------------------------------------------------------------------------------


def _replace_statement(block: Block, index: int, statement: Stmt | None) -> Block:
    kept = (statement,) if statement is not None else ()
    return replace(block, statements=(*block.statements[:index], *kept, *block.statements[index + 1 :]))


def _set_in_block(decl: Decl, block: Block, path: Path, value: Expr) -> Block | None:
    for index, statement in enumerate(block.statements):
        changed: Stmt | None = None
        if isinstance(statement, Assign) and len(statement.path) == 1 and statement.path[0].text == path[0]:
            inner = _set_below(statement.value, path[1:], value)
            changed = replace(statement, value=inner) if inner is not None else None
        elif isinstance(statement, NamedStmt) and statement.name.text == path[0]:
            is_stage = statement.keyword == "stage"
            inner = (_set_in_stage if is_stage else _set_below)(statement.value, path[1:], value)
            changed = replace(statement, value=inner) if inner is not None else None
        elif isinstance(statement, FieldStmt) and statement.name.text == path[0] and len(path) == 1:
            changed = replace(statement, value=value)
        elif (
            isinstance(statement, KeepStmt) and _get_keep_name(block, statement) == path[0] and len(path) == 1
        ):
            changed = replace(statement, condition=value)
        if changed is not None:
            return _replace_statement(block, index, changed)
    form = FORMS.get(decl.kind)
    if form is not None and len(path) == 1 and path[0] in form.keys and not _holds(block, path[0]):
        return _add_assign(block, path[0], value)
    return None


def _holds(block: Block, key: str) -> bool:
    return any(isinstance(item, Assign) and item.path[0].text == key for item in block.statements)


def _add_assign(block: Block, key: str, value: Expr) -> Block:
    name = Name(key, value.span)
    return replace(block, statements=(*block.statements, Assign((name,), value, "", value.span)))


def _set_below(expr: Expr, path: Path, value: Expr) -> Expr | None:
    """A value, or a place in a record."""
    if not path:
        return value
    if not isinstance(expr, Record):
        return None
    for index, entry in enumerate(expr.entries):
        if entry.key.text == path[0]:
            inner = _set_below(entry.value, path[1:], value)
            if inner is None:
                return None
            changed = replace(entry, value=inner)
            return replace(expr, entries=(*expr.entries[:index], changed, *expr.entries[index + 1 :]))
    if len(path) > 1:
        return None
    return replace(expr, entries=(*expr.entries, Entry(Name(path[0], value.span), value, value.span)))


def _set_in_stage(expr: Expr, path: Path, value: Expr) -> Expr | None:
    if not path:
        return value
    if not isinstance(expr, Call):
        return None
    settings = STAGES[_get_stage_kind(expr)]
    positional = "" if _get_stage_kind(expr) == "probe" else next(iter(settings))
    return _set_argument(expr, path, value, list(settings), positional)


def _set_argument(call: Call, path: Path, value: Expr, names: Sequence[str], positional: str) -> Expr | None:
    if path[0] not in names:
        return None
    for index, argument in enumerate(call.arguments):
        name = argument.name.text if argument.name is not None else positional
        if name != path[0]:
            continue
        inner = _set_below(argument.value, path[1:], value)
        if inner is None:
            return None
        changed = replace(argument, value=inner)
        return replace(call, arguments=(*call.arguments[:index], changed, *call.arguments[index + 1 :]))
    if len(path) > 1:
        return None
    added = Argument(Name(path[0], value.span), value, value.span)
    return replace(call, arguments=(*call.arguments, added))


def _set_in_model(expr: Expr, path: Path, value: Expr) -> Expr | None:
    head = expr.value if isinstance(expr, Configured) else expr
    block = expr.block if isinstance(expr, Configured) else Block((), _at_end(expr.span))
    kind = _get_kind(expr)
    if path[0] in MODEL_ARGUMENTS.get(kind, {}):
        if not isinstance(head, Call):
            return None
        names = list(MODEL_ARGUMENTS[kind])
        changed = _set_argument(head, path, value, names, names[0])
        if changed is None:
            return None
        return replace(expr, value=changed) if isinstance(expr, Configured) else changed
    new_block = None
    if path[0] in MODEL_SETTINGS.get(kind, {}) and len(path) == 1:
        new_block = _set_assign(block, path[0], value)
    elif (
        path[0] in BLOCKS_OF_MODEL.get(kind, {})
        and len(path) == 2
        and path[1] in BLOCKS_OF_MODEL[kind][path[0]]
    ):
        new_block = _set_in_group(block, path[0], path[1], value)
    if new_block is None:
        return None
    return (
        replace(expr, block=new_block)
        if isinstance(expr, Configured)
        else Configured(head, new_block, expr.span)
    )


def _set_assign(block: Block, key: str, value: Expr) -> Block:
    for index, statement in enumerate(block.statements):
        if isinstance(statement, Assign) and statement.path[0].text == key:
            return _replace_statement(block, index, replace(statement, value=value))
    return _add_assign(block, key, value)


def _set_in_group(block: Block, keyword: str, key: str, value: Expr) -> Block:
    for index, statement in enumerate(block.statements):
        if isinstance(statement, GroupBlock) and statement.keyword.text == keyword:
            changed = replace(statement, block=_set_assign(statement.block, key, value))
            return _replace_statement(block, index, changed)
    inner = _add_assign(Block((), value.span), key, value)
    group = GroupBlock(Name(keyword, value.span), None, inner, "", value.span)
    return replace(block, statements=(*block.statements, group))


def _at_end(span: Span) -> Span:
    return Span(span.source, span.end, span.end)
