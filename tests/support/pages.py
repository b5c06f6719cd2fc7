"""Running what the pages of diagnostics show: a spec through `check`, commands through a shell."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from exgrpo_compiler.registry import Sample
from exgrpo_dsl.api import check_file
from tests.support.cli import build_environment

MAIN = "spec.exg"
Reported = list[tuple[str, str]]
"""Severity and id of each diagnostic, in order."""


def run_sample(sample: Sample, directory: Path) -> Reported:
    """What is reported about a sample, by `exgrpo check` or by its own commands."""
    for name, text in sample.files:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text, encoding="utf-8")
    if sample.spec:
        (directory / MAIN).write_text(sample.spec, encoding="utf-8")
    if sample.commands:
        return _run_commands(sample.commands, directory)
    return [(found.severity, found.id) for found in check_file(directory / MAIN)]


def _run_commands(commands: str, directory: Path) -> Reported:
    """Runs the lines that begin with `$ ` in a shell that has `exgrpo`."""
    lines = [line.removeprefix("$ ") for line in commands.splitlines() if line.startswith("$ ")]
    assert lines, "a fence `console` shows no command"
    script = f'exgrpo() {{ "{sys.executable}" -m exgrpo_dsl.cli "$@"; }}\n' + "\n".join(lines)
    result = subprocess.run(
        ["sh", "-c", script],
        cwd=directory,
        env=build_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    shown = result.stdout + result.stderr
    assert result.returncode in (0, 1), shown
    return re.findall(r"^(error|warning)\[([a-z0-9-]+)\]", shown, re.MULTILINE)
