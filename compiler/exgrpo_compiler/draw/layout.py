"""Where boxes stand: in columns from left to right, an arrow always pointing right, few crossings, no box on another.

Sugiyama's method in its plainest form: columns by the longest path, long arrows given a place in every column that they pass, the
order within a column by the mean place of the neighbours, heights pulled towards the neighbours. Deterministic: ties keep the
order of the boxes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from exgrpo_artifact.named import NamedTuple
from exgrpo_compiler.draw.diagram import Arrow, Box, Diagram

CHARACTER = 6.7
"""Width of a character of a box's text, in pixels; the font is a monospaced one of 11 px."""
TITLE_CHARACTER = 8.1
LINE = 16
PADDING = 12
_HEAD = 24
_GAP_X = 84
_GAP_Y = 22
_PASSING = 10
"""Height that an arrow takes in a column that it passes."""
_ROUNDS = 12


class Frame(NamedTuple):
    """A box's place, in pixels from the diagram's upper left corner."""

    x: float
    y: float
    width: float
    height: float


class Route(NamedTuple):
    """An arrow's way: points from the source's right edge to the target's left edge."""

    arrow: Arrow
    points: tuple[tuple[float, float], ...]


class Layout(NamedTuple):
    """A diagram with every place known."""

    frames: Mapping[str, Frame]
    routes: tuple[Route, ...]
    width: float
    height: float


class _Passing(NamedTuple):
    """The place of an arrow in a column between its ends."""

    arrow: int
    column: int


_Slot = str | _Passing


def place_diagram(diagram: Diagram) -> Layout:
    """The layout of a diagram without cycles."""
    columns = _assign_columns(diagram)
    chains = _build_chains(diagram, columns)
    slots: list[list[_Slot]] = [[] for _ in range(max(columns.values(), default=0) + 1)]
    for box in diagram.boxes:
        slots[columns[box.id]].append(box.id)
    for chain in chains:
        for slot in chain[1:-1]:
            assert isinstance(slot, _Passing)
            slots[slot.column].append(slot)
    neighbours = _find_neighbours(chains)
    _order_columns(slots, neighbours)
    sizes = {box.id: measure_box(box) for box in diagram.boxes}
    heights = {
        slot: sizes[slot][1] if isinstance(slot, str) else _PASSING for column in slots for slot in column
    }
    middles = _place_heights(slots, neighbours, heights)
    return _build_layout(diagram, chains, slots, sizes, heights, middles)


def measure_box(box: Box) -> tuple[float, float]:
    """Width and height of a box."""
    head = len(box.title) * TITLE_CHARACTER + (len(box.note) + 2) * CHARACTER
    body = max((len(line) * CHARACTER for line in box.lines), default=0.0)
    width = max(head, body, 60.0) + 2 * PADDING
    return width, _HEAD + LINE * len(box.lines) + (PADDING if box.lines else PADDING / 2)


def _assign_columns(diagram: Diagram) -> dict[str, int]:
    """Longest path from a box that nothing points to; such a box moves up to just before what it points to."""
    incoming: dict[str, list[str]] = {box.id: [] for box in diagram.boxes}
    outgoing: dict[str, list[str]] = {box.id: [] for box in diagram.boxes}
    for arrow in diagram.arrows:
        incoming[arrow.target].append(arrow.source)
        outgoing[arrow.source].append(arrow.target)
    columns: dict[str, int] = {}

    def find(id_: str) -> int:
        if id_ not in columns:
            columns[id_] = max((find(source) + 1 for source in incoming[id_]), default=0)
        return columns[id_]

    for box in diagram.boxes:
        find(box.id)
    for box in diagram.boxes:
        if not incoming[box.id] and outgoing[box.id]:
            columns[box.id] = min(columns[target] for target in outgoing[box.id]) - 1
    return columns


def _build_chains(diagram: Diagram, columns: Mapping[str, int]) -> list[list[_Slot]]:
    return [
        [
            arrow.source,
            *(_Passing(at, column) for column in range(columns[arrow.source] + 1, columns[arrow.target])),
            arrow.target,
        ]
        for at, arrow in enumerate(diagram.arrows)
    ]


_Neighbours = Mapping[_Slot, tuple[list[_Slot], list[_Slot]]]


def _find_neighbours(chains: Sequence[Sequence[_Slot]]) -> _Neighbours:
    """Slot -> those to its left, those to its right."""
    found: dict[_Slot, tuple[list[_Slot], list[_Slot]]] = {}
    for chain in chains:
        for left, right in pairwise(chain):
            found.setdefault(left, ([], []))[1].append(right)
            found.setdefault(right, ([], []))[0].append(left)
    return found


def _order_columns(slots: list[list[_Slot]], neighbours: _Neighbours) -> None:
    for round_ in range(_ROUNDS):
        side = round_ % 2
        for column in slots if side == 0 else reversed(slots):
            places = {slot: at for other in slots for at, slot in enumerate(other)}

            def weigh(slot: _Slot, side: int = side, places: Mapping[_Slot, int] = places) -> float:
                near = neighbours.get(slot, ([], []))[side]
                return sum(places[one] for one in near) / len(near) if near else places[slot]

            column.sort(key=weigh)


