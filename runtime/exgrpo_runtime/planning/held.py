"""What a reply store already holds, read without changing it: a plan makes no file and takes no claim."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from exgrpo_artifact.errors import DiskError
from exgrpo_runtime.teachers.teacher import Reply, Request
from exgrpo_runtime.teachers.usage import BYTES_PER_TOKEN

_FIGURES = "prompt_tokens, completion_tokens"


class Held(NamedTuple):
    """A stored reply's figures; None where the endpoint did not count."""

    prompt_tokens: int | None
    completion_tokens: int | None


@dataclass(slots=True)
class ReplyLengths:
    """Completion tokens of stored replies to requests of one kind, as the endpoint counted them."""

    num: int = 0
    total: int = 0
    least: int = 0

    def add(self, tokens: int | None) -> None:
        """Takes in one more reply; one that was not counted says nothing."""
        if tokens is None:
            return
        self.least = tokens if self.num == 0 else min(self.least, tokens)
        self.num += 1
        self.total += tokens


class ModelPast(NamedTuple):
    """What the store says of a model's past."""

    replies: int = 0
    latency_s: float | None = None
    """Mean of the replies that were timed."""
    cost_usd: float = 0.0
    """Of the replies whose cost was known when they arrived."""
    uncosted_prompt_tokens: int = 0
    uncosted_completion_tokens: int = 0
    """Of the others, estimated where the endpoint did not count: as a run's budget counts them (`ReplyStore.sum_usage`)."""


class HeldReplies:
    """A store as it stands, or nothing where there is no file.

    Raises:
        DiskError: the file is no store, or cannot be read.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path if path is not None and path.is_file() else None
        self._columns = self._read_columns("replies")
        if self.path is not None and not self._columns:
            raise DiskError(f"{self.path} is no reply store. Name the replies.sqlite of a run.")
        self._has_failures = "cost_usd" in self._read_columns("failures")
        # Rows of the first layout have no format, and the keys of that time.
        is_old = "1" if "format" not in self._columns else "format = 1"
        self._has_old_keys = bool(self._query(f"select 1 from replies where {is_old} limit 1"))

    def find(self, requests: Sequence[Request]) -> dict[str, Held]:
        """Key -> figures, for those of the requests whose replies are stored, under the key of an older format too."""
        return {key: Held(*values) for key, values in self._find(_FIGURES, requests).items()}

    def find_replies(self, requests: Sequence[Request]) -> dict[str, Reply]:
        """Key -> reply, for the same requests as `find`."""
        return {key: Reply(*values) for key, values in self._find(f"text, {_FIGURES}", requests).items()}

    def describe_model(self, name: str) -> ModelPast:
        """What the replies of a model of this name came to, with its failures that cost something."""
        latency, cost, request = (
            column if column in self._columns else "null" for column in ("latency_s", "cost_usd", "request")
        )
        prompt = f"coalesce(prompt_tokens, length(cast({request} as blob)) / {BYTES_PER_TOKEN}, 0)"
        completion = f"coalesce(completion_tokens, length(cast(text as blob)) / {BYTES_PER_TOKEN})"
        rows = self._query(
            f"""
            select count(*), avg({latency}), coalesce(sum({cost}), 0),
              coalesce(sum(case when {cost} is null then {prompt} end), 0),
              coalesce(sum(case when {cost} is null then {completion} end), 0)
            from replies where model = ?""",
            (name,),
        )
        past = ModelPast(*rows[0]) if rows else ModelPast()
        if not self._has_failures:
            return past
        ((failed,),) = self._query("select coalesce(sum(cost_usd), 0) from failures where model = ?", (name,))
        return past._replace(cost_usd=past.cost_usd + failed)

    def _find(self, columns: str, requests: Sequence[Request]) -> dict[str, tuple[Any, ...]]:
        found = self._find_keys(columns, [request.key for request in requests])
        if self._has_old_keys:
            old = {request.old_key: request.key for request in requests if request.key not in found}
            found.update({old[key]: one for key, one in self._find_keys(columns, list(old)).items()})
        return found

    def _find_keys(self, columns: str, keys: Sequence[str]) -> dict[str, tuple[Any, ...]]:
        statement = f"select key, {columns} from replies where key in (select value from json_each(?))"
        rows = self._query(statement, (json.dumps(keys),)) if keys else []
        return {row[0]: row[1:] for row in rows}

    def _read_columns(self, table: str) -> frozenset[str]:
        return frozenset(str(row[1]) for row in self._query(f"pragma table_info({table})"))

    def _query(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """The rows; none where there is no store."""
        if self.path is None:
            return []
        try:
            with closing(_open(self.path)) as connection:
                return connection.execute(statement, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise DiskError(f"{self.path} cannot be read: {error}.") from error


def _open(path: Path) -> sqlite3.Connection:
    # A store in write-ahead mode cannot be opened read-only where its directory cannot be written and nobody has it open;
    # then nobody changes it either, and it may be read as a plain file.
    place = quote(str(path.resolve()))
    connection = sqlite3.connect(f"file:{place}?mode=ro", uri=True, timeout=30)
    try:
        connection.execute("pragma schema_version").fetchone()
    except sqlite3.OperationalError:
        connection.close()
        connection = sqlite3.connect(f"file:{place}?immutable=1", uri=True)
    return connection
