"""Shards of a split: every n-th row by its position, so that n runs ask for all of them and no row twice."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from exgrpo_artifact.errors import DataError
from exgrpo_artifact.manifest import Manifest, ProbeStage, Stage
from exgrpo_runtime.data.disk_rows import RowsBySplit
from exgrpo_runtime.records import Row

_WRITTEN = re.compile(r"([0-9]{1,6})/([0-9]{1,6})")


class Shard(NamedTuple):
    """Shard `number` of `of`, from 1."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def take(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Every `of`-th row, from the one in place `number` on.

        >>> Shard(2, 3).take(range(8))
        range(1, 8, 3)
        """
        return rows[self.number - 1 :: self.of]


def read_shard(text: str) -> Shard:
    """The shard that `i/n` names.

    >>> read_shard("2/8")
    Shard(number=2, of=8)

    Raises:
        ValueError: it names none; the text says which there are.
    """
    written = _WRITTEN.fullmatch(text)
    if written is None:
        raise ValueError(f"`{text}` is no shard; write i/n, as 2/8 for the second of eight.")
    number, count = int(written[1]), int(written[2])
    if not 1 <= number <= count:
        last = f"the last is {count}/{count}" if count else "there is none"
        raise ValueError(f"there is no shard {text}: the first of {count} is 1/{count}, {last}.")
    return Shard(number, count)


def find_misuse(manifest: Manifest, until: str | None) -> str | None:
    """Why a run to stage `until` cannot be a run of one shard; None where it can.

    A stage that trains or measures is never one of them: it would take the part for the whole.
    """
    names = [stage.name for stage in manifest.stages]
    chosen = manifest.stages[: names.index(until) + 1] if until in names else manifest.stages
    other = next((stage for stage in chosen if not isinstance(stage, ProbeStage)), None)
    if until == "data" or other is None:
        return None
    first = _list_leading_probes(manifest.stages)
    if not first:
        return (
            f"task `{manifest.task}` begins with stage `{other.name}` ({other.kind}), which needs all rows."
        )
    allowed = " or ".join(f"--stage {name}" for name in first)
    return f"a shard goes as far as the probes: give {allowed}. Stage `{other.name}` ({other.kind}) needs all rows."


def take_shard(rows: RowsBySplit, stage: Stage, manifest: Manifest, shard: Shard | None) -> RowsBySplit:
    """The rows that a stage gets: of the split that it asks about the shard's rows only.

    Raises:
        DataError: the shard has no row.
    """
    if shard is None or not isinstance(stage, ProbeStage):
        return rows
    dataset = manifest.probes[stage.probes].dataset
    whole = rows[dataset][stage.split]
    part = shard.take(whole)
    if not part:
        raise DataError(
            f"shard {shard} has no row: split `{stage.split}` of dataset `{dataset}` has {len(whole)}. "
            "Take fewer shards."
        )
    splits: Mapping[str, Sequence[Row]] = {**rows[dataset], stage.split: part}
    return {**rows, dataset: splits}


def _list_leading_probes(stages: Sequence[Stage]) -> list[str]:
    names = []
    for stage in stages:
        if not isinstance(stage, ProbeStage):
            break
        names.append(stage.name)
    return names
