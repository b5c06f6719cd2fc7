"""Spec files written anew: as a whole or not at all, with the mode and the line ends that they had."""

from __future__ import annotations

import os
import sys
from difflib import unified_diff
from pathlib import Path

from exgrpo_artifact.errors import DiskError
from exgrpo_artifact.named import NamedTuple
from exgrpo_compiler.source import Source
from exgrpo_dsl.loading import decode_source, read_named_bytes

STDIN = "-"
"""Names standard input on the command line."""


class SpecText(NamedTuple):
    """A spec as it was read, and the line ends to write it with."""

    source: Source
    is_crlf: bool

    @property
    def path(self) -> Path:
        """Where it was read."""
        return Path(self.source.name)


def read_spec_text(path: str) -> SpecText:
    """A spec file, or standard input.

    Raises:
        UsageError: there is no such file, or it cannot be read.
        UnreadableSpecError: it is no text.
    """
    if path == STDIN:
        raw, name = sys.stdin.buffer.read(), "<stdin>"
    else:
        raw, name = read_named_bytes(path), path
    return SpecText(decode_source(name, raw, Path(name).name), _has_crlf(raw))


def encode_text(spec: SpecText, text: str) -> bytes:
    """The bytes of a text with the line ends of the spec, all alike."""
    return (text.replace("\n", "\r\n") if spec.is_crlf else text).encode("utf-8")


def is_same(spec: SpecText, text: str) -> bool:
    """Whether writing the text would leave the spec's file as it is."""
    return spec.source.text == text and (
        spec.source.name == "<stdin>" or spec.path.read_bytes() == encode_text(spec, text)
    )


def write_spec_text(spec: SpecText, text: str) -> None:
    """Puts a text in place of the spec's file in one step; a link stays a link.

    Raises:
        DiskError: the disk refuses; the file is as it was.
    """
    target = Path(os.path.realpath(spec.path))
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        try:
            part.write_bytes(encode_text(spec, text))
            part.chmod(target.stat().st_mode & 0o7777)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise DiskError(f"{spec.path} cannot be written: {error.strerror}. It is as it was.") from error


def render_diff(spec: SpecText, text: str) -> str:
    """What would change, as a unified diff."""
    before, after = spec.source.text.splitlines(True), text.splitlines(True)
    lines = unified_diff(before, after, spec.source.name, spec.source.name)
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )


def _has_crlf(raw: bytes) -> bool:
    """Whether the first line ends with a carriage return and a line feed."""
    end = raw.find(b"\n")
    return end > 0 and raw[end - 1 : end] == b"\r"
