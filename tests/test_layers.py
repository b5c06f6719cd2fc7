"""Neither side of the contract imports the other, and the light side stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli import build_environment
from tests.support.data import ROOT

PACKAGES = {
    "exgrpo_artifact": ROOT / "compiler" / "exgrpo_artifact",
    "exgrpo_compiler": ROOT / "compiler" / "exgrpo_compiler",
    "exgrpo_runtime": ROOT / "runtime" / "exgrpo_runtime",
    "exgrpo_specs": ROOT / "specs" / "exgrpo_specs",
}
TRAINING = {"torch", "transformers", "trl", "peft", "datasets", "accelerate"}
FORBIDDEN = {
    "exgrpo_artifact": {"exgrpo_compiler", "exgrpo_runtime", "exgrpo_dsl", "lark", *TRAINING},
    "exgrpo_compiler": {"exgrpo_runtime", "exgrpo_dsl", *TRAINING},
    "exgrpo_runtime": {"exgrpo_compiler", "exgrpo_dsl", "lark"},
    "exgrpo_specs": {"exgrpo_compiler", "exgrpo_runtime", "exgrpo_dsl", *TRAINING},
}


def find_imports(path: Path) -> set[str]:
    """First parts of every module that a file imports, at any depth of its code."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("package", FORBIDDEN)
def test_package_imports_nothing_that_is_forbidden_to_it(package: str) -> None:
    files = list(PACKAGES[package].rglob("*.py"))
    assert files
    for path in files:
        assert not find_imports(path) & FORBIDDEN[package], path


def test_a_planted_import_is_found(tmp_path: Path) -> None:
    planted = tmp_path / "planted.py"
    planted.write_text("def f():\n    from exgrpo_compiler.parse import parse_spec\n    import torch.nn\n")
    assert find_imports(planted) == {"exgrpo_compiler", "torch"}


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("exgrpo_compiler.pipeline", ["torch", "transformers", "exgrpo_runtime"]),
        ("exgrpo_artifact.storage", ["torch", "lark", "exgrpo_compiler"]),
        ("exgrpo_dsl.cli", ["torch", "transformers", "lark"]),
        ("exgrpo_runtime.run", ["exgrpo_compiler", "lark", "trl"]),
    ],
)
def test_importing_does_not_load(module: str, absent: list[str]) -> None:
    code = f"import sys, {module}; print(sorted(set(sys.modules) & set({absent!r})))"
    result = subprocess.run(
        [sys.executable, "-c", code], env=build_environment(), capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
