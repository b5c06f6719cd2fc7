"""What a cold `check` loads: the difference between an answer while typing and one after a coffee."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from exgrpo_dsl.loading import find_quickstart

HEAVY = frozenset(
    {
        "lark",
        "pydantic",
        "pydantic_core",
        "click",
        "rich",
        "jinja2",
        "dataclasses",
        "inspect",
        "json",
        "random",
        "decimal",
        "fractions",
        "pathlib",
        "torch",
    }
)
"""Each of these costs from a tenth of the whole budget to several times of it."""


@pytest.mark.parametrize("cache", ["", "cache"])
def test_checking_a_sound_spec_loads_nothing_heavy(tmp_path: Path, cache: str) -> None:
    probe = (
        "import os, sys\n"
        "from exgrpo_dsl.cli.quick import run_quickly\n"
        f"assert run_quickly(['check', {str(find_quickstart())!r}]) == 0\n"
        "print(*sys.modules)"
    )
    env = {
        "EXGRPO_CACHE": str(tmp_path / cache) if cache else "",
        "PYTHONPATH": ":".join(filter(None, sys.path)),
    }
    done = subprocess.run(
        [sys.executable, "-S", "-c", probe], capture_output=True, text=True, env=env, check=False
    )
    assert done.returncode == 0, done.stderr
    assert {name.partition(".")[0] for name in done.stdout.split()} & HEAVY == set()
    # Outside of a project nothing of projects is loaded.
    assert [
        name for name in done.stdout.split() if name in ("tomllib", "hashlib") or "libraries" in name
    ] == []
