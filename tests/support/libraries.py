"""Projects, libraries, scratch git repositories and installed packages that have libraries."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.support.cli import call_exgrpo

SPEC = """exg 1

use words.rules.{why_so}

dataset rows {
  source = jsonl("rows.jsonl")
  split train = 100%
  field question: text
  field answer:   text
}

model student = scratch { layers = 1; width = 32; heads = 4; vocab = 512 }
model tutor   = openai("m", base_url: env("TEACHER_URL"))

probes ask(item: rows) {
  rules   = [why_so]
  teacher = tutor
  prompt  = "{{ rule.instruction }} {{ item.question }}"
  yields { question: text, answer: text }
}

dialogue talk(item: rows) {
  user = "{{ item.question }}"
  assistant final = "{{ item.answer }}"
}

task lessons {
  data = rows; student = student; seed = 1
  stage probe  = ask(split: train)
  stage warmup = sft(talk)
}
"""


def write_manifest(
    folder: Path, name: str, requires: Mapping[str, str] | None = None, version: str = "1.0.0"
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f'name = "{name}"', f'version = "{version}"', "edition = 1", "", "[requires]"]
    lines += [f"{key} = {value}" for key, value in (requires or {}).items()]
    (folder / "exg.toml").write_text("\n".join(lines) + "\n")


def write_rules(folder: Path, instruction: str = "Ask why.", uses: str = "", name: str = "why_so") -> None:
    text = f'exg 1\n{uses}\nrule {name}(question: text) {{\n  instruction = "{instruction}"\n}}\n'
    (folder / "rules.exg").write_text(text)


def write_library(
    folder: Path, name: str, requires: Mapping[str, str] | None = None, instruction: str = "Ask why."
) -> Path:
    write_manifest(folder, name, requires)
    write_rules(folder, instruction)
    return folder


def write_project(folder: Path, requires: Mapping[str, str] | None = None, spec: str = SPEC) -> Path:
    write_manifest(folder, "lessons", requires)
    (folder / "a.exg").write_text(spec)
    return folder


def git(folder: Path, *arguments: str) -> str:
    command = [
        "git",
        "-c",
        "user.name=a",
        "-c",
        "user.email=a@example.org",
        "-c",
        "commit.gpgsign=false",
        *arguments,
    ]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


def commit_all(folder: Path, tag: str | None = None) -> str:
    """Commits a folder as it is; gives the commit."""
    if not (folder / ".git").exists():
        git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "-A", "-f")
    git(folder, "commit", "-q", "--allow-empty", "-m", "x")
    if tag is not None:
        git(folder, "tag", tag)
    return git(folder, "rev-parse", "HEAD")


def point_to_git(folder: Path, rev: str) -> str:
    return f'{{ git = "{folder.as_uri()}", rev = "{rev}" }}'


def install_package(site: Path, package: str, library: str, version: str = "1.0") -> Path:
    """What `pip install` leaves of a package with a library; to import it is an error. Gives the library's folder."""
    module = package.replace("-", "_")
    for old in site.glob(f"{module}-*.dist-info"):
        for file in old.iterdir():
            file.unlink()
        old.rmdir()
    info = site / f"{module}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(f"[exgrpo.library]\n{library} = {module}\n")
    folder = write_library(site / module, library)
    (folder / "__init__.py").write_text("raise SystemExit('a library was imported')\n")
    (folder / "plugin.py").write_text("raise SystemExit('a library was imported')\n")
    return folder


def hide_git(folder: Path) -> str:
    """A PATH whose git leaves a trace and fails."""
    folder.mkdir()
    (folder / "git").write_text(f"#!/bin/sh\necho called >> {folder / 'calls'}\nexit 1\n")
    (folder / "git").chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


WORDS = '{ path = "../words" }'


def make_app(folder: Path) -> Path:
    """A project that requires the library `words` by path, locked."""
    write_library(folder / "words", "words")
    app = write_project(folder / "app", {"words": WORDS})
    assert call_exgrpo("lock", cwd=app).code == 0
    return app


def fail(app: Path, *arguments: str, code: int = 1) -> str:
    """The message of a command that must fail, and print nothing else."""
    done = call_exgrpo(*arguments, cwd=app)
    assert (done.code, done.out) == (code, ""), done
    return done.err


def check(app: Path) -> None:
    """The project's spec must be right."""
    done = call_exgrpo("check", "a.exg", cwd=app)
    assert done.code == 0, done.err
