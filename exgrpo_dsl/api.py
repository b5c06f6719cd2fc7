"""What a program does with specs: check, compile, run. The command line is a thin layer over these functions."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from exgrpo_artifact.named import NamedTuple
from exgrpo_artifact.storage import MANIFEST, REWARD
from exgrpo_compiler.diagnostics import Diagnostic
from exgrpo_compiler.pipeline import compile_spec
from exgrpo_dsl.checking import CheckSession
from exgrpo_dsl.errors import UsageError
from exgrpo_dsl.loading import UnreadableSpecError, open_loader, open_spec
from exgrpo_runtime.run_dir import disk_boundary, read_json, write_text

Files = Mapping[str, str]

NOTHING_WRITTEN = "Nothing was written. Give another -o."


class Compiled(NamedTuple):
    """Artifacts by task, or None where the spec is wrong, and everything that was found."""

    artifacts: Mapping[str, Files] | None
    diagnostics: tuple[Diagnostic, ...]


def check_file(path: Path, *, overrides: Sequence[str] = ()) -> tuple[Diagnostic, ...]:
    """Everything wrong with a spec file.

    Raises:
        UsageError: there is no such file.
        ProjectError: the project that it belongs to, or its lock, is wrong.
    """
    return CheckSession().compute(str(path), overrides).diagnostics


def compile_file(path: Path, *, task: str | None = None, overrides: Sequence[str] = ()) -> Compiled:
    """A spec file's artifacts as texts; nothing is written.

    Raises:
        UsageError: there is no such file.
    """
    try:
        source = open_spec(path)
        outcome = compile_spec(source, open_loader(path), task=task, overrides=overrides)
    except UnreadableSpecError as error:
        return Compiled(None, (error.diagnostic,))
    return Compiled(outcome.value if outcome.is_ok else None, outcome.diagnostics)


def write_artifact(files: Files, target: Path) -> Path:
    """Puts an artifact in `target`, replacing an older artifact there as a whole.

    Raises:
        UsageError: `target` holds something that is not an artifact.
        DiskError: the disk refuses.
    """
    with disk_boundary(target, NOTHING_WRITTEN):
        if target.exists() and not _is_replaceable(target):
            raise UsageError(f"{target} exists and is not an artifact; it is left alone. Give another -o.")
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    old = target.with_name(f".{target.name}.{os.getpid()}.old")
    with disk_boundary(target, NOTHING_WRITTEN):
        try:
            part.mkdir(parents=True)
            for name, text in files.items():
                (part / name).parent.mkdir(parents=True, exist_ok=True)
                write_text(part / name, text)
            if target.exists():
                target.rename(old)
            part.rename(target)
        finally:
            shutil.rmtree(part, ignore_errors=True)
            if old.exists() and not target.exists():
                old.rename(target)
            shutil.rmtree(old, ignore_errors=True)
    return target


def _is_replaceable(target: Path) -> bool:
    """Whether `target` is an empty directory or holds an artifact of ours and nothing else."""
    if not target.is_dir():
        return False
    names = {path.name for path in target.iterdir()}
    if not names:
        return True
    manifest = read_json(target / MANIFEST)
    return (
        isinstance(manifest, dict) and "content_hash" in manifest and names <= {MANIFEST, REWARD, "prompts"}
    )
