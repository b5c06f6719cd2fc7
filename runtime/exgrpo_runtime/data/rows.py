"""Rows of a dataset: read from its source, split, mapped to typed fields.

Invariant: every source row that was read is either a Row or a Rejection with its reason; none is coerced or
lost.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from exgrpo_artifact.canonical import hash_text
from exgrpo_artifact.errors import SourceError
from exgrpo_artifact.evaluate import evaluate_graph
from exgrpo_artifact.manifest import DataField, Dataset, Manifest
from exgrpo_artifact.values import NOT_APPLICABLE, Failed
from exgrpo_runtime.data.convert import Misfit, convert_value
from exgrpo_runtime.data.sources import PartReader, RawRow
from exgrpo_runtime.records import Rejection, Row

STAGE = "data"
"""Stage name in the rejections."""


class LoadedRows(NamedTuple):
    """What became of a dataset's source."""

    rows: dict[str, list[Row]]
    """Split -> rows in source order; every declared split is there."""
    rejections: list[Rejection]
    summary: dict[str, Any]
    """{"rows": n, "splits": {split: {"source", "valid", "rejected"}}, "reasons": {reason: n}}"""


def load_rows(manifest: Manifest, dataset: str, *, limit: int | None = None) -> LoadedRows:
    """The rows of every split of a dataset.

    Args:
        manifest: the task.
        dataset: name of the declaration.
        limit: at most so many source rows of every split, the first ones; rejected rows count.

    Raises:
        SourceError: the source cannot be read, or lacks a part that a split names.
    """
    declaration = manifest.datasets[dataset]
    rows: dict[str, list[Row]] = {}
    rejections: list[Rejection] = []
    splits: dict[str, dict[str, int]] = {}
    for split, raw_rows in _read_splits(declaration, limit).items():
        rows[split] = []
        for index, raw in enumerate(raw_rows):
            converted = convert_row(declaration, split, index, raw)
            if isinstance(converted, Row):
                rows[split].append(converted)
            else:
                rejections.append(converted)
        valid = len(rows[split])
        splits[split] = {"source": len(raw_rows), "valid": valid, "rejected": len(raw_rows) - valid}
    reasons = dict(Counter(rejection.reason for rejection in rejections).most_common())
    return LoadedRows(
        rows, rejections, {"rows": sum(map(len, rows.values())), "splits": splits, "reasons": reasons}
    )


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


def _read_splits(dataset: Dataset, limit: int | None) -> dict[str, Sequence[RawRow]]:
    reader = PartReader(dataset)
    by_fraction = {
        name: split.fraction for name, split in dataset.splits.items() if split.fraction is not None
    }
    shares = split_by_fraction(reader.read_all(), by_fraction) if by_fraction else {}
    result: dict[str, Sequence[RawRow]] = {}
    for name, split in dataset.splits.items():
        if split.part is not None:
            result[name] = reader.read_part(split.part, limit)
        elif name in shares:
            result[name] = shares[name][:limit]
        else:
            raise SourceError(
                f"dataset `{dataset.name}`: split `{name}` names neither a part nor a fraction."
            )
    return result


def split_by_fraction(rows: Sequence[RawRow], fractions: Mapping[str, float]) -> dict[str, Sequence[RawRow]]:
    """Consecutive shares of the rows, in the order of the fractions; each row goes to one of them at most.

    >>> [len(share) for share in split_by_fraction([{}] * 10, {"train": 0.8, "test": 0.2}).values()]
    [8, 2]
    """
    shares: dict[str, Sequence[RawRow]] = {}
    total, start = 0.0, 0
    for name, fraction in fractions.items():
        total += fraction
        end = min(len(rows), round(total * len(rows)))
        shares[name] = rows[start:end]
        start = end
    return shares
