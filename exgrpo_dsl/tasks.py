"""One task of a spec, lowered: what commands that look at a task's contents begin with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from exgrpo_artifact.graph import RewardFile
from exgrpo_artifact.manifest import Manifest
from exgrpo_artifact.named import NamedTuple
from exgrpo_artifact.storage import MANIFEST, REWARD
from exgrpo_artifact.validation import validate_json
from exgrpo_compiler.diagnostics import Diagnostic
from exgrpo_dsl.api import Files, compile_file
from exgrpo_dsl.errors import UsageError


class OneTask(NamedTuple):
    """A compiled task. `manifest` is None where the spec is wrong."""

    manifest: Manifest | None
    rewards: RewardFile
    files: Files
    diagnostics: tuple[Diagnostic, ...]


def compile_task(path: Path, task: str | None, overrides: Sequence[str] = ()) -> OneTask:
    """The task of that name, or the only one.

    Raises:
        UsageError: there is no such file, or it declares several tasks and none was named.
    """
    compiled = compile_file(path, task=task, overrides=overrides)
    if compiled.artifacts is None:
        return OneTask(None, RewardFile(rewards={}), {}, compiled.diagnostics)
    if len(compiled.artifacts) > 1:
        names = ", ".join(compiled.artifacts)
        raise UsageError(f"{path} declares several tasks: {names}. Name one with --task.")
    (files,) = compiled.artifacts.values()
    return OneTask(
        validate_json(Manifest, files[MANIFEST]),
        validate_json(RewardFile, files[REWARD]),
        files,
        compiled.diagnostics,
    )
