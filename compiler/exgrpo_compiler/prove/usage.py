"""Which names a declaration writes, and which declarations a task, a test or a study needs.

Invariant: a name that could be a use counts as one, so that nothing in use is ever called unused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter
from types import NoneType
from typing import Any

from exgrpo_artifact.named import NamedTuple
from exgrpo_artifact.record import Record, get_fields
from exgrpo_compiler import ast
from exgrpo_compiler.program import Module

ROOTS = ("task", "test", "study")


def find_names(node: Any) -> set[str]:
    """Every name that a part of the tree may mean a declaration by."""
    found: set[str] = set()
    waiting = [node]
    while waiting:
        one = waiting.pop()
        kind = type(one)
        if kind is tuple:
            waiting += one
        elif kind is ast.Ref:
            found.add(one.name)
        elif kind is ast.Name:
            found.add(one.text)
        elif kind is ast.TypeExpr:
            found.add(one.name.partition(".")[0])
            waiting += (one.arguments, one.element)
        elif kind is not str and kind is not NoneType:
            read = _READERS.get(kind)
            if read is None:
                read = _READERS[kind] = _make_reader(kind)
            waiting += read(one)
    return found


_PLAIN = frozenset({"str", "bool", "int", "float", "str | None"})
"""Types of fields that hold no name."""
_READERS: dict[type, Callable[[Any], tuple[Any, ...]]] = {}
"""Type of a node -> what gives its parts; filled as types are met."""


def _make_reader(kind: type) -> Callable[[Any], tuple[Any, ...]]:
    """A reader of all that can hold a name: not a node's own name, its span, its documentation."""
    if not issubclass(kind, Record) or issubclass(kind, ast.Text):
        return lambda _: ()
    names = ["value"] if issubclass(kind, ast.Attribute) else _list_parts(kind)
    get = attrgetter(*names) if names else lambda _: ()
    return (lambda one: (get(one),)) if len(names) == 1 else get


def _list_parts(kind: type[Record]) -> list[str]:
    """Fields of a node that are looked into."""
    own = () if issubclass(kind, ast.DropStmt) else ("name",)
    plain = {name for name, type_ in kind.__annotations__.items() if type_ in _PLAIN}
    return [name for name in get_fields(kind) if name not in ("span", "doc", *own, *plain)]


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
