"""Atoms of a reward graph: the numbers that are read off a rollout or a row, and everything above them is arithmetic.

An atom is a node whose value cannot be told without a text, a judge, a draw or a row: `matches(…)`, `judge.score(…)`, `d.tokens`, a
numeric field. What its value can be is either known as a whole (`is_finite`) or sampled. Two nodes that read the same thing
are one atom, so that they are never given different values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from exgrpo_artifact.graph import Level, Node, RewardGraph
from exgrpo_artifact.levels import Place, place_nodes
from exgrpo_artifact.record import Record

ARITHMETIC: Final = frozenset(
    {
        "add",
        "sub",
        "mul",
        "div",
        "neg",
        "eq",
        "ne",
        "lt",
        "le",
        "gt",
        "ge",
        "and",
        "or",
        "not",
        "if",
        "default",
    }
)
NUMERIC_CALLS: Final = frozenset({"clip", "ramp", "abs", "min", "max", "mod", "round"})
_TEXT_CALLS = frozenset({"before", "after", "strip", "lower", "lines", "first", "last", "json", "shuffle"})
_TRUTHS = frozenset({"matches", "format", "contains", "judge.same", "agrees"})

TOKENS: Final = (1.0, 40.0, 300.0, 900.0, 4000.0)
COUNTS: Final = (0.0, 1.0, 7.0, 60.0, 700.0)
NUMBERS: Final = (-3.0, 0.0, 1.0, 12.0, 250.0)
"""Samples of values that are not known as a whole."""


class Atom(Record):
    """One number that is read, and the nodes that read it."""

    id: str
    """The first of `nodes`."""
    nodes: tuple[str, ...]
    node: Node
    level: Level
    """`const` where it is the same for every rollout of a row."""
    values: tuple[float, ...]
    """All that it can be where `is_finite`, else samples; in ascending order."""
    is_finite: bool


class Anatomy(Record):
    """A graph taken apart: its atoms, and the nodes above them in evaluation order."""

    graph: RewardGraph
    shape: Shape
    texts: tuple[str, ...]
    """The numbers of the graph as they are written, in evaluation order."""
    numbers: tuple[float, ...]
    arithmetic: tuple[Node, ...]
    """What is computed from atoms; `const` and `scenario` leaves included."""

    @property
    def atoms(self) -> tuple[Atom, ...]:
        """What is read."""
        return self.shape.atoms

    @property
    def below(self) -> Mapping[str, frozenset[str]]:
        """Ids of the atoms under each node of `arithmetic`, and of each node that reads an atom."""
        return self.shape.below


class Shape:
    """What rewards have in common that differ in the numbers of their arithmetic only. Compared by identity: there is one of each."""

    def __init__(
        self,
        atoms: tuple[Atom, ...],
        below: Mapping[str, frozenset[str]],
        places: Mapping[str, Place],
        arithmetic: frozenset[str],
        number_places: Mapping[str, int],
    ) -> None:
        self.atoms = atoms
        self.below = below
        self.places = places
        self.arithmetic = arithmetic
        self.number_places = number_places
        """Literal -> which of the graph's numbers it is."""
        self._kept: dict[Any, Any] = {}

    def keep(self, key: Any, make: Callable[[], Any]) -> Any:
        """What holds of all rewards of this shape: made when it is first asked for."""
        if key not in self._kept:
            if len(self._kept) >= _MAX_KEPT:
                self._kept.clear()
            self._kept[key] = make()
        return self._kept[key]


_shapes: dict[Any, Shape] = {}
_pinned: dict[Any, tuple[int, ...]] = {}
"""Which numbers of a graph are part of what it reads, by all of the graph but its numbers."""
_MAX_SHAPES = 256
_MAX_KEPT = 64


def dissect_graph(
    graph: RewardGraph, scales: Mapping[str, tuple[float, float]], texts: frozenset[str]
) -> Anatomy:
    """The anatomy of a reward.

    Args:
        graph: the reward.
        scales: of the rubrics that it names.
        texts: fields of the row that are no numbers.
    """
    numbers: list[float] = []
    parts: list[Any] = []
    for node in graph.nodes:
        params = node.params
        if node.op == "const" and type(params["value"]) in (int, float):
            numbers.append(params["value"])
            parts.append((node.id, node.level))
        else:
            parts.append((node.id, node.op, node.args, repr(params) if params else "", node.level))
    family = (tuple(parts), graph.terms, graph.result, tuple(sorted(scales.items())), texts)
    written = tuple(map(repr, numbers))
    pinned = _pinned.get(family)
    shape = _shapes.get((family, tuple([written[at] for at in pinned]))) if pinned is not None else None
    if shape is None:
        if len(_shapes) >= _MAX_SHAPES:
            forget_shapes()
        shape, pinned = _find_shape(graph, scales, texts)
        _pinned[family] = pinned
        _shapes[family, tuple([written[at] for at in pinned])] = shape
    arithmetic = tuple([node for node in graph.nodes if node.id in shape.arithmetic])
    return Anatomy(graph, shape, written, tuple(numbers), arithmetic)


def forget_shapes() -> None:
    """Starts anew: nothing that is kept of a shape is found again."""
    _shapes.clear()
    _pinned.clear()


