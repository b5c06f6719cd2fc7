"""Rows of local files, one at a time: JSON Lines, CSV, parquet, and Arrow's IPC files and streams.

Invariant: what cannot be read is an error with the place where it stands; a broken line is never skipped. Of a
file no more is in memory than the row that is read, or than a block of columns. Local paths are relative to the
directory that the command runs in.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NoReturn

from exgrpo_artifact.errors import DataError, MissingDependencyError, SourceError

RawRow = Mapping[str, Any]

WHOLE: Final = ""
"""Name of the only part of a source that has no named parts."""

ROWS_AT_ONCE: Final = 256
"""Rows of a columnar file that are turned into objects together."""

_COLUMN_BUFFER: Final = 1 << 20
_IPC_FILE_MAGIC: Final = b"ARROW1"

csv.field_size_limit(1 << 27)


def read_file(what: str, kind: str, path: Path) -> Iterator[RawRow]:
    """The rows of a file, read as they are asked for.

    Args:
        what: what an error message begins with: "dataset `sums`".
        kind: `jsonl`, `csv`, `parquet` or `arrow`.
        path: the file.

    Raises:
        SourceError: the file cannot be opened.
        DataError: something in it is not what its kind says.
        MissingDependencyError: parquet or arrow without pyarrow.
    """
    return _READERS[kind](what, path)


def count_file(what: str, kind: str, path: Path) -> int:
    """How many rows `read_file` gives; lines of JSON are counted without being read.

    Raises:
        ExgrpoError: as `read_file`.
    """
    if kind == "jsonl":
        return sum(1 for _, line in _read_lines(what, path) if line.strip())
    if kind == "parquet":
        with _open_parquet(what, path) as file:
            return int(file.metadata.num_rows)
    if kind == "arrow":
        return sum(batch.num_rows for batch in _read_batches(what, path))
    return sum(1 for _ in read_file(what, kind, path))


def build_missing(what: str, things: str, extra: str) -> MissingDependencyError:
    """The error for a source whose library is not installed."""
    return MissingDependencyError(
        f"{what}: reading {things} needs the extra `{extra}`: pip install 'exgrpo[{extra}]'"
    )


def _refuse_file(what: str, path: Path, error: OSError) -> NoReturn:
    raise SourceError(
        f"{what}: {path} cannot be read: {error.strerror or error}. "
        "Paths in a spec are relative to the directory that the command runs in."
    ) from error


# --- lines ------------------------------------------------------------------------------------------------


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


# --- columns ----------------------------------------------------------------------------------------------


@contextmanager
def _arrow_boundary(what: str, path: Path, kind: str) -> Iterator[None]:
    """Turns refusals of pyarrow and of the system into errors that name the file."""
    try:
        from pyarrow import ArrowException
    except ImportError as error:
        raise build_missing(what, f"{kind} files", "probe") from error
    try:
        yield
    except ArrowException as error:
        article = "an" if kind == "arrow" else "a"
        raise DataError(f"{what}: {path} is not {article} {kind} file that can be read: {error}") from error
    except OSError as error:
        _refuse_file(what, path, error)


@contextmanager
def _open_parquet(what: str, path: Path) -> Iterator[Any]:
    with _arrow_boundary(what, path, "parquet"):
        from pyarrow.parquet import ParquetFile

        with path.open("rb") as stream:
            # Buffered, so that a row group of a million rows is read in pieces.
            yield ParquetFile(stream, buffer_size=_COLUMN_BUFFER, pre_buffer=False)


def _read_parquet(what: str, path: Path) -> Iterator[RawRow]:
    with _open_parquet(what, path) as file:
        for batch in file.iter_batches(batch_size=ROWS_AT_ONCE):
            yield from batch.to_pylist()


def _read_arrow(what: str, path: Path) -> Iterator[RawRow]:
    with _arrow_boundary(what, path, "arrow"):
        for batch in _read_batches(what, path):
            for start in range(0, batch.num_rows, ROWS_AT_ONCE):
                yield from batch.slice(start, ROWS_AT_ONCE).to_pylist()


def _read_batches(what: str, path: Path) -> Iterator[Any]:
    """Record batches of an IPC file or stream, mapped from the disk and not copied."""
    with _arrow_boundary(what, path, "arrow"):
        from pyarrow import ipc, memory_map

        with memory_map(str(path)) as mapped:
            is_file = mapped.read(len(_IPC_FILE_MAGIC)) == _IPC_FILE_MAGIC
            mapped.seek(0)
            if not is_file:
                with ipc.open_stream(mapped) as stream:
                    yield from stream
                return
            with ipc.open_file(mapped) as file:
                yield from (file.get_batch(number) for number in range(file.num_record_batches))


_READERS: Final[Mapping[str, Callable[[str, Path], Iterator[RawRow]]]] = {
    "jsonl": _read_jsonl,
    "csv": _read_csv,
    "parquet": _read_parquet,
    "arrow": _read_arrow,
}

FILE_KINDS: Final = frozenset(_READERS)
"""Kinds of sources that are local files."""
