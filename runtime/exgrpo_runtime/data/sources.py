"""Raw rows of a dataset's source, part by part, as plain objects of columns.

Invariant: rows are read when they are asked for, so that a source may be larger than memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sized
from pathlib import Path
from typing import Any, NoReturn

from exgrpo_artifact.errors import SourceError
from exgrpo_artifact.manifest import Dataset, Source
from exgrpo_runtime.data.files import FILE_KINDS, WHOLE, RawRow, count_file, read_file
from exgrpo_runtime.data.hub import HubSource
from exgrpo_runtime.plugins import SOURCES, call_plugin, load_plugin


class PartReader:
    """The parts of one dataset's source, each read at its use, as often as it is used."""

    def __init__(self, dataset: Dataset) -> None:
        self.what = f"dataset `{dataset.name}`"
        self.source: Source = dataset.source
        self._hub = HubSource(self.what, dataset.source) if dataset.source.kind == "hf" else None
        self._plugin: Mapping[str, Iterable[RawRow]] | None = None

    def list_parts(self) -> list[str]:
        """Names of the parts, in the source's order.

        Raises:
            ExgrpoError: as `read_part`.
        """
        if self._hub is not None:
            return self._hub.list_parts()
        if self.source.kind == "plugin":
            return list(self._get_plugin_parts())
        return list(self.source.parts) or [WHOLE]

    def read_part(self, part: str) -> Iterator[RawRow]:
        """The rows of a part, in order.

        Raises:
            SourceError: no such part, or it cannot be read.
            DataError: something in it is no row.
            MissingDependencyError: parquet or arrow without pyarrow, the hub without `datasets`.
        """
        if self._hub is not None:
            return self._hub.read_part(part)
        if self.source.kind in FILE_KINDS:
            return read_file(self.what, self.source.kind, self._find_file(part))
        return self._read_plugin(part)

    def count_part(self, part: str) -> int:
        """How many rows `read_part` gives.

        Raises:
            ExgrpoError: as `read_part`.
        """
        if self._hub is not None:
            return self._hub.count_part(part)
        if self.source.kind in FILE_KINDS:
            return count_file(self.what, self.source.kind, self._find_file(part))
        rows = self._find_plugin_part(part)
        return len(rows) if isinstance(rows, Sized) else sum(1 for _ in self._read_plugin(part))

    def find_commit(self) -> str | None:
        """The commit of the hub that the rows are of; None where they are not of the hub."""
        return self._hub.find_commit() if self._hub is not None else None

    def _find_file(self, part: str) -> Path:
        location = self.source.parts.get(part) if part != WHOLE else self.source.location
        if location is None:
            self._refuse_part(part, self.source.parts)
        return Path(location)

    def _read_plugin(self, part: str) -> Iterator[RawRow]:
        rows = iter(self._find_plugin_part(part))
        name = self.source.location
        while True:
            try:
                row = next(rows)
            except StopIteration:
                return
            except Exception as error:  # code of others may raise anything
                raise SourceError(
                    f"{self.what}: the plugin `{name}` failed while its rows were read: "
                    f"{type(error).__name__}: {error}"
                ) from error
            if not isinstance(row, Mapping):
                raise SourceError(
                    f"{self.what}: the plugin `{name}` gave {type(row).__name__} for a row, not a record."
                )
            yield row

    def _find_plugin_part(self, part: str) -> Iterable[RawRow]:
        parts = self._get_plugin_parts()
        if part not in parts:
            self._refuse_part(part, parts)
        return parts[part]

    def _get_plugin_parts(self) -> Mapping[str, Iterable[RawRow]]:
        if self._plugin is None:
            name, options = self.source.location, self.source.options
            factory = load_plugin(SOURCES, name, self.what, SourceError)
            parts = call_plugin(factory, options, name, self.what, SourceError)
            self._plugin = _verify_parts(self.what, name, parts)
        return self._plugin

    def _refuse_part(self, part: str, parts: Iterable[str]) -> NoReturn:
        names = ", ".join(f"`{name}`" for name in parts) or "none by name"
        raise SourceError(f"{self.what}: its source has no part `{part}`. Parts: {names}.")


def _verify_parts(what: str, name: str | None, parts: Any) -> Mapping[str, Iterable[RawRow]]:
    if isinstance(parts, Mapping) and all(_is_readable_again(rows) for rows in parts.values()):
        return parts
    given = (
        ", ".join(sorted({type(rows).__name__ for rows in parts.values()}))
        if isinstance(parts, Mapping)
        else type(parts).__name__
    )
    raise SourceError(
        f"{what}: the plugin `{name}` gave {given}, not parts by name with lists of records. What makes its rows "
        "one by one is given as an object whose `__iter__` begins anew, since rows may be read twice."
    )


def _is_readable_again(rows: Any) -> bool:
    return isinstance(rows, Iterable) and not isinstance(rows, Iterator | str | bytes | Mapping)
