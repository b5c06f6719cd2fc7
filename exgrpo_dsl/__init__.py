"""exgrpo: declare probes, dialogues and rewards in `.exg`; compile them; distil a student with them."""

from __future__ import annotations

from exgrpo_artifact.version import VERSION as __version__

# `typing` is not imported here: a `check` whose results are stored is little more than the interpreter's start.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from exgrpo_artifact.errors import ExgrpoError
    from exgrpo_artifact.storage import Artifact, read_artifact

__all__ = ["Artifact", "ExgrpoError", "__version__", "read_artifact"]

_HOMES = {
    "Artifact": "exgrpo_artifact.storage",
    "ExgrpoError": "exgrpo_artifact.errors",
    "read_artifact": "exgrpo_artifact.storage",
}


def __getattr__(name: str) -> object:
    from importlib import import_module

    # Imported when asked for: the command line must not wait for them, nor be interrupted in them.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(_HOMES[name]), name)
    return found
