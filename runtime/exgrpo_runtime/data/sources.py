"""Raw rows of a dataset's source, part by part, as plain objects of columns.

Invariant: what cannot be read is an error with the place where it stands; a broken line is never skipped.
Local paths are relative to the directory that the command runs in.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn

from exgrpo_artifact.errors import DataError, MissingDependencyError, SourceError
from exgrpo_artifact.manifest import Dataset, Source
from exgrpo_runtime.plugins import SOURCES, call_plugin, load_plugin

RawRow = Mapping[str, Any]

WHOLE = ""
"""Name of the only part of a source that has no named parts."""

csv.field_size_limit(1 << 27)


class PartReader:
    """The parts of one dataset's source, each read at its first use."""

    def __init__(self, dataset: Dataset) -> None:
        self.what = f"dataset `{dataset.name}`"
        self.source: Source = dataset.source
        self._plugin: Mapping[str, Sequence[RawRow]] | None = None

    def read_part(self, part: str, limit: int | None = None) -> list[RawRow]:
        """The first `limit` rows of a part (all for None).

        Raises:
            SourceError: no such part, or it cannot be read.
            MissingDependencyError: parquet or the hub without the extra `train`.
        """
        return list(islice(self._open_part(part), limit))

    def read_all(self) -> list[RawRow]:
        """The rows of every part, in the order in which the source names them."""
        return [row for part in self._list_parts() for row in self.read_part(part)]

    def _list_parts(self) -> list[str]:
        if self.source.kind == "hf":
            return _list_hub_parts(self.what, self.source)
        if self.source.kind == "plugin":
            return list(self._get_plugin_parts())
        return list(self.source.parts) or [WHOLE]

    def _open_part(self, part: str) -> Iterable[RawRow]:
        if self.source.kind == "hf":
            return _read_hub(self.what, self.source, part)
        if self.source.kind == "plugin":
            parts = self._get_plugin_parts()
            if part not in parts:
                self._refuse_part(part, parts)
            return parts[part]
        location = self.source.parts.get(part) if part != WHOLE else self.source.location
        if location is None:
            self._refuse_part(part, self.source.parts)
        return _FILE_READERS[self.source.kind](self.what, Path(location))

    def _get_plugin_parts(self) -> Mapping[str, Sequence[RawRow]]:
        if self._plugin is None:
            name, options = self.source.location, self.source.options
            factory = load_plugin(SOURCES, name, self.what, SourceError)
            parts = call_plugin(factory, options, name, self.what, SourceError)
            self._plugin = _verify_parts(self.what, name, parts)
        return self._plugin

    def _refuse_part(self, part: str, parts: Iterable[str]) -> NoReturn:
        names = ", ".join(f"`{name}`" for name in parts) or "none by name"
        raise SourceError(f"{self.what}: its source has no part `{part}`. Parts: {names}.")


def _verify_parts(what: str, name: str | None, parts: Any) -> Mapping[str, Sequence[RawRow]]:
    if isinstance(parts, Mapping) and all(
        isinstance(rows, Sequence) and all(isinstance(row, Mapping) for row in rows)
        for rows in parts.values()
    ):
        return parts
    raise SourceError(
        f"{what}: the plugin `{name}` gave {type(parts).__name__}, not parts by name with lists of records."
    )


# --- files ------------------------------------------------------------------------------------------------


def _refuse_file(what: str, path: Path, error: OSError) -> NoReturn:
    raise SourceError(
        f"{what}: {path} cannot be read: {error.strerror or error}. "
        "Paths in a spec are relative to the directory that the command runs in."
    ) from error


def _read_lines(what: str, path: Path) -> Iterator[tuple[int, str]]:
    """Line numbers from 1 and texts; a byte order mark is dropped."""
    try:
        with path.open("rb") as stream:
            for number, raw in enumerate(stream, start=1):
                try:
                    yield number, raw.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError as error:
                    raise DataError(
                        f"{what}: {path}:{number} is not UTF-8 (byte {error.start + 1} of the line). "
                        "Save the file as UTF-8."
                    ) from error
    except OSError as error:
        _refuse_file(what, path, error)


