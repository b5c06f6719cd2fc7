"""Plugins by entry point: the only way in which code of others reaches a run.

A spec names an entry point that an installed package declares, never a Python path; so what a run may execute
was decided by whoever installed the packages, not by whoever wrote the spec.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

from exgrpo_artifact.errors import ExgrpoError

TEACHERS = "exgrpo.teachers"
SOURCES = "exgrpo.sources"


def load_plugin(group: str, name: str | None, what: str, error: type[ExgrpoError]) -> Callable[..., Any]:
    """The callable that an installed package registered as `name` in `group`.

    Args:
        group: an entry point group.
        name: the entry point's name.
        what: what the spec calls it, to begin an error message with: "model `tutor`".
        error: class of what is raised.

    Raises:
        ExgrpoError: of class `error`: no such entry point, or importing it failed.
    """
    registered = {point.name: point for point in entry_points(group=group)}
    if name is None or name not in registered:
        names = ", ".join(sorted(registered)) or "none"
        raise error(
            f"{what}: no installed package registers the plugin `{name}` in `{group}`. Registered: {names}. "
            "Install the package that has it into the same environment."
        )
    point = registered[name]
    try:
        return point.load()
    except Exception as cause:  # any code may run while the plugin is imported
        raise error(
            f"{what}: the plugin `{name}` ({point.value}) cannot be imported: {type(cause).__name__}: {cause}"
        ) from cause


def call_plugin(
    factory: Callable[..., Any],
    options: dict[str, Any],
    name: str | None,
    what: str,
    error: type[ExgrpoError],
) -> Any:
    """What `factory(**options)` returns; whatever it raises becomes `error`."""
    try:
        return factory(**options)
    except Exception as cause:  # code of others may raise anything
        given = ", ".join(sorted(options)) or "no options"
        raise error(
            f"{what}: the plugin `{name}` failed with {given}: {type(cause).__name__}: {cause}"
        ) from cause
