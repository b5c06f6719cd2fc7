"""Where a library comes from: a folder, a commit of a git repository, or an installed Python package."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Mapping

from exgrpo_artifact.named import NamedTuple
from exgrpo_dsl.errors import ProjectError

KEYS: Mapping[str, tuple[str, ...]] = {"path": ("path",), "git": ("git", "rev"), "package": ("package",)}
"""Kind of origin -> the keys of its table, all of them due."""

_PASSWORD = re.compile(r"^[a-z+]+://[^/@]*:[^/@]*@", re.IGNORECASE)


class Origin(NamedTuple):
    """As `exg.toml` says it. A path is relative to the folder of the project, with forward slashes."""

    kind: str
    place: str
    rev: str = ""

    def render(self) -> str:
        """As an inline table of TOML."""
        values = (self.place, self.rev) if self.kind == "git" else (self.place,)
        pairs = (f"{key} = {quote(value)}" for key, value in zip(KEYS[self.kind], values, strict=True))
        return "{ " + ", ".join(pairs) + " }"

    def describe(self) -> str:
        """For a person."""
        return f"{self.place} at {self.rev}" if self.kind == "git" else f"{self.kind} {self.place}"


def quote(text: str) -> str:
    """A basic string of TOML."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def read_origin(name: str, table: object, where: str) -> Origin:
    """The origin that a value of `requires` stands for.

    Raises:
        ProjectError: it stands for none.
    """
    forms = '`{ path = "…" }`, `{ git = "…", rev = "…" }` or `{ package = "…" }`'
    if not isinstance(table, dict) or not all(isinstance(value, str) and value for value in table.values()):
        raise ProjectError(f"{where}: `requires.{name}` must be {forms}.")
    known = {key for keys in KEYS.values() for key in keys}
    for key in table:
        if key not in known:
            raise ProjectError(f"{where}: unknown key `{key}` in `requires.{name}`{suggest(key, known)}.")
    kinds = [kind for kind in KEYS if kind in table]
    if len(kinds) != 1 or set(table) != set(KEYS[kinds[0]]):
        raise ProjectError(f"{where}: `requires.{name}` must be {forms}, and one of them only.")
    origin = Origin(kinds[0], table[kinds[0]], table.get("rev", ""))
    _verify_origin(name, origin, where)
    return origin._replace(place=posixpath.normpath(origin.place)) if origin.kind == "path" else origin


def move_origin(origin: Origin, folder: str) -> Origin:
    """The same place seen from the project, where `folder` is that of the library which names it."""
    return origin._replace(place=posixpath.normpath(posixpath.join(folder, origin.place)))


def suggest(name: str, known: object) -> str:
    """`; did you mean …?`, or nothing."""
    from exgrpo_compiler.diagnostics import find_closest  # here: a manifest is seldom wrong

    closest = find_closest(name, known)  # type: ignore[arg-type]
    return f"; did you mean `{closest}`?" if closest else ""


def _verify_origin(name: str, origin: Origin, where: str) -> None:
    if origin.place.startswith("-") or origin.rev.startswith("-"):
        raise ProjectError(f"{where}: `requires.{name}` begins with `-`, which git would take for an option.")
    if origin.kind == "path" and (posixpath.isabs(origin.place) or "\\" in origin.place):
        raise ProjectError(
            f"{where}: the path of `requires.{name}` must be relative to exg.toml, with forward slashes: "
            "an absolute one is right on one machine only."
        )
    if origin.kind == "git" and _PASSWORD.match(origin.place):
        raise ProjectError(
            f"{where}: the URL of `requires.{name}` holds a password, and exg.toml is shared. Keep it in git's credential helper."
        )