def _find_shape(
    graph: RewardGraph, scales: Mapping[str, tuple[float, float]], texts: frozenset[str]
) -> tuple[Shape, tuple[int, ...]]:
    nodes = {node.id: node for node in graph.nodes}
    places = place_nodes(graph.nodes)
    kinds: dict[str, str] = {}
    for node in graph.nodes:
        kinds[node.id] = _classify(node, [kinds[arg] for arg in node.args], texts, places[node.id].members)
    needed = _find_needed(graph, nodes, kinds)
    keys: dict[str, Any] = {}
    shared: dict[Any, list[str]] = {}
    for node in graph.nodes:
        keys[node.id] = key = _make_key(node, keys)
        if node.id in needed and kinds[node.id] == "atom":
            shared.setdefault(key, []).append(node.id)
    atoms = tuple(
        Atom(
            ids[0],
            tuple(ids),
            nodes[ids[0]],
            places[ids[0]].level,
            *_find_values(nodes[ids[0]], nodes, scales),
        )
        for ids in shared.values()
    )
    arithmetic = frozenset(
        node.id
        for node in graph.nodes
        if node.id in needed and kinds[node.id] in ("number", "scenario", "text")
    )
    literals = [n.id for n in graph.nodes if n.op == "const" and type(n.params["value"]) in (int, float)]
    number_places = {id_: at for at, id_ in enumerate(literals)}
    read = {id_ for atom in atoms for id_ in atom.nodes}
    for node in reversed(graph.nodes):
        if node.id in read:
            read.update(node.args)
    pinned = tuple(at for id_, at in number_places.items() if id_ in read)
    below = _find_below(graph, atoms, needed)
    return Shape(atoms, below, places, arithmetic, number_places), pinned


def _classify(node: Node, args: list[str], texts: frozenset[str], members: Level | None) -> str:
    """`number` is arithmetic over others, `atom` is read, `text` is neither a number nor looked at here."""
    if node.op == "const":
        return "text" if isinstance(node.params["value"], str | list) else "number"
    if node.op in ("scenario", "turn", "list"):
        return "scenario" if node.op == "scenario" else "text"
    if node.op == "item":
        return "text" if node.params["field"] in texts else "atom"
    has_text = "text" in args
    if node.op in ("eq", "ne") and "scenario" in args:
        return "number"
    if node.op in ("add", "if", "default") and has_text:
        return "text"
    if node.op in ARITHMETIC:
        return "atom" if has_text else "number"
    if node.op == "aggregate":
        return "atom" if has_text or members is None else "number"
    fn = node.params.get("fn")
    if fn in _TEXT_CALLS:
        return "text"
    return "number" if fn in NUMERIC_CALLS and not has_text else "atom"


def _find_needed(graph: RewardGraph, nodes: Mapping[str, Node], kinds: Mapping[str, str]) -> set[str]:
    """Nodes that a term needs, down to the atoms and no further."""
    needed: set[str] = set()
    waiting = list(graph.terms)
    while waiting:
        id_ = waiting.pop()
        if id_ not in needed:
            needed.add(id_)
            if kinds[id_] == "number":
                waiting += nodes[id_].args
    return needed


def _make_key(node: Node, keys: Mapping[str, Any]) -> Any:
    """What a node computes, whatever it is called; every draw is one of its own."""
    own = node.id if node.params.get("fn") == "bernoulli" else ""
    return (node.op, own, tuple(keys[arg] for arg in node.args), repr(node.params))


def _find_values(
    node: Node, nodes: Mapping[str, Node], scales: Mapping[str, tuple[float, float]]
) -> tuple[tuple[float, ...], bool]:
    fn = node.params.get("fn")
    if node.op in ARITHMETIC or fn in _TRUTHS:
        return (0.0, 1.0), True
    if fn == "bernoulli":
        p = nodes[node.args[0]]
        value = p.params.get("value") if p.op == "const" else None
        return ((float(value),) if value in (0, 1) else (0.0, 1.0)), True
    if fn == "judge.score":
        low, high = scales.get(node.params["rubric"], (0.0, 1.0))
        return (low, low + 0.37 * (high - low), high), False
    if fn == "similarity":
        return (-1.0, 0.0, 0.4, 1.0), False
    if node.op == "tokens":
        return TOKENS, False
    if node.op == "num_turns" or fn in ("words", "sentences") or node.op == "aggregate":
        return COUNTS, False
    return NUMBERS, False


def _find_below(graph: RewardGraph, atoms: tuple[Atom, ...], needed: set[str]) -> dict[str, frozenset[str]]:
    below: dict[str, frozenset[str]] = {id_: frozenset({atom.id}) for atom in atoms for id_ in atom.nodes}
    for node in graph.nodes:
        if node.id in needed and node.id not in below:
            below[node.id] = frozenset().union(*(below.get(arg, frozenset()) for arg in node.args))
    return below


def find_implied(anatomy: Anatomy, outcomes: frozenset[str]) -> frozenset[str]:
    """Atoms that are 1 wherever these `matches` atoms are: `format` of the same turn by the same answer type."""
    nodes = {node.id: node for node in anatomy.graph.nodes}
    read = {
        (repr(_describe(nodes, atom.node.args[0])), repr(atom.node.params["answer"]))
        for atom in anatomy.atoms
        if atom.id in outcomes and atom.node.params.get("fn") == "matches"
    }
    return frozenset(
        atom.id
        for atom in anatomy.atoms
        if atom.node.params.get("fn") == "format"
        and (repr(_describe(nodes, atom.node.args[0])), repr(atom.node.params["answer"])) in read
    )


def _describe(nodes: Mapping[str, Node], id_: str) -> Any:
    node = nodes[id_]
    return (node.op, tuple(_describe(nodes, arg) for arg in node.args), node.params)
