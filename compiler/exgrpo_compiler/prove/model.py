"""A reward as arithmetic over atoms, evaluated for a whole group at once without any text.

Rollouts that agree in scenario and atoms are one `Kind`, and a group is how many there are of each; a kind with
count 0 is scored too, but no mean sees it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from exgrpo_compiler.prove.atoms import Anatomy
from exgrpo_compiler.prove.operations import FAILED
from exgrpo_compiler.prove.table import Column, Kind, Table, list_steps

__all__ = ["FAILED", "Bound", "Column", "Kind", "RewardModel"]


class RewardModel:
    """The arithmetic of a reward."""

    def __init__(self, anatomy: Anatomy) -> None:
        self.anatomy = anatomy

    def bind(self, kinds: Sequence[Kind], row: Mapping[str, float | None]) -> Bound:
        """The reward over these kinds; `row` gives the atoms of level `const`."""
        return Bound(self, kinds, row)


class Bound:
    """A reward over given kinds of rollouts."""

    def __init__(self, model: RewardModel, kinds: Sequence[Kind], row: Mapping[str, float | None]) -> None:
        self.model = model
        self.kinds = kinds
        self._row = row

    def score(self, counts: Sequence[int]) -> Mapping[str, Column]:
        """Values of all nodes in the group with so many rollouts of each kind."""
        anatomy = self.model.anatomy
        table = Table(anatomy, self.kinds, self._row, [counts])
        return {node: table.spread(node, anatomy) for node in list_steps(anatomy)}

    def spread(self, column: Column) -> list[Any]:
        """The column with one value for each kind."""
        return column if isinstance(column, list) else [column] * len(self.kinds)