def _place_heights(
    slots: Sequence[Sequence[_Slot]], neighbours: _Neighbours, heights: Mapping[_Slot, float]
) -> dict[_Slot, float]:
    """The middle of each slot."""
    middles: dict[_Slot, float] = {}
    for column in slots:
        y = 0.0
        for slot in column:
            middles[slot] = y + heights[slot] / 2
            y += heights[slot] + _GAP_Y
    for round_ in range(_ROUNDS):
        for column in slots if round_ % 2 == 0 else list(reversed(slots)):
            wanted = []
            for slot in column:
                near = [one for side in neighbours.get(slot, ([], [])) for one in side]
                wanted.append(sum(middles[one] for one in near) / len(near) if near else middles[slot])
            _spread(column, wanted, heights, middles)
    top = min((middles[slot] - heights[slot] / 2 for slot in middles), default=0.0)
    return {slot: middle - top for slot, middle in middles.items()}


def _spread(
    column: Sequence[_Slot],
    wanted: Sequence[float],
    heights: Mapping[_Slot, float],
    middles: dict[_Slot, float],
) -> None:
    """Moves the column's slots as near as can be to where they are wanted, in order and apart.

    Neighbours that would overlap form a block, which stands at the mean of what its members want.
    """
    blocks: list[tuple[list[_Slot], list[float], float]] = []
    for slot, want in zip(column, wanted, strict=True):
        members, wishes = [slot], [want]
        while True:
            centre = _find_start(members, wishes, heights)
            if not blocks or blocks[-1][2] + _measure(blocks[-1][0], heights) + _GAP_Y <= centre:
                break
            before = blocks.pop()
            members, wishes = before[0] + members, before[1] + wishes
        blocks.append((members, wishes, centre))
    for members, _, start in blocks:
        y = start
        for slot in members:
            middles[slot] = y + heights[slot] / 2
            y += heights[slot] + _GAP_Y


def _measure(members: Sequence[_Slot], heights: Mapping[_Slot, float]) -> float:
    return sum(heights[slot] for slot in members) + _GAP_Y * (len(members) - 1)


def _find_start(members: Sequence[_Slot], wishes: Sequence[float], heights: Mapping[_Slot, float]) -> float:
    """Top of a block whose members' middles are, on the mean, where they are wanted."""
    offset, total = 0.0, 0.0
    for slot, want in zip(members, wishes, strict=True):
        total += want - offset - heights[slot] / 2
        offset += heights[slot] + _GAP_Y
    return total / len(members)


def _build_layout(
    diagram: Diagram,
    chains: Sequence[Sequence[_Slot]],
    slots: Sequence[Sequence[_Slot]],
    sizes: Mapping[str, tuple[float, float]],
    heights: Mapping[_Slot, float],
    middles: Mapping[_Slot, float],
) -> Layout:
    lefts: list[float] = []
    widths = [
        max((sizes[slot][0] for slot in column if isinstance(slot, str)), default=0.0) for column in slots
    ]
    x = 0.0
    for width in widths:
        lefts.append(x)
        x += width + _GAP_X
    column_of = {slot: at for at, column in enumerate(slots) for slot in column}
    frames = {
        box.id: Frame(
            lefts[column_of[box.id]],
            middles[box.id] - heights[box.id] / 2,
            widths[column_of[box.id]],
            heights[box.id],
        )
        for box in diagram.boxes
    }
    ports = _assign_ports(diagram, chains, frames, middles)
    routes = []
    for at, (arrow, chain) in enumerate(zip(diagram.arrows, chains, strict=True)):
        source, target = frames[arrow.source], frames[arrow.target]
        points = [(source.x + source.width, ports[at, 0])]
        for slot in chain[1:-1]:
            left = lefts[column_of[slot]]
            points += [(left, middles[slot]), (left + widths[column_of[slot]], middles[slot])]
        points.append((target.x, ports[at, 1]))
        routes.append(Route(arrow, tuple(points)))
    bottom = max((frame.y + frame.height for frame in frames.values()), default=0.0)
    lowest = max((y for route in routes for _, y in route.points), default=0.0)
    return Layout(frames, tuple(routes), max(0.0, x - _GAP_X), max(bottom, lowest + _PASSING))


def _assign_ports(
    diagram: Diagram,
    chains: Sequence[Sequence[_Slot]],
    frames: Mapping[str, Frame],
    middles: Mapping[_Slot, float],
) -> dict[tuple[int, int], float]:
    """Heights at which arrows leave (0) and arrive (1): spread along the edge, in the order of their other ends."""
    ports: dict[tuple[int, int], float] = {}
    for side in (0, 1):
        by_box: dict[str, list[int]] = {}
        for at, arrow in enumerate(diagram.arrows):
            by_box.setdefault(arrow.target if side else arrow.source, []).append(at)
        for id_, arrows in by_box.items():
            frame = frames[id_]
            arrows.sort(key=lambda at, side=side: middles[chains[at][-2 if side else 1]])  # type: ignore[misc]
            step = min(18.0, (frame.height - 12) / len(arrows))
            first = frame.y + frame.height / 2 - step * (len(arrows) - 1) / 2
            for place, at in enumerate(arrows):
                ports[at, side] = first + step * place
    return ports
