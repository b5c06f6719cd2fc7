"""Which names a declaration writes, and which declarations a task, a test or a study needs.

Invariant: a name that could be a use counts as one, so that nothing in use is ever called unused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from exgrpo_artifact.record import Record
from exgrpo_compiler import ast
from exgrpo_compiler.program import Module

ROOTS = ("task", "test", "study")


def find_names(node: Any) -> set[str]:
    """Every name that a part of the tree may mean a declaration by."""
    found: set[str] = set()
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if isinstance(one, tuple):
            waiting += one
        elif isinstance(one, ast.Ref):
            found.add(one.name)
        elif isinstance(one, ast.TypeExpr):
            found.add(one.name.partition(".")[0])
            waiting += (one.arguments, one.element)
        elif isinstance(one, ast.Name):
            found.add(one.text)
        elif isinstance(one, ast.Attribute):
            waiting.append(one.value)
        elif isinstance(one, Record) and not isinstance(one, ast.Text):
            waiting += _iterate_parts(one)
    return found


def _iterate_parts(node: Record) -> Iterator[Any]:
    """Its parts but its own name, its span and what is plain."""
    for name in type(node).record_fields:
        if name in ("span", "doc") or (name == "name" and not isinstance(node, ast.DropStmt)):
            continue
        value = getattr(node, name)
        if isinstance(value, tuple | Record):
            yield value


def find_needed(module: Module) -> tuple[set[str], Mapping[str, set[str]]]:
    """Names of the file's declarations that its tasks, tests and studies need, and what each declaration names."""
    named = {decl.name.text: find_names(decl) for decl in module.spec.decls if decl.kind not in ROOTS}
    needed: set[str] = set()
    waiting = [name for decl in module.spec.decls if decl.kind in ROOTS for name in find_names(decl)]
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += named.get(name, ())
    return needed, named
