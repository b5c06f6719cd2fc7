"""Checking spec files: one session for many files, with results that still hold taken from the cache.

A file that several specs import is read and parsed once in a session. What a result depends on is exactly what the session's
loader was asked for, so that the cache knows it too.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from exgrpo_artifact.errors import InternalError
from exgrpo_artifact.named import NamedTuple
from exgrpo_compiler.ast import SpecFile
from exgrpo_compiler.diagnostics import Diagnostic, Edit, Fix, Label, Outcome
from exgrpo_compiler.parse import parse_spec
from exgrpo_compiler.pipeline import check_spec
from exgrpo_compiler.source import Source, Span
from exgrpo_dsl.check_cache import CheckCache, Closure, Stored, hash_bytes
from exgrpo_dsl.loading import (
    UnreadableSpecError,
    decode_source,
    find_module,
    list_manifests,
    read_named_bytes,
    read_source,
)
from exgrpo_dsl.notes import list_notes

if TYPE_CHECKING:
    from exgrpo_dsl.libraries.project import Project

NUM_SAMPLED = 2
"""Stored results that are computed again in a run that computes others anyway."""


class CheckedFile(NamedTuple):
    """What `check` says of a file."""

    path: str
    diagnostics: tuple[Diagnostic, ...]
    notes: tuple[str, ...] = ()
    """What is worth knowing though nothing is wrong."""


class CheckSession:
    """Files read, and modules parsed, so far."""

    def __init__(self, cache: CheckCache | None = None) -> None:
        self._cache = cache
        self._raw: dict[str, bytes | None] = {}
        self._sources: dict[tuple[str, str], Source] = {}
        self._parsed: dict[str, Outcome[SpecFile]] = {}
        self._imported: set[str] = set()
        self._places: dict[str, tuple[dict[str, str], Project | None]] = {}
        self._projects: dict[str, Project] = {}

    def check(self, path: str, overrides: Sequence[str] = ()) -> CheckedFile:
        """The result for a file: stored, or computed and stored.

        Raises:
            UsageError: there is no such file.
            ProjectError: the project that it belongs to, or its lock, is wrong; also where a result is stored.
            UnreadableSpecError: never; a file that is no text is a diagnostic.
        """
        self._look_up(path)
        stored = self._cache.find(path) if self._cache is not None and not overrides else None
        if stored is not None:
            return restore_result(path, stored)
        return self.compute(path, overrides)

    def compute(self, path: str, overrides: Sequence[str] = ()) -> CheckedFile:
        """The result for a file, computed.

        Raises:
            UsageError: there is no such file.
            ProjectError: the project that it belongs to, or its lock, is wrong.
        """
        manifests, project = self._look_up(path)
        closure = dict(manifests)
        find = find_module if project is None else project.find_module
        try:
            source = self._read(path, os.path.basename(path), closure)

            def load(target: str, importer: Source) -> Source | None:
                found = find(target, importer.name)
                if found is None:
                    return None
                return self._load(found, target.removeprefix("./"), closure)

            outcome = check_spec(source, load, overrides=overrides, parse=self._parse)
        except UnreadableSpecError as error:
            return CheckedFile(path, (error.diagnostic,))
        checked = CheckedFile(path, outcome.diagnostics, list_notes(outcome.value))
        self._forget(path)
        if self._cache is not None and not overrides:
            self._cache.keep(path, tuple(closure.items()), store_result(checked))
        return checked

    def _look_up(self, path: str) -> tuple[dict[str, str], Project | None]:
        """The project that a spec belongs to, and the files that say so: manifests that are not there, one that is, its lock."""
        folder = os.path.dirname(path)
        if folder not in self._places:
            *absent, manifest = list_manifests(folder)
            if os.path.isfile(manifest):
                # Hashed before they are read: of what changes in between, no result is served later.
                seen = {path: _hash_file(path) for path in (manifest, _get_lock(manifest))}
                self._places[folder] = {**dict.fromkeys(absent, ""), **seen}, self._open_project(manifest)
            else:
                self._places[folder] = dict.fromkeys([*absent, manifest], ""), None
        return self._places[folder]

    def _open_project(self, manifest: str) -> Project:
        if manifest not in self._projects:
            from exgrpo_dsl.libraries.project import open_project  # here: most specs are in no project

            self._projects[manifest] = open_project(manifest)
        return self._projects[manifest]

    def _forget(self, path: str) -> None:
        """Lets go of a file that no other has imported so far: of a thousand specs only libraries are needed twice."""
        if path in self._imported:
            return
        module = os.path.basename(path)
        self._raw.pop(path, None)
        self._sources.pop((path, module), None)
        self._parsed.pop(f"{module}\0{path}", None)

    def verify_sample(self, paths: Sequence[str], count: int) -> None:
        """Computes some stored results again.

        Raises:
            InternalError: one is not what was stored; the cache is dropped.
        """
        if self._cache is None:
            return
        kept = [(path, stored) for path in paths if (stored := self._cache.find(path)) is not None]
        if not kept:
            return
        import random  # here: most runs draw no sample

        for path, stored in random.sample(kept, min(count, len(kept))):
            if store_result(self.compute(path)) != stored:
                self._cache.forget()
                self._cache.save()
                raise InternalError(
                    f"the stored result for {path} is not what checking it gives. It was not used, and the cache was emptied"
                )

    def _read(self, path: str, module: str, closure: dict[str, str]) -> Source:
        if path not in self._raw:
            self._raw[path] = read_named_bytes(path)
        raw = self._raw[path]
        assert raw is not None, "only files that can be read are asked for"
        closure[path] = hash_bytes(raw)
        if (path, module) not in self._sources:
            self._sources[path, module] = decode_source(path, raw, module)
        return self._sources[path, module]

    def _load(self, path: str, module: str, closure: dict[str, str]) -> Source | None:
        self._imported.add(path)
        if path not in self._raw:
            self._raw[path] = read_named_bytes(path) if os.path.isfile(path) else None
        if self._raw[path] is None:
            closure[path] = ""
            return None
        return self._read(path, module, closure)

    def _parse(self, source: Source) -> Outcome[SpecFile]:
        key = f"{source.module}\0{source.name}"
        if key not in self._parsed:
            self._parsed[key] = parse_spec(source)
        return self._parsed[key]


def _get_lock(manifest: str) -> str:
    from exgrpo_dsl.libraries.lockfile import LOCK

    return os.path.join(os.path.dirname(manifest), LOCK)


def _hash_file(path: str) -> str:
    """As the cache hashes what a result depends on; empty where it cannot be read."""
    try:
        with open(path, "rb") as file:
            return hash_bytes(file.read())
    except OSError:
        return ""


def store_result(checked: CheckedFile) -> Stored:
    """A result as plain values: sources by name, spans by number of their source."""
    sources: dict[tuple[str, str], int] = {}

    def store_span(span: Span) -> tuple[int, int, int]:
        key = span.source.name, span.source.module
        return sources.setdefault(key, len(sources)), span.start, span.end

    diagnostics = tuple(
        (
            item.id,
            item.severity,
            item.message,
            store_span(item.span),
            tuple((store_span(label.span), label.text) for label in item.labels),
            item.hint,
            _store_fix(item.fix, store_span),
        )
        for item in checked.diagnostics
    )
    return diagnostics, tuple(sources), checked.notes


def _store_fix(fix: Fix | None, store_span: Any) -> tuple[object, ...] | None:
    if fix is None:
        return None
    return fix.title, tuple((store_span(edit.span), edit.text) for edit in fix.edits), fix.is_safe


def restore_result(path: str, stored: Stored) -> CheckedFile:
    """The result that was stored; its files have not changed since."""
    diagnostics, names, notes = cast("tuple[Any, Any, tuple[str, ...]]", stored)
    sources = [read_source(name, module=module) for name, module in names]

    def restore_span(span: tuple[int, int, int]) -> Span:
        return Span(sources[span[0]], span[1], span[2])

    def restore_fix(fix: Any) -> Fix | None:
        if fix is None:
            return None
        return Fix(fix[0], tuple(Edit(restore_span(span), text) for span, text in fix[1]), fix[2])

    restored = tuple(
        Diagnostic(
            item[0],
            item[1],
            item[2],
            restore_span(item[3]),
            tuple(Label(restore_span(span), text) for span, text in item[4]),
            item[5],
            restore_fix(item[6]),
        )
        for item in diagnostics
    )
    return CheckedFile(path, restored, tuple(notes))


__all__ = ["CheckSession", "CheckedFile", "Closure"]
