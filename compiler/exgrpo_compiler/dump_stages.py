"""What the stages after parsing hold, as JSON to read and to compare: `exgrpo compile --emit resolved|checked|ir|artifact`.

A dump is the same on every machine: files go by their names without directories, places by line and column.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from exgrpo_artifact.canonical import to_plain
from exgrpo_artifact.record import Record, get_fields
from exgrpo_compiler.ir import CheckedProgram
from exgrpo_compiler.lower.task import lower_task
from exgrpo_compiler.program import Binding, Key, ModuleAlias, Program
from exgrpo_compiler.source import Span


def dump_resolved(program: Program) -> str:
    """Modules in loading order, what every name in them means, and the declarations."""
    modules = {
        _name_module(name): {
            "edition": module.spec.edition,
            "scope": {word: _show_binding(binding) for word, binding in module.scope.items()},
        }
        for name, module in program.modules.items()
    }
    declarations = {
        _name_key(key): {"kind": decl.kind, "at": _show_span(decl.span), "damaged": decl.is_damaged}
        for key, decl in program.decls.items()
    }
    tests = [
        {"module": _name_module(module), "title": decl.name.text, "at": _show_span(decl.span)}
        for module, decl in program.tests
    ]
    entry = _name_module(program.entry)
    return _dump({"entry": entry, "modules": modules, "declarations": declarations, "tests": tests})


def dump_checked(program: CheckedProgram) -> str:
    """Every declaration as it was checked; one that is broken is null."""
    return _dump(
        {
            "edition": program.edition,
            "tasks": {name: _name_key(key) for name, key in program.tasks.items()},
            "declarations": {_name_key(key): _show(value) for key, value in program.known.items()},
            "tests": [_show(test) for test in program.tests],
        }
    )


def dump_ir(program: CheckedProgram, tasks: Sequence[str]) -> str:
    """Tasks as they are lowered: all that an artifact holds but its hashes and provenance. The program has no errors."""
    lowered = {}
    for name in tasks:
        task = lower_task(program, name)
        plain = {part: to_plain(getattr(task, part)) for part in get_fields(type(task)) if part != "sources"}
        lowered[name] = plain
    return _dump(lowered)


def dump_artifact(artifacts: Mapping[str, Mapping[str, str]]) -> str:
    """The files of each task's artifact, one after the other, under their paths."""
    parts = []
    for task, files in artifacts.items():
        for path, text in sorted(files.items()):
            parts.append(f"=== {task}/{path}\n{text}" + ("" if text.endswith("\n") else "\n"))
    return "".join(parts)


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


def _show(value: Any) -> Any:
    if isinstance(value, Span):
        return _show_span(value)
    if isinstance(value, Key):
        return _name_key(value)
    if isinstance(value, Record):
        shown = {name: _show(getattr(value, name)) for name in get_fields(type(value))}
        return {"is": type(value).__name__, **shown}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return {"is": type(value).__name__, **{name: _show(getattr(value, name)) for name in value._fields}}
    if isinstance(value, Mapping):
        return {
            _name_key(key) if isinstance(key, Key) else str(key): _show(item) for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_show(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(_show(item) for item in value)
    return value if value is None or isinstance(value, str | int | float | bool) else repr(value)


def _show_span(span: Span) -> str:
    start, end = span.source.locate(span.start), span.source.locate(span.end)
    return f"{_name_module(span.source.name)}:{start.line}:{start.column}-{end.line}:{end.column}"


def _show_binding(binding: Binding) -> str:
    if isinstance(binding.target, ModuleAlias):
        return f"module {_name_module(binding.target.module)}"
    return _name_key(binding.target)


def _name_key(key: Key) -> str:
    return f"{_name_module(key.module)}:{key.name}"


def _name_module(name: str) -> str:
    return name.replace("\\", "/").rsplit("/", 1)[-1]
