"""Finding and reading `.exg` files: the one place where the language meets the disk."""

from __future__ import annotations

import errno
from importlib import resources
from pathlib import Path

from exgrpo_compiler.diagnostics import Diagnostic
from exgrpo_compiler.source import Source, Span

LIBRARIES = {"std": "exgrpo_specs.std"}
"""First part of a dotted module name -> the installed Python package that holds its files."""

QUICKSTART = ("exgrpo_specs.quickstart", "word_problems.exg")


MAX_BYTES = 16 << 20


class UnreadableSpecError(Exception):
    """A spec's bytes are not text; holds the diagnostic that says so."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.message)
        self.diagnostic = diagnostic


def find_quickstart() -> Path:
    """Path of the embedded default spec."""
    package, name = QUICKSTART
    return Path(str(resources.files(package).joinpath(name)))


def read_source(path: Path, *, module: str | None = None) -> Source:
    """The file as a Source. `module` is its name in the artifact; by default the file's own name.

    Raises:
        OSError: as the system says, or the file is none that could be a spec.
        UnreadableSpecError: the file is not UTF-8.
    """
    if path.exists() and not path.is_dir() and not path.is_file():
        raise OSError(errno.EINVAL, "it is no regular file")
    if path.is_file() and path.stat().st_size > MAX_BYTES:
        raise OSError(errno.EFBIG, f"it is larger than {MAX_BYTES >> 20} MiB, which no spec is")
    raw = path.read_bytes()
    name = str(path)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        good = raw[: error.start].decode("utf-8", errors="replace")
        source = Source(name, good + "\ufffd", module or path.name)
        raise UnreadableSpecError(
            Diagnostic(
                "not-utf8",
                "error",
                f"The file is not UTF-8: byte 0x{raw[error.start]:02x} at offset {error.start} cannot be decoded.",
                Span(source, len(good), len(good) + 1),
                hint="save the file as UTF-8",
            )
        ) from error
    return Source(name, text.replace("\r\n", "\n"), module or path.name)


def load_module(target: str, importer: Source) -> Source | None:
    """The Source that `use target` in `importer` means, or None where there is none.

    A target that ends in `.exg` is a path relative to the importing file; any other is a dotted module of an installed
    library.
    """
    if target.endswith(".exg"):
        path = Path(importer.name).parent / target
        return read_source(path, module=target.removeprefix("./")) if path.is_file() else None
    library, _, rest = target.partition(".")
    package = LIBRARIES.get(library)
    if package is None or not rest:
        return None
    path = Path(str(resources.files(package).joinpath(*rest.split(".")[:-1], rest.split(".")[-1] + ".exg")))
    return read_source(path, module=target) if path.is_file() else None
