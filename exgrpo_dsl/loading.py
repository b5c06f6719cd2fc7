"""Finding and reading `.exg` files: the one place where the language meets the disk.

Plain `os.path`: `pathlib` costs a cold `check` a tenth of its time.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from exgrpo_compiler.diagnostics import Diagnostic
from exgrpo_compiler.source import Source, Span
from exgrpo_dsl.check_cache import MANIFEST
from exgrpo_dsl.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from exgrpo_compiler.program import Load

LIBRARIES = {"std": "exgrpo_specs.std"}
"""First part of a dotted module name -> the installed Python package that holds its files."""

QUICKSTART = ("exgrpo_specs.quickstart", "word_problems.exg")
SUFFIX = ".exg"
MAX_BYTES = 16 << 20


class UnreadableSpecError(Exception):
    """A spec's bytes are not text; holds the diagnostic that says so."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.message)
        self.diagnostic = diagnostic


def find_quickstart() -> Path:
    """Path of the embedded default spec."""
    from pathlib import Path

    package, name = QUICKSTART
    return Path(_find_package(package)) / name


def find_specs(paths: Sequence[str]) -> list[str]:
    """The files as given, and for a directory every `.exg` file below it, sorted; each once.

    Raises:
        UsageError: a directory holds none.
    """
    found: dict[str, None] = {}
    for path in paths:
        inside = _walk_folder(path) if os.path.isdir(path) else [path]
        if not inside:
            raise UsageError(f"{path} holds no {SUFFIX} file.")
        found.update(dict.fromkeys(inside))
    return list(found)


def _walk_folder(root: str) -> list[str]:
    found: list[str] = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found.extend(os.path.join(folder, name) for name in sorted(names) if name.endswith(SUFFIX))
    return found


def read_named_bytes(path: str) -> bytes:
    """The bytes of a spec that the user, or another spec, named.

    Raises:
        UsageError: there is no such file, or it cannot be read.
    """
    try:
        return read_bytes(path)
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such file.") from error
    except IsADirectoryError as error:
        raise UsageError(f"{path} is a directory; name a {SUFFIX} file.") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error


def open_spec(path: str | Path) -> Source:
    """The text of a spec that the user named.

    Raises:
        UsageError: there is no such file, or it cannot be read.
        UnreadableSpecError: it is no text.
    """
    name = str(path)
    return decode_source(name, read_named_bytes(name), os.path.basename(name))


def read_bytes(path: str) -> bytes:
    """The bytes of a spec.

    Raises:
        OSError: as the system says, or the file is none that could be a spec.
    """
    status = os.stat(path)
    # Looked at before it is opened: to open a pipe would wait for its other end.
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        raise OSError(errno.EINVAL, "it is no regular file")
    if status.st_size > MAX_BYTES:
        raise OSError(errno.EFBIG, f"it is larger than {MAX_BYTES >> 20} MiB, which no spec is")
    with open(path, "rb") as file:
        return file.read()


def decode_source(name: str, raw: bytes, module: str) -> Source:
    """The bytes as a Source, line breaks as LF.

    Raises:
        UnreadableSpecError: they are not UTF-8.
    """
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        good = raw[: error.start].decode("utf-8", errors="replace")
        source = Source(name, good + "\ufffd", module)
        raise UnreadableSpecError(
            Diagnostic(
                "not-utf8",
                "error",
                f"The file is not UTF-8: byte 0x{raw[error.start]:02x} at offset {error.start} cannot be decoded.",
                Span(source, len(good), len(good) + 1),
                hint="save the file as UTF-8",
            )
        ) from error
    return Source(name, text.replace("\r\n", "\n"), module)


def read_source(path: str | Path, *, module: str | None = None) -> Source:
    """The file as a Source. `module` is its name in the artifact; by default the file's own name.

    Raises:
        OSError: as the system says, or the file is none that could be a spec.
        UnreadableSpecError: the file is not UTF-8.
    """
    name = str(path)
    return decode_source(name, read_bytes(name), module or os.path.basename(name))


def find_module(target: str, importer: str) -> str | None:
    """Where the file that `use target` means would be, whether it is there or not; None where no library has the name.

    A target that ends in `.exg` is a path relative to the importing file; any other is a dotted module of an installed
    library.
    """
    if target.endswith(SUFFIX):
        return os.path.normpath(os.path.join(os.path.dirname(importer), target))
    library, _, rest = target.partition(".")
    package = LIBRARIES.get(library)
    if package is None or not rest:
        return None
    return os.path.join(_find_package(package), *rest.split(".")) + SUFFIX


def list_manifests(folder: str) -> list[str]:
    """Where an `exg.toml` is looked for, for the specs in a folder: up to the first that is there, which is then the last."""
    found = []
    folder = os.path.abspath(folder)
    while True:
        found.append(os.path.join(folder, MANIFEST))
        above = os.path.dirname(folder)
        if above == folder or os.path.isfile(found[-1]):
            return found
        folder = above


def open_loader(path: str | Path) -> Load:
    """How the modules are found that a spec, and what it imports, uses: with the libraries of its project, if it is in one.

    Raises:
        ProjectError: the project or its lock is wrong.
    """
    manifest = list_manifests(os.path.dirname(str(path)))[-1]
    if not os.path.isfile(manifest):
        return load_module
    from exgrpo_dsl.libraries.project import open_project  # here: most specs are in no project

    project = open_project(manifest)

    def load(target: str, importer: Source) -> Source | None:
        return _read_module(project.find_module(target, importer.name), target)

    return load


def load_module(target: str, importer: Source) -> Source | None:
    """The Source that `use target` in `importer` means outside of any project, or None where there is none.

    Raises:
        UsageError: there is one, and it cannot be read.
        UnreadableSpecError: it is no text.
    """
    return _read_module(find_module(target, importer.name), target)


def _read_module(path: str | None, target: str) -> Source | None:
    if path is None or not os.path.isfile(path):
        return None
    return decode_source(path, read_named_bytes(path), target.removeprefix("./"))


def _find_package(name: str) -> str:
    package = import_module(name)
    assert package.__file__ is not None, f"{name} is an ordinary package"
    return os.path.dirname(package.__file__)
