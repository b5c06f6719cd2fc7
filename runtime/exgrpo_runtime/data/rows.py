"""Rows of a dataset: read from its source, split, mapped to typed fields, one at a time.

Invariant: every source row that was read is either a Row or a Rejection with its reason; none is coerced or
lost.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from itertools import chain, islice
from typing import Any, NamedTuple

from exgrpo_artifact.canonical import hash_text
from exgrpo_artifact.errors import SourceError
from exgrpo_artifact.evaluate import evaluate_graph
from exgrpo_artifact.manifest import DataField, Dataset, Manifest
from exgrpo_artifact.values import NOT_APPLICABLE, Failed
from exgrpo_runtime.data.convert import Misfit, convert_value
from exgrpo_runtime.data.files import RawRow
from exgrpo_runtime.data.sources import PartReader
from exgrpo_runtime.records import Rejection, Row

STAGE = "data"
"""Stage name in the rejections."""


class LoadedRows(NamedTuple):
    """What became of a dataset's source."""

    rows: dict[str, list[Row]]
    """Split -> rows in source order; every declared split is there."""
    rejections: list[Rejection]
    summary: dict[str, Any]
    """As of RowReader.summarise."""


class RowReader:
    """One pass over a dataset's source: every row of its splits, or why it is left out; counts as it goes."""

    def __init__(self, dataset: Dataset, *, limit: int | None = None) -> None:
        """Reads nothing yet.

        Args:
            dataset: the declaration.
            limit: at most so many source rows of every split, the first ones; rejected rows count.
        """
        self._dataset = dataset
        self._limit = limit
        self._parts = PartReader(dataset)
        self._splits = {name: {"source": 0, "valid": 0, "rejected": 0} for name in dataset.splits}
        self._reasons = Counter[str]()

    def __iter__(self) -> Iterator[Row | Rejection]:
        """Rows and rejections, split after split in their declared order.

        Raises:
            SourceError: the source cannot be read, or lacks a part that a split names.
            DataError: something in it is no row.
        """
        for split, raw_rows in self._read_splits():
            counts = self._splits[split]
            for index, raw in enumerate(raw_rows):
                converted = convert_row(self._dataset, split, index, raw)
                counts["source"] += 1
                if isinstance(converted, Row):
                    counts["valid"] += 1
                else:
                    counts["rejected"] += 1
                    self._reasons[converted.reason] += 1
                yield converted

    def summarise(self) -> dict[str, Any]:
        """Of what was read: {"rows", "splits": {split: {"source", "valid", "rejected"}}, "reasons": {reason: n}}.

        "commit" too where the rows came from the hub.
        """
        commit = self._parts.find_commit()
        return {
            "rows": sum(counts["valid"] for counts in self._splits.values()),
            "splits": self._splits,
            "reasons": dict(self._reasons.most_common()),
            **({"commit": commit} if commit is not None else {}),
        }

    def _read_splits(self) -> Iterator[tuple[str, Iterator[RawRow]]]:
        shares = self._find_shares()
        rest = chain.from_iterable(self._parts.read_part(part) for part in self._list_parts(shares))
        for name, split in self._dataset.splits.items():
            if split.part is not None:
                yield name, islice(self._parts.read_part(split.part), self._limit)
            elif name in shares:
                share = self._take(rest, shares[name])
                yield name, islice(share, self._limit)
                if name != next(reversed(shares)):
                    deque(share, maxlen=0)
            else:
                raise SourceError(
                    f"dataset `{self._dataset.name}`: split `{name}` names neither a part nor a fraction."
                )

    def _list_parts(self, shares: Mapping[str, int]) -> list[str]:
        return self._parts.list_parts() if shares else []

    def _find_shares(self) -> dict[str, int]:
        """Split -> how many rows its fraction comes to; the source is counted for it and not kept."""
        fractions = {
            name: split.fraction for name, split in self._dataset.splits.items() if split.fraction is not None
        }
        if not fractions:
            return {}
        total = sum(self._parts.count_part(part) for part in self._parts.list_parts())
        return share_rows(total, fractions)

    def _take(self, rows: Iterator[RawRow], count: int) -> Iterator[RawRow]:
        for place in range(count):
            row = next(rows, None)
            if row is None:
                raise SourceError(
                    f"dataset `{self._dataset.name}`: the source lost rows while it was read: {count - place} that "
                    "were counted are gone. Read it when nothing writes to it."
                )
            yield row


def load_rows(manifest: Manifest, dataset: str, *, limit: int | None = None) -> LoadedRows:
    """The rows of every split of a dataset, all in memory.

    Args:
        manifest: the task.
        dataset: name of the declaration.
        limit: at most so many source rows of every split, the first ones; rejected rows count.

    Raises:
        SourceError: the source cannot be read, or lacks a part that a split names.
        DataError: something in it is no row.
    """
    declaration = manifest.datasets[dataset]
    reader = RowReader(declaration, limit=limit)
    rows: dict[str, list[Row]] = {split: [] for split in declaration.splits}
    rejections: list[Rejection] = []
    for found in reader:
        if isinstance(found, Row):
            rows[found.split].append(found)
        else:
            rejections.append(found)
    return LoadedRows(rows, rejections, reader.summarise())


def share_rows(total: int, fractions: Mapping[str, float]) -> dict[str, int]:
    """How many of `total` rows each fraction takes, one share after the other; each row goes to one at most.

    >>> share_rows(10, {"train": 0.75, "test": 0.25})
    {'train': 8, 'test': 2}
    """
    shares: dict[str, int] = {}
    sum_fractions, start = 0.0, 0
    for name, fraction in fractions.items():
        sum_fractions += fraction
        end = min(total, round(sum_fractions * total))
        shares[name] = end - start
        start = end
    return shares


def convert_row(dataset: Dataset, split: str, index: int, raw: RawRow) -> Row | Rejection:
    """The source row with the dataset's fields, or why it has none."""
    uid = f"{split}:{index}:{_hash_row(raw)}"
    fields: dict[str, Any] = {}
    for field in dataset.fields:
        value = _map_field(field, raw)
        if isinstance(value, Misfit):
            return Rejection(STAGE, uid, None, value.reason, f"field `{field.name}`: {value.detail}")
        fields[field.name] = value
    return Row(uid, split, fields)


def _map_field(field: DataField, raw: RawRow) -> Any:
    value = evaluate_graph(field.value, row=raw)
    if value is NOT_APPLICABLE or value is None or isinstance(value, Failed):
        columns = [node.params["name"] for node in field.value.nodes if node.op == "column"]
        missing = [f"`{name}`" for name in columns if name not in raw]
        if missing:
            return Misfit("missing-column", f"the row has no column {', '.join(missing)}")
    if isinstance(value, Failed):
        return Misfit("failed-mapping", value.reason)
    if value is NOT_APPLICABLE:
        return Misfit("missing-value", "its mapping finds nothing in the row")
    return convert_value(value, field.type)


def _hash_row(raw: RawRow) -> str:
    return hash_text(json.dumps(raw, sort_keys=True, default=str))[:12]
