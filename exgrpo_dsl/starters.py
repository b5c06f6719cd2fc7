"""New specs: a small complete one for each kind of answer, under a name of the user's."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import exgrpo_specs.starters
from exgrpo_artifact.errors import DiskError
from exgrpo_compiler.format.formatting import format_source
from exgrpo_compiler.source import Source
from exgrpo_compiler.syntax.terminals import KINDS as DECLARATION_KINDS
from exgrpo_compiler.syntax.terminals import RESERVED, STATEMENT_WORDS
from exgrpo_dsl.errors import UsageError

KINDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "math": "the answer is a number",
        "choice": "the answer is one of four letters",
        "yesno": "the answer is yes or no",
        "free": "the answer is a word or a short phrase",
    }
)
"""Kind -> what it is for, in the order in which they are listed."""

ROWS = "rows.jsonl"
_PLACEHOLDER = re.compile(r"\bstarter(?=_|\b)")
_NAME = re.compile(r"[a-z][a-z0-9_]*")


def build_starter(name: str, kind: str) -> dict[str, str]:
    """The files of a new spec by name: the spec and its rows.

    Raises:
        UsageError: no spec can have that name, or there is no such kind.
    """
    _verify_name(name)
    if kind not in KINDS:
        raise UsageError(f"There is no kind `{kind}`; the kinds are {', '.join(KINDS)}.")
    assert exgrpo_specs.starters.__file__ is not None
    folder = Path(exgrpo_specs.starters.__file__).parent
    text = _PLACEHOLDER.sub(name, (folder / f"{kind}.exg").read_text("utf-8"))
    file = f"{name}.exg"
    formatted = format_source(Source(file, text, file)).value
    assert formatted is not None, "a starter is a spec"
    return {file: formatted, ROWS: (folder / f"{kind}.jsonl").read_text("utf-8")}


def write_starter(name: str, kind: str, directory: Path) -> tuple[Path, ...]:
    """Writes a new spec into a directory, which is made if it is not there; the paths written.

    Raises:
        UsageError: one of the files is there already, or the name or the kind is none.
        DiskError: the disk refuses.
    """
    files = build_starter(name, kind)
    paths = [directory / file for file in files]
    taken = [path for path in paths if os.path.lexists(path)]
    if taken:
        way = "another -o" if taken[0].name == ROWS else "another name, or another -o"
        raise UsageError(f"{taken[0]} exists and is left alone. Give {way}.")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for path, text in zip(paths, files.values(), strict=True):
            with path.open("x", encoding="utf-8", newline="\n") as stream:
                stream.write(text)
    except OSError as error:
        raise DiskError(f"{directory} cannot be written: {error.strerror}.") from error
    return tuple(paths)


def _verify_name(name: str) -> None:
    words = {word.lower() for word in DECLARATION_KINDS | STATEMENT_WORDS | RESERVED}
    if _NAME.fullmatch(name) and name not in words:
        return
    if name in words:
        raise UsageError(f"`{name}` is a word of the language. Try `my_{name}`.")
    close = re.sub(r"[^a-z0-9]+", "_", name.removesuffix(".exg").lower()).strip("_").lstrip("0123456789_")
    hint = f" Try `{close}`." if close and close not in words else ""
    raise UsageError(f"`{name}` cannot be the name of a spec: names are written in a-z, 0-9 and `_`.{hint}")
