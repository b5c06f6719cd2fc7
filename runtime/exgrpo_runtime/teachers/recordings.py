"""Recorded requests and their replies, read from a reply store, JSON Lines or parquet.

A line of JSON Lines is {"messages": [{"role", "content"}, …], "text"} or {"prompt", "text"}, with `sample` (else the place among equal
requests), `model` and the tokens where they are known. Parquet has the same columns, or those of `exgrpo store export`.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from exgrpo_artifact.errors import MissingDependencyError, TeacherError
from exgrpo_runtime.teachers.teacher import Message

_SQLITE = b"SQLite format 3\x00"


class Recording(NamedTuple):
    """One reply and what it was a reply to."""

    messages: tuple[Message, ...]
    text: str
    sample: int
    sampling: Mapping[str, Any] | None = None
    """As the request was sent; None where the file does not say."""
    model: str | None = None
    """What the spec called the model that was asked."""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


def read_recordings(path: Path, what: str) -> list[Recording]:
    """The recordings in a file, in its order.

    Args:
        path: the file.
        what: who needs it, for messages: "model `canned`".

    Raises:
        TeacherError: the file cannot be read, or holds no recording.
        MissingDependencyError: parquet without the extra `train`.
    """
    try:
        with path.open("rb") as stream:
            is_store = stream.read(len(_SQLITE)) == _SQLITE
        if is_store:
            records = _read_store(path)
        elif path.suffix == ".parquet":
            records = _read_parquet(path, what)
        else:
            records = _read_lines(path)
        found = list(_number_samples(_read_record(record) for record in records))
    except OSError as error:
        raise TeacherError(f"{what}: {path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, sqlite3.DatabaseError) as error:
        raise TeacherError(f"{what}: {path} holds no recorded replies: {error}.") from error
    if not found:
        raise TeacherError(f"{what}: {path} holds no recorded replies.")
    return found


def _read_store(path: Path) -> Iterator[Mapping[str, Any]]:
    with closing(sqlite3.connect(f"file:{quote(str(path.resolve()))}?mode=ro", uri=True)) as connection:
        columns = {row[1] for row in connection.execute("pragma table_info(replies)")}
        if "request" not in columns:
            raise ValueError("it is no reply store, or one of an exgrpo that did not keep what was asked")
        connection.row_factory = sqlite3.Row
        for row in connection.execute("select * from replies where request is not null order by rowid"):
            yield dict(row)


def _read_lines(path: Path) -> Iterator[Mapping[str, Any]]:
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                value = json.loads(line)
            except ValueError as error:
                raise ValueError(f"line {number} is not JSON") from error
            if not isinstance(value, dict):
                raise ValueError(f"line {number} is not a JSON object")
            yield {"line": number, **value}


def _read_parquet(path: Path, what: str) -> Iterator[Mapping[str, Any]]:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise MissingDependencyError(
            f"{what}: reading parquet files needs the extra `train`: pip install 'exgrpo[train]'"
        ) from error
    try:
        with ParquetFile(path) as file:
            for batch in file.iter_batches():
                yield from batch.to_pylist()
    except ArrowException as error:
        raise ValueError(f"it is no parquet file that can be read ({error})") from error


class _Read(NamedTuple):
    """A recording whose sample may be open."""

    recording: Recording
    has_sample: bool


def _read_record(record: Mapping[str, Any]) -> _Read:
    where = f"line {record['line']}" if "line" in record else "a row"
    asked = _parse(record.get("request"))
    asked = asked if isinstance(asked, Mapping) else record
    text, sample = record.get("text"), asked.get("sample")
    if not isinstance(text, str):
        raise ValueError(f"{where} has no `text`")
    recording = Recording(
        messages=_read_messages(asked, where),
        text=text,
        sample=sample if isinstance(sample, int) else 0,
        sampling=asked.get("sampling"),
        model=record.get("model"),
        prompt_tokens=record.get("prompt_tokens"),
        completion_tokens=record.get("completion_tokens"),
    )
    return _Read(recording, isinstance(sample, int))


def _read_messages(asked: Mapping[str, Any], where: str) -> tuple[Message, ...]:
    if isinstance(asked.get("prompt"), str):
        return (Message(role="user", content=asked["prompt"]),)
    messages = _parse(asked.get("messages"))
    if not isinstance(messages, list) or not messages:
        raise ValueError(f"{where} has neither `messages` nor `prompt`")
    for message in messages:
        if not isinstance(message, Mapping) or not all(
            isinstance(message.get(name), str) for name in ("role", "content")
        ):
            raise ValueError(f"{where} has a message without `role` and `content`")
    return tuple(Message(role=message["role"], content=message["content"]) for message in messages)


def _parse(value: Any) -> Any:
    """JSON in a text as the value that it stands for; anything else as it is."""
    return json.loads(value) if isinstance(value, str) else value


def _number_samples(found: Iterable[_Read]) -> Iterator[Recording]:
    seen: Counter[str] = Counter()
    for recording, has_sample in found:
        if has_sample:
            yield recording
            continue
        name = json.dumps([recording.model, *recording.messages], sort_keys=True)
        yield recording._replace(sample=seen[name])
        seen[name] += 1
