"""A static reference of the spec files below a directory: read, checked, described, written."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from exgrpo_artifact.record import replace
from exgrpo_compiler.diagnostics import has_errors
from exgrpo_compiler.parse import parse_spec
from exgrpo_compiler.pipeline import check_spec
from exgrpo_compiler.program import Key
from exgrpo_compiler.reference.collect import Described, DescribedModule, describe_module, find_users
from exgrpo_compiler.reference.page import Writer, get_page_name
from exgrpo_compiler.resolve import resolve_program
from exgrpo_dsl.errors import UsageError
from exgrpo_dsl.loading import UnreadableSpecError, find_specs, open_loader, open_spec
from exgrpo_runtime.run_dir import disk_boundary, write_text


def build_reference(directory: Path) -> dict[str, str]:
    """The pages of a reference by file name. The same files give the same pages, wherever they lie.

    Raises:
        UsageError: the directory holds no spec, or one that is no text.
    """
    if not directory.is_dir():
        raise UsageError(f"{directory} is no directory; `exgrpo doc` describes all .exg files below one.")
    paths = [Path(path) for path in find_specs([str(directory)])]
    modules = [_describe_file(path) for path in paths]
    names = {
        module.name: path.relative_to(directory).as_posix()
        for module, path in zip(modules, paths, strict=True)
    }
    by_name = {module.name: module for module in modules}
    title = f"{directory.resolve().name} reference"
    writer = Writer(title, modules, names, find_users(by_name))
    pages = {"index.html": writer.write_index()}
    pages |= {get_page_name(names[module.name]): writer.write_module(module) for module in modules}
    return pages


def write_reference(pages: Mapping[str, str], out: Path) -> Path:
    """Writes the pages below a directory; gives the index's path.

    Raises:
        DiskError: the disk refuses.
    """
    with disk_boundary(out, "Give another -o."):
        for name, text in pages.items():
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            write_text(out / name, text)
    return out / "index.html"


def _describe_file(path: Path) -> DescribedModule:
    try:
        source = open_spec(path)
        load = open_loader(path)
        resolved = resolve_program(source, load, parse_spec)
        checked = check_spec(source, load)
    except UnreadableSpecError as error:
        raise UsageError(f"{path}: {error}") from error
    if resolved.value is None or checked.value is None:
        return DescribedModule(_normalize(source.name), (), True)
    described = describe_module(
        resolved.value, checked.value.program, is_broken=has_errors(checked.diagnostics)
    )
    return replace(
        described, name=_normalize(described.name), described=tuple(map(_normalize_keys, described.described))
    )


def _normalize_keys(one: Described) -> Described:
    links = tuple(replace(link, target=_normalize_key(link.target)) for link in one.links)
    return replace(one, key=_normalize_key(one.key), links=links)


def _normalize_key(key: Key) -> Key:
    return Key(_normalize(key.module), key.name)


def _normalize(name: str) -> str:
    """One name for a file, however an import reaches it."""
    return os.path.realpath(name)
