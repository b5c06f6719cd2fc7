"""Programs and files of the npm registry that exgrpo's output is compared with, where `make node` has installed them."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.data import ROOT

FOLDER = ROOT / "tests" / "node"


def find_node_file(name: str) -> Path:
    """A file below tests/node/node_modules; skips the test where it is absent."""
    path = FOLDER / "node_modules" / name
    if not path.exists():
        pytest.skip("needs packages of the npm registry: `make node` installs them")
    return path


def read_mermaid(texts: Sequence[str]) -> list[dict[str, Any]]:
    """The nodes, arrows and groups that Mermaid reads in each flow chart, or `error`; skips the test without Mermaid."""
    find_node_file("mermaid/package.json")
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node")
    done = subprocess.run(
        [node, FOLDER / "read_mermaid.mjs"],
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.stdout, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def load_sarif_schema() -> dict[str, Any]:
    """The JSON Schema (draft 4) of SARIF 2.1.0 as the standard's committee publishes it; skips the test where it is absent."""
    path = find_node_file("@microsoft/jest-sarif/lib/schemas/sarif-2.1.0-rtm.5.json")
    schema: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return schema
