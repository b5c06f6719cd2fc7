"""Real rows of public data sets, where the machine has them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def find_data(name: str) -> Path:
    """Path of a data file below EXGRPO_TEST_DATA; skips the test where it is absent."""
    directory = Path(os.environ.get("EXGRPO_TEST_DATA", ROOT.parent / "shared" / "data"))
    path = directory / name
    if not path.is_file():
        pytest.skip(f"no real rows: {path} is absent; EXGRPO_TEST_DATA names the directory that holds them")
    return path
