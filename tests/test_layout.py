"""The map is true, and the wheel holds what the tree holds."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tests.support.data import ROOT
from tests.support.sums import write_sums

BASE_LIMIT_MB = 40


def test_every_path_that_the_map_names_exists() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    paths = set(
        re.findall(
            r"`?((?:exgrpo_dsl|compiler|runtime|specs|tests|benchmarks|docs|scripts)/[\w./-]*\w/?)", text
        )
    )
    assert len(paths) > 30
    missing = sorted(path for path in paths if not (ROOT / path).exists())
    assert missing == []


def test_every_module_is_on_the_map() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    roots = ("exgrpo_dsl", "compiler", "runtime", "specs")
    modules = [
        path
        for root in roots
        for path in (ROOT / root).rglob("*.py")
        if path.name not in ("__init__.py", "__main__.py")
    ]
    missing = sorted(str(path.relative_to(ROOT)) for path in modules if path.name not in text)
    assert missing == []


def test_relative_links_of_the_docs_lead_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    for page in pages:
        for link in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
            assert (page.parent / link).exists(), f"{page.relative_to(ROOT)} links to {link}"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that is built from the sdist that is built from the tree."""
    out = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True, text=True)
    assert list(out.glob("*.tar.gz"))
    return next(out.glob("*.whl"))


def test_wheel_holds_every_file_of_the_packages(wheel: Path) -> None:
    roots = {"exgrpo_dsl": ROOT, "exgrpo_artifact": ROOT / "compiler", "exgrpo_compiler": ROOT / "compiler"}
    roots |= {"exgrpo_runtime": ROOT / "runtime", "exgrpo_specs": ROOT / "specs"}
    tree = {
        str(path.relative_to(root))
        for package, root in roots.items()
        for path in (root / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
    }
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == tree


def test_base_install_checks_a_spec_without_torch_and_is_small(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "venv"
    venv.create(environment, with_pip=True)
    python = environment / "bin" / "python"
    site = next((environment / "lib").glob("python*/site-packages"))
    before = measure(site)
    subprocess.run([python, "-m", "pip", "install", "-q", wheel], check=True, capture_output=True, text=True)
    assert (measure(site) - before) / 1e6 < BASE_LIMIT_MB
    assert not (site / "torch").exists()
    spec = write_sums(tmp_path)
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    exgrpo = environment / "bin" / "exgrpo"
    for command in (["check", spec], ["compile", spec, "-o", tmp_path / "build"], ["doctor"]):
        result = subprocess.run(
            [exgrpo, *command], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stdout + result.stderr
    assert (tmp_path / "build" / "sums_exgrpo" / "manifest.json").is_file()
    result = subprocess.run(
        [exgrpo, "run", spec], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert result.returncode == 3
    assert "exgrpo[train]" in result.stderr


def measure(directory: Path) -> int:
    """Bytes on disk, as `du` counts them without compiled caches."""
    return sum(
        path.stat().st_size for path in directory.rglob("*") if path.is_file() and path.suffix != ".pyc"
    )
