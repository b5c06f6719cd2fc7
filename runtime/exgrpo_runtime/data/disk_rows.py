"""Rows of a run as sequences on disk: written once, read at any place, never in memory as a whole.

    rows.jsonl      {"dataset": …, "row": {…}} a line; every split's rows stand together
    rows.index      where each line begins, and where the last one ends: 8 bytes each, little-endian
    sections.json   [{"dataset": …, "split": …, "rows": n}], in the order of the lines

Invariant: a sequence holds a range of numbers and an open file, whatever it is a slice of.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, overload

from exgrpo_artifact.errors import DataError
from exgrpo_runtime.records import Row
from exgrpo_runtime.run_dir import read_json, write_json

_ROWS: Final = "rows.jsonl"
_INDEX: Final = "rows.index"
_SECTIONS: Final = "sections.json"
_WIDTH: Final = 8
"""Bytes of one place in the index."""

RowsBySplit = Mapping[str, Mapping[str, Sequence[Row]]]
"""Dataset -> split -> its rows."""


class RowWriter:
    """Writes the rows of a run; whole when its block ends without an error."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._sections: list[dict[str, Any]] = []
        self._end = 0

    def __enter__(self) -> RowWriter:
        self._rows: IO[bytes] = (self._directory / _ROWS).open("wb")
        self._index: IO[bytes] = (self._directory / _INDEX).open("wb")
        self._write_place()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for stream in (self._rows, self._index):
            with stream:
                if kind is None:
                    stream.flush()
                    os.fsync(stream.fileno())
        if kind is None:
            write_json(self._directory / _SECTIONS, self._sections)

    def begin(self, dataset: str, splits: Sequence[str]) -> None:
        """Opens the sections of a dataset; its rows come split after split, in this order."""
        self._sections += [{"dataset": dataset, "split": split, "rows": 0} for split in splits]

    def write(self, row: Row) -> None:
        """Appends a row to its split's section of the dataset that was begun last."""
        section = next(section for section in reversed(self._sections) if section["split"] == row.split)
        section["rows"] += 1
        line = json.dumps({"dataset": section["dataset"], "row": row.to_json()}, ensure_ascii=False) + "\n"
        self._end += self._rows.write(line.encode())
        self._write_place()

    def _write_place(self) -> None:
        self._index.write(self._end.to_bytes(_WIDTH, "little"))


def open_rows(directory: Path) -> dict[str, dict[str, Sequence[Row]]]:
    """Dataset -> split -> the rows that a RowWriter left in `directory`.

    Raises:
        DataError: its files are not there, or are not of one piece.
    """
    sections = read_json(directory / _SECTIONS)
    if not isinstance(sections, list):
        raise _build_damaged(directory)
    file = _RowFile(directory)
    found: dict[str, dict[str, Sequence[Row]]] = {}
    start = 0
    for section in sections:
        end = start + int(section["rows"])
        found.setdefault(section["dataset"], {})[section["split"]] = DiskRows(file, range(start, end))
        start = end
    if file.num_rows != start:
        raise _build_damaged(directory)
    return found


class DiskRows(Sequence[Row]):
    """Some lines of the rows' file, by their numbers. Slices read nothing."""

    def __init__(self, file: _RowFile, lines: range) -> None:
        self._file = file
        self._lines = lines

    def __len__(self) -> int:
        return len(self._lines)

    @overload
    def __getitem__(self, place: int) -> Row: ...
    @overload
    def __getitem__(self, place: slice) -> DiskRows: ...
    def __getitem__(self, place: int | slice) -> Row | DiskRows:
        if isinstance(place, slice):
            return DiskRows(self._file, self._lines[place])
        return self._file.read(self._lines[place])

    def __iter__(self) -> Iterator[Row]:
        if self._lines.step == 1:
            return self._file.scan(self._lines)
        return (self._file.read(line) for line in self._lines)


class _RowFile:
    """The two files, open for as long as a sequence needs them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        try:
            self._rows = (directory / _ROWS).open("rb", buffering=0)
            self._index = (directory / _INDEX).open("rb", buffering=0)
        except OSError as error:
            raise _build_damaged(directory) from error
        self.num_rows = os.fstat(self._index.fileno()).st_size // _WIDTH - 1

    def read(self, line: int) -> Row:
        """The row of this line, by one look into the index."""
        start, end = self._find(line), self._find(line + 1)
        return _parse_line(os.pread(self._rows.fileno(), end - start, start))

    def scan(self, lines: range) -> Iterator[Row]:
        """The rows of consecutive lines, read in one go through a buffer."""
        if not lines:
            return
        with (self._directory / _ROWS).open("rb") as stream:
            stream.seek(self._find(lines.start))
            for _ in lines:
                yield _parse_line(stream.readline())

    def _find(self, line: int) -> int:
        return int.from_bytes(os.pread(self._index.fileno(), _WIDTH, line * _WIDTH), "little")


def _parse_line(line: bytes) -> Row:
    return Row.from_json(json.loads(line)["row"])


def _build_damaged(directory: Path) -> DataError:
    return DataError(f"{directory} holds no whole rows. Remove that directory and go on with --resume.")
