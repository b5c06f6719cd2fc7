"""Rows of Hugging Face datasets: of the hub by name and revision, of local folders, streamed or from the disk.

Invariant: a dataset that is not streamed lies on the disk and is mapped from there; one that is streamed is
nowhere but in flight. Neither is in memory as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sized
from pathlib import Path
from typing import Any, Final, NoReturn

from exgrpo_artifact.errors import SourceError
from exgrpo_artifact.manifest import Source
from exgrpo_runtime.data.files import WHOLE, RawRow, build_missing
from exgrpo_runtime.quiet import silence_libraries

_COMMIT: Final = re.compile("[0-9a-f]{40}")
"""A dataset of the hub is known to the library by the commit that it was read from."""
_SAVED: Final = ("dataset_dict.json", "state.json")
"""Files of which `save_to_disk` writes one into its directory."""


class HubSource:
    """A dataset that the library `datasets` loads, at its first use."""

    def __init__(self, what: str, source: Source) -> None:
        self.location = str(source.location)
        self._what = what
        self._options = source.options
        self._parts: Mapping[str, Any] | None = None
        self._commit: str | None = None

    def list_parts(self) -> list[str]:
        """Names of the parts; one empty name where the dataset was saved without any.

        Raises:
            SourceError: the dataset cannot be loaded.
        """
        return list(self._load())

    def read_part(self, part: str) -> Iterator[RawRow]:
        """The rows of a part, as they are asked for.

        Raises:
            SourceError: the dataset cannot be loaded, has no such part, or breaks off.
        """
        rows = self._find_part(part)
        try:
            yield from rows
        except Exception as error:  # a stream is the network at every row
            self._refuse(part, error)

    def count_part(self, part: str) -> int:
        """How many rows a part has; a stream is read to its end for that.

        Raises:
            SourceError: as `read_part`.
        """
        rows = self._find_part(part)
        return len(rows) if isinstance(rows, Sized) else sum(1 for _ in self.read_part(part))

    def find_commit(self) -> str | None:
        """The commit that the rows are of, once they are loaded; None for a local folder."""
        return self._commit

    def _find_part(self, part: str) -> Iterable[RawRow]:
        parts = self._load()
        if part not in parts:
            names = ", ".join(f"`{name}`" for name in parts if name) or "none by name"
            raise SourceError(f"{self._what}: its source has no part `{part}`. Parts: {names}.")
        rows: Iterable[RawRow] = parts[part]
        return rows

    def _load(self) -> Mapping[str, Any]:
        if self._parts is None:
            datasets = self._import()
            try:
                self._parts = self._load_saved(datasets) if self._is_saved() else self._build(datasets)
            except Exception as error:  # classes of its own, of httpx, fsspec and pyarrow
                self._refuse(None, error)
        return self._parts

    def _load_saved(self, datasets: Any) -> Mapping[str, Any]:
        saved = datasets.load_from_disk(self.location)
        return saved if isinstance(saved, dict) else {WHOLE: saved}

    def _build(self, datasets: Any) -> Mapping[str, Any]:
        builder = datasets.load_dataset_builder(
            self.location, name=self._options.get("config"), revision=self._options.get("revision")
        )
        if not Path(self.location).exists() and _COMMIT.fullmatch(str(builder.hash)):
            self._commit = builder.hash
        if self._options.get("streaming", False):
            return dict(builder.as_streaming_dataset())
        builder.download_and_prepare()
        return dict(builder.as_dataset())

    def _is_saved(self) -> bool:
        return any((Path(self.location) / name).is_file() for name in _SAVED)

    def _import(self) -> Any:
        silence_libraries()
        try:
            import datasets
        except ImportError as error:
            raise build_missing(self._what, "datasets of the Hugging Face hub", "train") from error
        datasets.disable_progress_bars()
        return datasets

    def _refuse(self, part: str | None, error: Exception) -> NoReturn:
        named = f"`{self.location}`" + (f", part `{part}`," if part else "")
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise SourceError(
            f"{self._what}: {named} could not be loaded from disk or from the Hugging Face hub: {reason}. Check the "
            "name, its config and the network; without one, download the rows and name them with "
            f"--set '{self._what.split('`')[1]}.source=jsonl(PART: \"FILE\")'."
        ) from error
