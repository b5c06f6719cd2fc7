"""Groups of rollouts that a stage can draw: how many of each kind, scenario by scenario."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

from exgrpo_artifact.named import NamedTuple
from exgrpo_compiler.prove.atoms import Anatomy
from exgrpo_compiler.prove.model import Kind
from exgrpo_compiler.prove.table import Table
from exgrpo_compiler.prove.worlds import MAX_PATTERNS, Sampling, list_kinds

NUM_CHOSEN = 96
"""Groups that are looked at where there are too many for all."""
MAX_ROWS = 8
"""Rows up to which every combination of their values is looked at."""
NUM_ROWS = 3
"""Rows that are looked at where there are more."""
FIRST_GROUPS = 4
_STRIDES = (37, 41, 43)


def count_groups(kinds: Sequence[Kind], sampling: Sampling) -> int:
    """How many different groups there are."""
    number = 1
    for scenario, size in sampling.counts.items():
        own = sum(kind.scenario == scenario for kind in kinds)
        number *= math.comb(size + own - 1, own - 1)
    return number


def is_all_tried(anatomy: Anatomy, sampling: Sampling, limit: int, most: int = MAX_PATTERNS) -> bool:
    """Whether a frame of this size holds every group that there can be, of whatever can be seen of a rollout."""
    kinds = get_frame(anatomy, sampling, limit, most).kinds
    own = [atom for atom in anatomy.atoms if atom.level != "const"]
    of_row = [atom for atom in anatomy.atoms if atom.level == "const"]
    return (
        all(atom.is_finite for atom in anatomy.atoms)
        and not looks_at_turns(anatomy)
        and math.prod(len(atom.values) for atom in own) <= limit
        and math.prod(len(atom.values) for atom in of_row) <= MAX_ROWS
        and count_groups(kinds, sampling) <= most
    )


def looks_at_turns(anatomy: Anatomy) -> bool:
    """Whether something goes over the turns of a rollout: here they all say the same, which they need not."""
    places = anatomy.shape.places
    return any(places[node.id].members == "turn" for node in anatomy.arithmetic)


def list_groups(kinds: Sequence[Kind], sampling: Sampling, most: int = MAX_PATTERNS) -> Iterator[list[int]]:
    """Counts of each kind: of every group, or of an even choice, the most mixed ones first."""
    if count_groups(kinds, sampling) <= most:
        groups = list(_list_all(kinds, list(sampling.counts.items())))
        # Neighbours are alike: with a stride the first few differ in all scenarios, and most claims fail in one of them.
        step = next(prime for prime in _STRIDES if len(groups) % prime)
        yield from (groups[(at * step) % len(groups)] for at in range(len(groups)))
        return
    for at in range(NUM_CHOSEN):
        yield _choose_group(kinds, sampling, at)


def _list_all(kinds: Sequence[Kind], left: Sequence[tuple[str, int]]) -> Iterator[list[int]]:
    if not left:
        yield [0] * len(kinds)
        return
    (scenario, size), rest = left[0], left[1:]
    own = [at for at, kind in enumerate(kinds) if kind.scenario == scenario]
    tails = list(_list_all(kinds, rest))
    for counts in _compose(size, len(own)):
        for tail in tails:
            group = list(tail)
            for place, count in zip(own, counts, strict=True):
                group[place] = count
            yield group


def _compose(size: int, parts: int) -> Iterator[tuple[int, ...]]:
    """All ways to write `size` as an ordered sum of so many parts."""
    if parts == 1:
        yield (size,)
        return
    for first in range(size + 1):
        for rest in _compose(size - first, parts - 1):
            yield first, *rest


def _choose_group(kinds: Sequence[Kind], sampling: Sampling, at: int) -> list[int]:
    """The group of this number: a walk over the kinds with a step and a start that differ from group to group.

    Every third group repeats its kinds in runs, so that groups with few different kinds are among them.
    """
    counts = [0] * len(kinds)
    for scenario, size in sampling.counts.items():
        own = [place for place, kind in enumerate(kinds) if kind.scenario == scenario]
        run = 1 + (at % 3) * max(1, size // 3)
        for index in range(size):
            counts[own[(at * 7 + (index // run) * (1 + at // 3)) % len(own)]] += 1
    return counts


def list_rows(anatomy: Anatomy) -> list[dict[str, float | None]]:
    """Values of the atoms that belong to the row: every combination where they are few, else an even choice."""
    own = [atom for atom in anatomy.atoms if atom.level == "const"]
    if math.prod(len(atom.values) for atom in own) <= MAX_ROWS:
        rows = itertools.product(*(atom.values for atom in own))
        return [dict(zip((atom.id for atom in own), row, strict=True)) for row in rows]
    return [
        {atom.id: atom.values[(at + place) % len(atom.values)] for place, atom in enumerate(own)}
        for at in range(NUM_ROWS)
    ]


def list_trained(kinds: Sequence[Kind], counts: Sequence[int], sampling: Sampling) -> list[int]:
    """Places of the kinds that are in the group and trained."""
    return [at for at, kind in enumerate(kinds) if kind.scenario in sampling.group and counts[at]]


class Frame:
    """What a stage can draw, in tables that all rewards of a shape share: kinds of rollouts, rows and groups."""

    def __init__(self, anatomy: Anatomy, sampling: Sampling, limit: int, most: int) -> None:
        self.kinds = list_kinds(anatomy, sampling, limit)
        self._groups = list(list_groups(self.kinds, sampling, most))
        self._rows = list_rows(anatomy)
        self._tables: list[DrawnTable] = []
        self._anatomy = anatomy
        self._sampling = sampling

    def iterate_tables(self) -> Iterator[DrawnTable]:
        """Every group with every row; the first tables are small, since most claims fail in the first few groups."""
        number = 0
        for row in self._rows:
            start, size = 0, FIRST_GROUPS
            while start < len(self._groups):
                if number == len(self._tables):
                    groups = self._groups[start : start + size]
                    table = Table(self._anatomy, self.kinds, row, groups)
                    trained = [list_trained(self.kinds, counts, self._sampling) for counts in groups]
                    self._tables.append(DrawnTable(table, trained))
                yield self._tables[number]
                number, start, size = number + 1, start + size, size * 4


class DrawnTable(NamedTuple):
    """Some groups, and the places of the kinds in each that are trained."""

    table: Table
    trained: list[list[int]]


def get_frame(anatomy: Anatomy, sampling: Sampling, limit: int, most: int = MAX_PATTERNS) -> Frame:
    """What can be drawn, with so many kinds of each scenario at most, and an even choice of groups where there are more."""
    key = ("frame", sampling.identify(), limit, most)
    found: Frame = anatomy.shape.keep(key, lambda: Frame(anatomy, sampling, limit, most))
    return found
