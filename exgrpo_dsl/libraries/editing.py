"""`exg.toml` with one requirement more, or another; its comments and its order stay."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from exgrpo_dsl.check_cache import MANIFEST
from exgrpo_dsl.errors import ProjectError
from exgrpo_dsl.libraries.manifest import Manifest, parse_manifest
from exgrpo_dsl.libraries.origin import Origin

_TABLE = re.compile(r"^\s*\[")
_REQUIRES = re.compile(r"^\s*\[\s*requires\s*\]\s*(#.*)?$")


def add_requirement(text: str, name: str, origin: Origin, path: Path) -> tuple[str, Manifest]:
    """The text of an `exg.toml` with `name = origin` in its table `requires`, and what it then says.

    Raises:
        ProjectError: the text is no manifest, or is written in a way that cannot be edited line by line.
    """
    before = parse_manifest(text.encode(), str(path))
    line = f"{name} = {origin.render()}"
    edited = _insert(text.splitlines(), name, line)
    try:
        after = parse_manifest(edited.encode(), str(path))
        is_right = dict(after.requires) == {**before.requires, name: origin}
    except (ProjectError, tomllib.TOMLDecodeError):
        is_right = False
    if not is_right:
        raise ProjectError(
            f"{MANIFEST} cannot be edited as it is written. Put `{line}` into its `requires` yourself."
        )
    return edited, after


def _insert(lines: list[str], name: str, line: str) -> str:
    start = next((at for at, each in enumerate(lines) if _REQUIRES.match(each)), None)
    if start is None:
        return "\n".join([*lines, "", "[requires]", line]) + "\n"
    end = next((at for at in range(start + 1, len(lines)) if _TABLE.match(lines[at])), len(lines))
    for at in range(start + 1, end):
        if re.match(rf"\s*{name}\s*=", lines[at]):
            return "\n".join([*lines[:at], line, *lines[at + 1 :]]) + "\n"
    while end > start + 1 and not lines[end - 1].strip():
        end -= 1
    return "\n".join([*lines[:end], line, *lines[end:]]) + "\n"