def _read_jsonl(what: str, path: Path) -> Iterator[RawRow]:
    for number, line in _read_lines(what, path):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
            raise DataError(
                f"{what}: {path}:{number} is not JSON: {reason}. Every line must be one JSON object."
            ) from error
        if not isinstance(row, dict):
            raise DataError(f"{what}: {path}:{number} is not a JSON object. Every line must be one.")
        yield row


def _read_csv(what: str, path: Path) -> Iterator[RawRow]:
    reader = csv.reader((line for _, line in _read_lines(what, path)), strict=True)
    try:
        header = next(reader, None)
        if header is None:
            return
        if len(set(header)) < len(header):
            raise DataError(f"{what}: {path}:1 names a column twice.")
        for values in reader:
            if not values:
                continue
            if len(values) != len(header):
                raise DataError(
                    f"{what}: {path}:{reader.line_num} has {len(values)} values; "
                    f"the header names {len(header)} columns."
                )
            yield dict(zip(header, values, strict=True))
    except csv.Error as error:
        raise DataError(f"{what}: {path}:{reader.line_num} is not CSV: {error}.") from error


def _read_parquet(what: str, path: Path) -> Iterator[RawRow]:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise _build_missing(what, "parquet files") from error
    try:
        with path.open("rb") as stream:
            for batch in ParquetFile(stream).iter_batches():
                yield from batch.to_pylist()
    except ArrowException as error:
        raise DataError(f"{what}: {path} is not a parquet file that can be read: {error}") from error
    except OSError as error:
        _refuse_file(what, path, error)


_FILE_READERS: dict[str, Callable[[str, Path], Iterator[RawRow]]] = {
    "jsonl": _read_jsonl,
    "csv": _read_csv,
    "parquet": _read_parquet,
}


# --- the hub ----------------------------------------------------------------------------------------------


def _read_hub(what: str, source: Source, part: str) -> Iterable[RawRow]:
    datasets = _import_datasets(what)
    location = str(source.location)
    try:
        if _is_saved(location):
            saved = datasets.load_from_disk(location)
            return saved if part == WHOLE else saved[part]
        return datasets.load_dataset(
            location, name=source.options.get("config"), revision=source.options.get("revision"), split=part
        )
    except (
        Exception
    ) as error:  # the library raises classes of its own, of requests, httpx, fsspec and pyarrow
        _refuse_hub(what, location, part, error)


def _list_hub_parts(what: str, source: Source) -> list[str]:
    datasets = _import_datasets(what)
    location = str(source.location)
    try:
        if _is_saved(location):
            saved = datasets.load_from_disk(location)
            return list(saved) if isinstance(saved, dict) else [WHOLE]
        return list(
            datasets.get_dataset_split_names(
                location, source.options.get("config"), revision=source.options.get("revision")
            )
        )
    except Exception as error:
        _refuse_hub(what, location, None, error)


def _is_saved(location: str) -> bool:
    """Whether it is a directory that `save_to_disk` wrote."""
    return any((Path(location) / name).is_file() for name in ("dataset_dict.json", "state.json"))


def _import_datasets(what: str) -> Any:
    try:
        import datasets
    except ImportError as error:
        raise _build_missing(what, "datasets of the Hugging Face hub") from error
    datasets.disable_progress_bars()
    return datasets


def _build_missing(what: str, things: str) -> MissingDependencyError:
    return MissingDependencyError(
        f"{what}: reading {things} needs the extra `train`: pip install 'exgrpo[train]'"
    )


def _refuse_hub(what: str, location: str, part: str | None, error: Exception) -> NoReturn:
    named = f"`{location}`" + (f", part `{part}`," if part else "")
    reason = " ".join(str(error).split())[:300] or type(error).__name__
    raise SourceError(
        f"{what}: {named} could not be loaded from disk or from the Hugging Face hub: {reason}. Check the "
        "name, its config and the network; without one, download the rows and name them with "
        f"--set '{what.split('`')[1]}.source=jsonl(PART: \"FILE\")'."
    ) from error
