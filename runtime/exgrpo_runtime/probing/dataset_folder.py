"""The result of a probe stage as a folder that `datasets.load_dataset` reads: data files, and a card that types them.

    dataset/
      README.md                what it is and how it was made; its header names files and types
      data/SPLIT.jsonl         a kept probe a line, with the row that it is about
      rejections/SPLIT.jsonl   what was left out, each with its reason; not there where nothing was

JSON Lines and not parquet: the header gives the columns their types just as well, and pyarrow would cost a run that only asks a
teacher a third of its memory.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from exgrpo_artifact.errors import DataError
from exgrpo_artifact.manifest import FieldType, Manifest, ProbeStage
from exgrpo_runtime.context import Context
from exgrpo_runtime.records import Row

FOLDER: Final = "dataset"
"""Below the stage's directory."""

WIDEST_INT: Final = 1 << 63
"""Whole numbers from here on, and below its negative, have no column type; their column is one of texts."""

Columns = dict[str, dict[str, FieldType]]
"""Struct (`item` or `probe`) -> field -> type."""


def write_data_files(stage: ProbeStage, context: Context) -> dict[str, Any]:
    """Writes the data files of the folder from the stage's probes.jsonl and rejections.jsonl.

    Returns:
        {"probes", "rejections", "replies": n, "replies_sha256", "as_text": columns whose values fit no column type}

    Raises:
        DataError: the stage's files and its rows do not belong together.
    """
    folder = context.work / FOLDER
    columns = list_columns(context.manifest, stage)
    kept, left_out = folder / "data" / f"{stage.split}.jsonl", folder / "rejections" / f"{stage.split}.jsonl"
    for path in (kept, left_out):
        path.parent.mkdir(parents=True, exist_ok=True)
    as_text: set[str] = set()
    num_probes, found = _write_probes(kept, stage, context, columns, as_text)
    while found:
        as_text |= found
        num_probes, found = _write_probes(kept, stage, context, columns, as_text)
    num_rejections = _write_lines(left_out, map(_drop_stage, _read_lines(context.work / "rejections.jsonl")))
    if not num_rejections:
        shutil.rmtree(left_out.parent)
    num_replies, digest = hash_replies(context.store.path)
    return {
        "probes": num_probes,
        "rejections": num_rejections,
        "replies": num_replies,
        "replies_sha256": digest,
        "as_text": sorted(as_text),
    }


def list_columns(manifest: Manifest, stage: ProbeStage) -> Columns:
    """The columns of `item` and `probe`, in the order of their declarations."""
    declaration = manifest.probes[stage.probes]
    dataset = manifest.datasets[declaration.dataset]
    return {
        "item": {field.name: field.type for field in dataset.fields},
        "probe": {field.name: field.type for field in declaration.yields},
    }


def hash_replies(path: Path) -> tuple[int, str]:
    """How many replies a store holds, and the sha256 of their keys and texts in the order of the keys.

    When they arrived, from where and for how much does not matter to it, so a merge of shards has the hash of one run.
    """
    digest, count = hashlib.sha256(), 0
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        for key, text in connection.execute("select key, text from replies order by key"):
            digest.update(f"{key} {hashlib.sha256(text.encode()).hexdigest()}\n".encode())
            count += 1
    return count, digest.hexdigest()


def _write_probes(
    path: Path, stage: ProbeStage, context: Context, columns: Columns, as_text: set[str]
) -> tuple[int, set[str]]:
    """How many lines were written, and the columns that turned out to be in need of text."""
    found: set[str] = set()

    def build(row: Row, probe: Mapping[str, Any]) -> dict[str, Any]:
        structs = {"item": row.fields, "probe": probe["fields"]}
        cells = {
            struct: {
                name: _make_cell(fields.get(name), columns[struct][name], f"{struct}.{name}", as_text, found)
                for name in columns[struct]
            }
            for struct, fields in structs.items()
        }
        known = {"rule": probe["rule"], "reveals": probe["reveals"], "sample": probe.get("sample", 0)}
        return {"row": row.uid, **known, **cells}

    return _write_lines(path, (build(row, probe) for row, probe in _join(stage, context))), found


def _join(stage: ProbeStage, context: Context) -> Iterator[tuple[Row, Mapping[str, Any]]]:
    """Each kept probe with its row; both stand in the order of the rows."""
    rows = iter(context.rows[context.manifest.probes[stage.probes].dataset][stage.split])
    row = next(rows, None)
    for probe in _read_lines(context.work / "probes.jsonl"):
        while row is not None and row.uid != probe["row"]:
            row = next(rows, None)
        if row is None:
            raise DataError(f"stage `{stage.name}`: a probe is about row {probe['row']}, which is not there.")
        yield row, probe


def _make_cell(value: Any, kind: FieldType, column: str, as_text: set[str], found: set[str]) -> Any:
    if column in as_text or kind.kind == "any":
        return None if value is None else json.dumps(value, ensure_ascii=False)
    if value is None:
        return None
    if kind.kind == "list":
        element = kind.element or FieldType(kind="any")
        return [_make_cell(item, element, column, as_text, found) for item in value]
    if kind.kind == "record":
        return {
            field.name: _make_cell(value.get(field.name), field.type, column, as_text, found)
            for field in kind.fields
        }
    convert: Callable[[Any], Any] | None = {"number": float, "int": int}.get(kind.kind)
    if kind.kind == "int" and not -WIDEST_INT <= value < WIDEST_INT:
        found.add(column)
    return value if convert is None else convert(value)


def _drop_stage(rejection: dict[str, Any]) -> dict[str, Any]:
    return {name: rejection.get(name) for name in ("row", "rule", "reason", "detail", "sample")}


def _read_lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as stream:
        for line in stream:
            yield json.loads(line)


def _write_lines(path: Path, values: Iterable[dict[str, Any]]) -> int:
    count = 0
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        for value in values:
            stream.write(json.dumps(value, ensure_ascii=False) + "\n")
            count += 1
    return count
