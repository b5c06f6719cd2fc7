"""Which diagnostics there are, and running what their pages show: a spec through `check`, commands through a shell."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import exgrpo_compiler
import exgrpo_dsl
from exgrpo_compiler.registry import Sample
from exgrpo_dsl.api import check_file
from tests.support.cli import build_environment

MAIN = "spec.exg"
REPORTERS = re.compile(r"_?report\w*|error|warning|unknown|Diagnostic|Finding")
"""Functions whose first two arguments hold the id of a diagnostic."""
ID = re.compile(r"[a-z]+[a-z0-9]*(?:-[a-z0-9]+)+|hackable")
Reported = list[tuple[str, str]]
"""Severity and id of each diagnostic, in order."""


def run_sample(sample: Sample, directory: Path) -> Reported:
    """What is reported about a sample, by `exgrpo check` or by its own commands."""
    for name, text in sample.files:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text, encoding="utf-8")
    if sample.spec:
        (directory / MAIN).write_text(sample.spec, encoding="utf-8")
    if "--tokenizer" in sample.commands:
        pytest.importorskip("transformers", reason="a tokenizer needs the extra `train`")
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


@cache
def find_raised_ids() -> frozenset[str]:
    """Ids of the diagnostics that are made anywhere in the source of the compiler and of the facade."""
    calls = [
        node
        for package in (exgrpo_compiler, exgrpo_dsl)
        for path in Path(package.__file__ or "").parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and REPORTERS.fullmatch(_get_name(node))
    ]
    texts = [
        part.value
        for call in calls
        for argument in [*call.args[:2], *(each.value for each in call.keywords if each.arg in ("id", "id_"))]
        for part in ast.walk(argument)
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    ]
    return frozenset(text for text in texts if ID.fullmatch(text))


def _get_name(call: ast.Call) -> str:
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
