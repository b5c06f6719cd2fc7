"""Which names a declaration writes, and which declarations a task, a test or a study needs.

Invariant: a name that could be a use counts as one, so that nothing in use is ever called unused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

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


class Usage(NamedTuple):
    """What the declarations of a file name."""

    needed: set[str]
    """All that its tasks, tests and studies need, directly or not."""
    named: Mapping[str, set[str]]
    """Declaration -> the names in it; without tasks, tests and studies."""
    written: set[str]
    """Every name in the file."""


def find_usage(module: Module) -> Usage:
    """The usage of names in a file."""
    named = {decl.name.text: find_names(decl) for decl in module.spec.decls if decl.kind not in ROOTS}
    needed: set[str] = set()
    roots = [name for decl in module.spec.decls if decl.kind in ROOTS for name in find_names(decl)]
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += named.get(name, ())
    return Usage(needed, named, set().union(roots, *named.values()))
