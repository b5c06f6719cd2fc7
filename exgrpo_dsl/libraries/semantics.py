"""Semantic hashes of the modules of libraries, from their bytes: the same wherever the files lie."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from pathlib import Path

from exgrpo_compiler.program import Load
from exgrpo_compiler.semantic_hash import compute_semantic_hash
from exgrpo_compiler.source import Source
from exgrpo_dsl.errors import ProjectError
from exgrpo_dsl.libraries.content import Files
from exgrpo_dsl.libraries.resolution import Resolved
from exgrpo_dsl.loading import LIBRARIES, SUFFIX, UnreadableSpecError, decode_source, find_module


def hash_modules(libraries: Mapping[str, Resolved]) -> dict[str, dict[str, str]]:
    """Semantic hash by library and file.

    Raises:
        ProjectError: a file of a library does not check.
    """
    load = _build_loader(libraries)
    return {
        name: {
            file: _hash_module(name, file, one.fetched.files, load)
            for file in sorted(one.fetched.files)
            if file.endswith(SUFFIX)
        }
        for name, one in sorted(libraries.items())
    }


def _hash_module(library: str, file: str, files: Files, load: Load) -> str:
    try:
        outcome = compute_semantic_hash(_read_source(library, file, files), load)
    except UnreadableSpecError as error:
        raise ProjectError(f"library `{library}`: {file}: {error}") from error
    if outcome.value is None:
        first = next(item for item in outcome.diagnostics if item.severity == "error")
        line = first.span.source.locate(first.span.start).line
        raise ProjectError(
            f"library `{library}` is wrong, so it is not locked: {first.span.source.name}:{line}: {first.message} "
            f"({first.id})"
        )
    return outcome.value


def _build_loader(libraries: Mapping[str, Resolved]) -> Load:
    """A loader whose files are called LIBRARY/FILE and come from memory."""

    def load(target: str, importer: Source) -> Source | None:
        owner, _, inside = importer.name.partition("/")
        if owner in LIBRARIES:
            return None
        if target.endswith(SUFFIX):
            file = posixpath.normpath(posixpath.join(posixpath.dirname(inside), target))
            return _find_source(owner, file, libraries)
        name, _, rest = target.partition(".")
        if name in LIBRARIES:
            return _read_installed(target)
        if name != owner and name not in libraries[owner].manifest.requires:
            return None
        return _find_source(name, rest.replace(".", "/") + SUFFIX, libraries)

    return load


def _find_source(library: str, file: str, libraries: Mapping[str, Resolved]) -> Source | None:
    files = libraries[library].fetched.files
    return _read_source(library, file, files) if file in files else None


def _read_source(library: str, file: str, files: Files) -> Source:
    name = f"{library}/{file}"
    return decode_source(name, files[file], name)


def _read_installed(target: str) -> Source | None:
    """A module of a library that comes with exgrpo."""
    path = find_module(target, "")
    if path is None or not Path(path).is_file():
        return None
    name = target.replace(".", "/") + SUFFIX
    return decode_source(name, Path(path).read_bytes(), name)
