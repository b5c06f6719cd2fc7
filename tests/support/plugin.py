"""Installs an entry point for a test: a distribution's metadata and its module on the path."""

from __future__ import annotations

import importlib
import textwrap
from pathlib import Path
from typing import Any


def install_plugin(
    directory: Path, monkeypatch: Any, group: str, name: str, code: str, attribute: str
) -> None:
    """Registers `attribute` of a module holding `code` as `name` in `group`, for this test."""
    module = f"planted_{abs(hash((str(directory), name))):x}"
    (directory / f"{module}.py").write_text(textwrap.dedent(code), "utf-8")
    metadata = directory / f"{module}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n", "utf-8")
    (metadata / "entry_points.txt").write_text(f"[{group}]\n{name} = {module}:{attribute}\n", "utf-8")
    monkeypatch.syspath_prepend(str(directory))
    importlib.invalidate_caches()
