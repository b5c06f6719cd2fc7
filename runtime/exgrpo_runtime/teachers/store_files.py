"""Stores as files: what one holds, the union of several, and a store as parquet."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from exgrpo_artifact.errors import DiskError, MissingDependencyError
from exgrpo_runtime.run_dir import disk_boundary
from exgrpo_runtime.teachers.sqlite_errors import sqlite_boundary
from exgrpo_runtime.teachers.store import ReplyStore
from exgrpo_runtime.teachers.store_layout import COLUMNS, FAILURE_COLUMNS, read_layout

BATCH = 2_000
"""Rows that are in memory at once."""


class ModelInfo(NamedTuple):
    """What a store holds of the model of one name."""

    model: str
    replies: int
    prompt_tokens: int
    completion_tokens: int
    uncounted: int
    """Replies whose tokens the endpoint did not tell."""
    cost_usd: float | None
    """None where no reply's cost is known."""
    uncosted: int
    """Replies whose cost is not known."""
    failures: int
    """Requests that failed and have no reply."""


def describe_store(path: Path) -> list[ModelInfo]:
    """What the store holds, by model.

    Raises:
        DiskError: there is no store, or it cannot be read.
    """
    with _read(path) as (connection, held):
        cost, tokens = ("cost_usd" if "cost_usd" in held else "null"), "coalesce(sum({}), 0)"
        rows = connection.execute(
            f"select model, count(*), {tokens.format('prompt_tokens')}, {tokens.format('completion_tokens')},"
            f" sum(completion_tokens is null), sum({cost}), sum({cost} is null) from replies group by model"
        ).fetchall()
        failures = dict(_count_failures(connection))
    known = {row[0]: ModelInfo(*(*row, failures.get(row[0], 0))) for row in rows}
    silent = {
        model: ModelInfo(model, 0, 0, 0, 0, None, 0, count)
        for model, count in failures.items()
        if model not in known
    }
    return [info for _, info in sorted({**known, **silent}.items())]


def merge_stores(out: Path, inputs: Sequence[Path]) -> int:
    """Makes `out` the union of itself and the inputs; of two replies to one request the first stays. Gives the replies added.

    Doing it again changes nothing. The inputs are only read.

    Raises:
        DiskError: an input is no store or is of a newer layout, or `out` cannot be written.
    """
    for path in inputs:
        with _read(path):
            pass  # before anything is written, so that a bad input leaves `out` alone
    with ReplyStore(out) as store, sqlite_boundary(out), closing(sqlite3.connect(out, timeout=30)) as target:
        del store  # it brought the file up to date
        before = _count(target)
        for path in inputs:
            with _read(path) as (source, held):
                _copy(source, target, "replies", [name for name in COLUMNS if name in held])
                if _has_failures(source):
                    _copy(source, target, "failures", list(FAILURE_COLUMNS))
        return _count(target) - before


def export_store(path: Path, out: Path) -> int:
    """Writes the replies of a store as one parquet file; gives their number.

    Raises:
        MissingDependencyError: pyarrow is not installed.
        DiskError: there is no store, or the file cannot be written.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise MissingDependencyError(
            "parquet files are written by pyarrow, which is not installed: pip install 'exgrpo[probe]'"
        ) from error
    kinds = {"text": pyarrow.string(), "integer": pyarrow.int64(), "real": pyarrow.float64()}
    schema = pyarrow.schema([(name, kinds[kind.split(" ")[0]]) for name, kind in COLUMNS.items()])
    part = out.with_name(f".{out.name}.part")
    num_rows = 0
    with _read(path) as (connection, held), disk_boundary(out, "Give another file."):
        chosen = ", ".join(name if name in held else f"null as {name}" for name in COLUMNS)
        cursor = connection.execute(f"select {chosen} from replies order by created, key")
        try:
            with parquet.ParquetWriter(part, schema, compression="zstd") as writer:
                while rows := cursor.fetchmany(BATCH):
                    columns = [list(column) for column in zip(*rows, strict=True)]
                    arrays = [pyarrow.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
                    writer.write_batch(pyarrow.RecordBatch.from_arrays(arrays, schema=schema))
                    num_rows += len(rows)
            part.replace(out)
        finally:
            part.unlink(missing_ok=True)
    return num_rows


@contextmanager
def _read(path: Path) -> Iterator[tuple[sqlite3.Connection, set[str]]]:
    """A store that is only read, and the columns of its replies.

    Raises:
        DiskError: there is none, or it is of a newer layout.
    """
    if not path.is_file():
        raise DiskError(f"there is no store {path}.")
    with (
        sqlite_boundary(path),
        closing(
            sqlite3.connect(f"file:{quote(str(path.resolve()))}?mode=ro", uri=True, timeout=30)
        ) as connection,
    ):
        read_layout(connection, path)
        held = {row[1] for row in connection.execute("pragma table_info(replies)")}
        if not held:
            raise DiskError(f"{path} is a database without replies: no store of exgrpo.")
        yield connection, held


def _copy(source: sqlite3.Connection, target: sqlite3.Connection, table: str, columns: list[str]) -> None:
    names, marks = ", ".join(columns), ", ".join("?" * len(columns))
    cursor = source.execute(f"select {names} from {table}")
    while rows := cursor.fetchmany(BATCH):
        with target:
            target.executemany(f"insert or ignore into {table} ({names}) values ({marks})", rows)


def _count(connection: sqlite3.Connection) -> int:
    number: int = connection.execute("select count(*) from replies").fetchone()[0]
    return number


def _has_failures(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("pragma table_info(failures)").fetchall())


def _count_failures(connection: sqlite3.Connection) -> list[Any]:
    if not _has_failures(connection):
        return []
    return connection.execute(
        "select model, count(*) from failures where key not in (select key from replies) group by model"
    ).fetchall()
