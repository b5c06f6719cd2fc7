"""What a reply store already holds, read without changing it: a plan makes no file and takes no claim."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from exgrpo_artifact.errors import DiskError


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
    """Of the others."""


class HeldReplies:
    """A store as it stands, or nothing where there is no file.

    Raises:
        DiskError: the file is no store, or cannot be read.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path if path is not None and path.is_file() else None
        self._columns = frozenset(self._read_columns())

    def find(self, keys: Sequence[str]) -> dict[str, Held]:
        """Key -> figures of the requests of these keys whose replies are stored."""
        statement = (
            "select key, prompt_tokens, completion_tokens from replies "
            "where key in (select value from json_each(?))"
        )
        rows = self._query(statement, (json.dumps(list(keys)),)) if self.path and keys else []
        return {key: Held(prompt, completion) for key, prompt, completion in rows}

    def describe_model(self, name: str) -> ModelPast:
        """What the replies of a model of this name came to."""
        if self.path is None:
            return ModelPast()
        latency = "avg(latency_s)" if "latency_s" in self._columns else "null"
        cost = "cost_usd" if "cost_usd" in self._columns else "null"
        statement = f"""
            select count(*), {latency}, coalesce(sum({cost}), 0),
              coalesce(sum(case when {cost} is null then prompt_tokens end), 0),
              coalesce(sum(case when {cost} is null then completion_tokens end), 0)
            from replies where model = ?"""
        ((replies, mean, usd, prompt, completion),) = self._query(statement, (name,))
        return ModelPast(replies, mean, usd, prompt, completion)

    def _read_columns(self) -> Iterable[str]:
        if self.path is None:
            return ()
        found = [str(row[1]) for row in self._query("pragma table_info(replies)", ())]
        if not found:
            raise DiskError(f"{self.path} is no reply store. Name the replies.sqlite of a run.")
        return found

    def _query(self, statement: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
        try:
            with closing(self._open()) as connection:
                return connection.execute(statement, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise DiskError(f"{self.path} cannot be read: {error}.") from error

    def _open(self) -> sqlite3.Connection:
        # A store in write-ahead mode cannot be opened read-only where its directory cannot be written and nobody has it open;
        # then nobody changes it either, and it may be read as a plain file.
        place = quote(str(Path(str(self.path)).resolve()))
        connection = sqlite3.connect(f"file:{place}?mode=ro", uri=True, timeout=30)
        try:
            connection.execute("pragma schema_version").fetchone()
        except sqlite3.OperationalError:
            connection.close()
            connection = sqlite3.connect(f"file:{place}?immutable=1", uri=True)
        return connection
