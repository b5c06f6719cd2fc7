"""The command line as a user runs it: a process of its own."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tests.support.data import ROOT

SOURCE_ROOTS = (ROOT, ROOT / "compiler", ROOT / "runtime", ROOT / "specs")


def build_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a user without credentials, seeing this checkout."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("TEACHER_", "OPENAI_", "EXGRPO_"))
    }
    paths = os.pathsep.join(str(path) for path in SOURCE_ROOTS)
    return {**kept, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "COLUMNS": "200", **(extra or {})}


def build_command(*arguments: object) -> list[str]:
    """`exgrpo ARGUMENTS` with this interpreter."""
    return [sys.executable, "-m", "exgrpo_dsl.cli", *(str(argument) for argument in arguments)]


def run_exgrpo(
    *arguments: object, cwd: Path, env: Mapping[str, str] | None = None, timeout: float = 300
) -> subprocess.CompletedProcess[str]:
    """Runs `exgrpo` to its end."""
    return subprocess.run(
        build_command(*arguments),
        cwd=cwd,
        env=build_environment(env),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


class Called(NamedTuple):
    """What a command gave, run in this process."""

    code: int
    out: str
    err: str


def call_exgrpo(*arguments: object, cwd: Path) -> Called:
    """Runs `exgrpo` in this process: quick, but without what only a process of its own shows."""
    from exgrpo_dsl.cli.app import run_command

    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(cwd), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run_command([str(argument) for argument in arguments])
    return Called(code, out.getvalue(), err.getvalue())


def start_exgrpo(
    *arguments: object, cwd: Path, env: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """Starts `exgrpo` in a process group of its own, to be signalled."""
    return subprocess.Popen(
        build_command(*arguments),
        cwd=cwd,
        env=build_environment(env),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
