"""`exg.toml`: what a project or library is called, and which libraries it requires.

name = "lessons"
version = "0.1.0"
edition = 1

[requires]
words = { path = "../words" }
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from exgrpo_artifact.named import NamedTuple
from exgrpo_dsl.check_cache import MANIFEST
from exgrpo_dsl.errors import ProjectError
from exgrpo_dsl.libraries.origin import Origin, read_origin, suggest

EDITIONS = (1,)
KEYS = ("name", "version", "edition", "requires")
TAKEN = frozenset({"std", "if", "else", "for", "in", "where", "and", "or", "not", "true", "false"})
"""The library that is installed with exgrpo, and the reserved words of the language."""

_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")
_VERSION = re.compile(r"\d+\.\d+\.\d+([.+-][0-9A-Za-z.+-]+)?\Z")


class Manifest(NamedTuple):
    """What an `exg.toml` says."""

    name: str
    version: str
    edition: int
    requires: Mapping[str, Origin]


def read_manifest(path: Path) -> Manifest:
    """The manifest in a file.

    Raises:
        ProjectError: it is none.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ProjectError(f"{path} cannot be read: {error.strerror}.") from error
    return parse_manifest(raw, str(path))


def parse_manifest(raw: bytes, where: str) -> Manifest:
    """The manifest that the bytes of an `exg.toml` stand for; `where` is what messages call it.

    Raises:
        ProjectError: they stand for none.
    """
    try:
        table = tomllib.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ProjectError(f"{where} is not UTF-8.") from error
    except tomllib.TOMLDecodeError as error:
        raise ProjectError(f"{where} is not TOML: {error}.") from error
    for key in table:
        if key not in KEYS:
            raise ProjectError(
                f"{where}: unknown key `{key}`{suggest(key, KEYS) or '; there are ' + ', '.join(KEYS)}."
            )
    edition = table.get("edition")
    if edition not in EDITIONS or isinstance(edition, bool):
        raise ProjectError(f"{where}: `edition` must be 1, the edition of `exg 1`.")
    name = _read_text(table, "name", _NAME, 'a name that `use` can say, as "word_rules"', where)
    version = _read_text(table, "version", _VERSION, 'three numbers, as "0.1.0"', where)
    return Manifest(name, version, edition, _read_requires(table.get("requires", {}), name, where))


def is_name(text: str) -> bool:
    """Whether a library may be called so."""
    return _NAME.match(text) is not None and text not in TAKEN


def _read_text(table: Mapping[str, Any], key: str, form: re.Pattern[str], what: str, where: str) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not form.match(value) or value in TAKEN:
        raise ProjectError(f"{where}: `{key}` must be {what}.")
    return value


def _read_requires(table: object, own: str, where: str) -> dict[str, Origin]:
    if not isinstance(table, dict):
        raise ProjectError(f"{where}: `requires` must be a table of libraries by name.")
    for name in table:
        if not is_name(name) or name == own:
            raise ProjectError(f"{where}: `{name}` in `requires` is no name for a library here.")
    return {name: read_origin(name, table[name], where) for name in sorted(table)}


__all__ = ["MANIFEST", "Manifest", "is_name", "parse_manifest", "read_manifest"]
