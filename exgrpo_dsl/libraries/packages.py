"""Libraries from installed Python packages: found by their metadata, read as files, never imported.

A package declares its libraries in the entry points of the group `exgrpo.library`: `words = "team_words"` says that the folder of
the package `team_words` is the library `words`.
"""

from __future__ import annotations

import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from exgrpo_artifact.named import NamedTuple
from exgrpo_dsl.check_cache import MANIFEST
from exgrpo_dsl.errors import ProjectError

GROUP = "exgrpo.library"


class Installed(NamedTuple):
    """A library of an installed package."""

    version: str
    """Of the package."""
    folder: Path


def find_installed(package: str, name: str) -> Installed:
    """Where the library of an installed package lies.

    Raises:
        ProjectError: the package is not installed, or has no such library.
    """
    try:
        found = distribution(package)
    except (PackageNotFoundError, ValueError) as error:
        raise ProjectError(
            f"library `{name}`: the package {package} is not installed beside exgrpo. Run `pip install {package}`."
        ) from error
    targets = {point.name: point.value for point in found.entry_points if point.group == GROUP}
    if name not in targets:
        told = f"it has {', '.join(f'`{each}`' for each in sorted(targets))}" if targets else "it has none"
        raise ProjectError(
            f"library `{name}`: the package {package} declares no such library ({GROUP}): {told}."
        )
    return Installed(found.version, _find_folder(found, targets[name], name))


def _find_folder(found: Distribution, module: str, name: str) -> Path:
    parts = module.partition(":")[0].strip().split(".")
    # An editable install lies elsewhere, in a folder that its .pth file has put on the path.
    for root in (str(found.locate_file("")), *sys.path):
        folder = Path(root, *parts)
        if root and (folder / MANIFEST).is_file():
            return folder
    raise ProjectError(
        f"library `{name}`: the package {found.metadata['Name']} has no {MANIFEST} in `{module}`; it was built without its files."
    )
