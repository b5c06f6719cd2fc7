"""Which values reach a template's output: the information flow inside of one template.

A value flows where it is printed, where it is kept by `set` or taken by `for` and then printed, and where it decides what is
printed: the condition of an `if` or of `a if c else b`, the number of elements that a loop goes over. A condition counts only
if something can be printed under it, or a name that it gave a value is printed later. `declassify` ends a flow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from exgrpo_artifact.record import replace
from exgrpo_compiler.template.findings import Clearance, Read, Step
from exgrpo_compiler.template.nodes import (
    Assigned,
    Chosen,
    Compared,
    Computed,
    Constant,
    Data,
    Decided,
    Declassified,
    Field,
    Filtered,
    Joined,
    Listed,
    Logical,
    Looped,
    NameRead,
    Negated,
    Printed,
    Refused,
    Statement,
    Value,
)

Flows = tuple[Read, ...]
Scope = dict[str, Flows]


class FlowFinder:
    """Walks a template that was checked. `reads` and `clearances` are what it found."""

    def __init__(self, text: str, names: Iterable[str]) -> None:
        self.text = text
        self.names = frozenset(names)
        self.clearances: dict[int, Clearance] = {}
        self._found: dict[tuple[int, str, str], Read] = {}
        self._deciding: list[Read] = []

    @property
    def reads(self) -> Flows:
        """Every read that reaches the output, by place."""
        return tuple(sorted(self._found.values(), key=lambda read: (read.start, read.root, read.attribute)))

    def walk(self, body: Sequence[Statement]) -> None:
        """Follows the statements of a whole template."""
        self._walk(body, {})

    def _walk(self, body: Sequence[Statement], scope: Scope) -> None:
        for statement in body:
            match statement:
                case Data():
                    self._emit(())
                case Printed():
                    self._emit(self.find_flows(statement.value, scope))
                case Assigned():
                    flows = self.find_flows(statement.value, scope)
                    scope[statement.name] = _keep(flows, f"it is kept as `{statement.name}` here")
                case Decided():
                    self._walk_decided(statement, scope)
                case Looped():
                    self._walk_loop(statement, scope)

    def _emit(self, flows: Flows) -> None:
        for read in (*flows, *self._deciding):
            self._found.setdefault((read.start, read.root, read.attribute), read)

    def _walk_decided(self, node: Decided, scope: Scope) -> None:
        depth = len(self._deciding)
        scopes: list[Scope] = []
        for branch in node.branches:
            self._deciding.extend(_mark(self.find_flows(branch.test, scope)))
            scopes.append(dict(scope))
            self._walk(branch.body, scopes[-1])
        scopes.append(dict(scope))
        self._walk(node.otherwise or (), scopes[-1])
        tests = tuple(self._deciding[depth:])
        del self._deciding[depth:]
        for name in _find_assigned(node):
            kept = _keep(tests, f"it decides what `{name}` is here")
            scope[name] = _join(*(inner.get(name, ()) for inner in scopes), kept)

    def _walk_loop(self, node: Looped, scope: Scope) -> None:
        items = self.find_flows(node.items, scope)
        elements = _keep(items, f"each of its elements is `{node.name}` here")
        inner = {**scope, node.name: elements}
        depth = len(self._deciding)
        if node.test is not None:
            self._deciding.extend(_mark(self.find_flows(node.test, inner)))
        self._deciding.extend(_mark(items))
        inner["loop"] = _keep(tuple(self._deciding[depth:]), "the loop counts its elements here")
        self._walk(node.body, inner)
        self._walk(node.otherwise, dict(scope))
        del self._deciding[depth:]

    # --- values ----------------------------------------------------------------------------------------

    def find_flows(self, node: Value, scope: Mapping[str, Flows]) -> Flows:
        """What flows into a value, each read with the place in this value where it stands."""
        match node:
            case NameRead():
                return self._find_name(node, scope)
            case Field():
                return self._find_field(node, scope)
            case Constant():
                return ()
            case Listed() | Joined():
                return self._find_all(node.items, scope)
            case Filtered():
                return self._find_all((node.value, *(item.value for item in node.arguments)), scope)
            case Declassified():
                self._clear(node, scope)
                return ()
            case Chosen():
                tests = _mark(self.find_flows(node.test, scope))
                return _join(tests, self._find_all((node.then, node.otherwise), scope))
            case Logical():
                return self._find_all((node.left, node.right), scope)
            case Negated():
                return self.find_flows(node.value, scope)
            case Compared():
                return self._find_all(node.operands, scope)
            case Computed():
                parts = (node.right,) if node.left is None else (node.left, node.right)
                return self._find_all(parts, scope)
            case Refused():
                return self._find_all(node.parts, scope)

    def _find_all(self, nodes: Sequence[Value], scope: Mapping[str, Flows]) -> Flows:
        return _join(*(self.find_flows(node, scope) for node in nodes))

    def _find_name(self, node: NameRead, scope: Mapping[str, Flows]) -> Flows:
        length = node.end - node.start
        if node.name in scope:
            return tuple(replace(read, start=node.start, length=length) for read in scope[node.name])
        if node.name in self.names:
            return (Read(node.name, "", node.start, length, "shown"),)
        return ()

    def _find_field(self, node: Field, scope: Mapping[str, Flows]) -> Flows:
        length = node.end - node.start
        return tuple(
            replace(read, attribute=read.attribute or node.name, start=node.start, length=length)
            for read in self.find_flows(node.value, scope)
        )

    def _clear(self, node: Declassified, scope: Mapping[str, Flows]) -> None:
        given = [argument for argument in node.arguments if argument.name != "reason"]
        value = given[0].value
        reasons = [item.value for item in node.arguments if item.name == "reason"] or [given[1].value]
        reason = reasons[0]
        assert isinstance(reason, Constant), "checked before"
        self.clearances[node.start] = Clearance(
            node.start,
            node.end - node.start,
            self.text[value.start : value.end],
            str(reason.value),
            self.find_flows(value, scope),
        )


def _find_assigned(node: Decided) -> Iterator[str]:
    """Names that an `if` may give a value; those of a loop inside of it end with the loop."""
    for body in (*(branch.body for branch in node.branches), node.otherwise or ()):
        for statement in body:
            if isinstance(statement, Assigned):
                yield statement.name
            elif isinstance(statement, Decided):
                yield from _find_assigned(statement)


def _keep(flows: Flows, text: str) -> Flows:
    """The flows as they go on under a name: where they stood becomes a step."""
    return tuple(replace(read, steps=(*read.steps, Step(read.start, read.length, text))) for read in flows)


def _mark(flows: Flows) -> Flows:
    return tuple(replace(read, how="decides") for read in flows)


def _join(*parts: Flows) -> Flows:
    return tuple(dict.fromkeys(read for part in parts for read in part))
