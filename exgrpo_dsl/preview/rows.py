"""The row and the probes of a preview: from the dataset's own source, or from files given on the command line."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from exgrpo_artifact.errors import DataError
from exgrpo_artifact.manifest import Dataset, Dialogue, Manifest, Probes
from exgrpo_artifact.named import NamedTuple
from exgrpo_dsl.errors import UsageError
from exgrpo_dsl.preview.marks import clean_value, make_placeholder, make_secret
from exgrpo_runtime.data.rows import convert_row, load_rows
from exgrpo_runtime.records import Probe, Row


class ShownRow(NamedTuple):
    """A row whose secret fields are marked, and the plain one."""

    plain: Row
    marked: Row


def find_row(manifest: Manifest, split: str | None, index: int, rows: Path | None) -> ShownRow:
    """Row `index`, from 0, of a split (the first one declared where none is named), or of a JSON Lines file.

    Raises:
        UsageError: no such split, or no such row.
        DataError: the row does not convert to the dataset's fields.
        SourceError: the rows cannot be read.
    """
    dataset = manifest.datasets[manifest.data]
    if rows is not None:
        return _mark(dataset, _read_given(dataset, rows, index))
    name = split or next(iter(dataset.splits))
    if name not in dataset.splits:
        known = ", ".join(dataset.splits)
        raise UsageError(f"Dataset `{dataset.name}` has no split `{name}`; its splits are {known}.")
    loaded = load_rows(manifest, dataset.name, limit=index + 1)
    source = loaded.summary["splits"][name]["source"]
    if index >= source:
        raise UsageError(
            f"Split `{name}` has {_count(source)}, so there is no row {index}; the first is row 0."
        )
    for row in loaded.rows[name]:
        if row.uid.split(":")[1] == str(index):
            return _mark(dataset, row)
    rejected = next(one for one in loaded.rejections if one.row.startswith(f"{name}:{index}:"))
    raise DataError(f"row {index} of split `{name}` was rejected ({rejected.reason}): {rejected.detail}.")


def read_raw_rows(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON Lines file.

    Raises:
        UsageError: there is no such file.
        DataError: a line is no JSON object.
    """
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8.") from error
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError as error:
            raise DataError(f"{path}, line {number}: not JSON ({error}).") from error
        if not isinstance(value, dict):
            raise DataError(f"{path}, line {number}: a row is a JSON object, and this is none.")
        rows.append(value)
    return rows


def _read_given(dataset: Dataset, path: Path, index: int) -> Row:
    raw = read_raw_rows(path)
    if index >= len(raw):
        raise UsageError(f"{path} has {_count(len(raw))}, so there is no row {index}; the first is row 0.")
    row = convert_row(dataset, next(iter(dataset.splits)), index, raw[index])
    if not isinstance(row, Row):
        raise DataError(f"row {index} of {path} was rejected ({row.reason}): {row.detail}.")
    return row


def _count(number: int) -> str:
    return f"{number} row{'' if number == 1 else 's'}" if number else "no rows"


def _mark(dataset: Dataset, row: Row) -> ShownRow:
    clean = Row(row.uid, row.split, {name: clean_value(value) for name, value in row.fields.items()})
    secret = {field.name for field in dataset.fields if field.secret}
    fields = {
        name: make_secret(value, f"item.{name}") if name in secret else value
        for name, value in clean.fields.items()
    }
    return ShownRow(clean, Row(row.uid, row.split, fields))


# --- probes -------------------------------------------------------------------------------------------------


def read_probes(path: Path, uid: str) -> list[Probe]:
    """The probes about one row in a run's probes.jsonl.

    Raises:
        UsageError: there is no such file, or it has none about this row.
        DataError: it is no such file.
    """
    try:
        probes = [Probe.from_json(value) for value in read_raw_rows(path)]
    except (KeyError, TypeError) as error:
        raise DataError(f"{path} holds no probes of a run: a line has no {error}.") from error
    found = [probe for probe in probes if probe.row == uid]
    if not found:
        raise UsageError(f"{path} has no probe about row {uid}.")
    return found


def mark_probes(probes: Sequence[Probe], secret: frozenset[str]) -> list[Probe]:
    """The probes with their secret fields marked."""
    return [
        Probe(probe.row, probe.rule, _mark_fields(probe.fields, secret), probe.reveals) for probe in probes
    ]


def _mark_fields(fields: Mapping[str, Any], secret: frozenset[str]) -> dict[str, Any]:
    return _mark_secrets({name: clean_value(value) for name, value in fields.items()}, secret)


def _mark_secrets(fields: Mapping[str, Any], secret: frozenset[str]) -> dict[str, Any]:
    return {
        name: make_secret(value, f"probe.{name}") if name in secret else value
        for name, value in fields.items()
    }


def make_probes(manifest: Manifest, dialogue: Dialogue, uid: str, secret: frozenset[str]) -> list[Probe]:
    """Probes that are not made yet: one for each rule, with the names of the fields for their values."""
    if dialogue.probes is None:
        return []
    declared = manifest.probes[dialogue.probes]
    found = [
        Probe(uid, rule, _name_fields(declared, at), bool(manifest.rules[rule].reveals))
        for at, rule in enumerate(declared.rules, 1)
    ]
    return [
        Probe(one.row, one.rule, _mark_secrets(one.fields, secret), one.reveals)
        for one in found  # not cleaned: a placeholder carries a sign of its own
    ]


def _name_fields(declared: Probes, at: int) -> dict[str, Any]:
    return {field.name: make_placeholder(field.type, f"probe {at}.{field.name}") for field in declared.yields}
