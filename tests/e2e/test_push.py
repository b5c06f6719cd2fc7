"""`exgrpo push`: against a hub on loopback, and never without being asked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cli import run_exgrpo
from tests.support.hub import Hub, serve_hub
from tests.support.openai_server import serve_teacher
from tests.support.sums import answer_sums, write_sums

pytestmark = pytest.mark.train

TOKEN = "hf_planted_token_77ab"
PUSH = ("push", "out", "--stage", "probe", "--to", "org/name")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the run `out`, made while a hub was there to be pushed to."""
    path = tmp_path_factory.mktemp("push")
    write_sums(path, rows=2)
    with serve_hub({}) as hub, serve_teacher(answer_sums) as server:
        environment = {**server.env, **hub.build_environment(path / "home"), "HF_TOKEN": TOKEN}
        result = run_exgrpo("run", "sums.exg", "--stage", "probe", "--out", "out", cwd=path, env=environment)
        assert result.returncode == 0, result.stderr
        assert hub.requests == []
    return path


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serve_hub({}) as running:
        yield running


def test_the_folder_arrives_as_it_is_and_replaces_an_earlier_one(
    place: Path, hub: Hub, tmp_path: Path
) -> None:
    hub.files.update({"data/older.jsonl": b"{}", "notes.md": b"somebody's own"})
    environment = {**hub.build_environment(tmp_path), "HF_TOKEN": TOKEN}
    result = run_exgrpo(*PUSH, "--private", cwd=place, env=environment)
    assert result.returncode == 0, result.stderr
    folder = place / "out/stages/01-probe/dataset"
    assert hub.files == {"notes.md": b"somebody's own"} | {
        str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }
    assert [(each["name"], each["type"], each["visibility"]) for each in hub.created] == [
        ("name", "dataset", "private")
    ]
    assert f"pushed {folder.relative_to(place)} to org/name: {hub.url}/" in result.stdout
    assert hub.tokens - {None} == {f"Bearer {TOKEN}"}
    assert TOKEN not in result.stdout + result.stderr


def test_without_a_token_nothing_is_sent(place: Path, hub: Hub, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "token").write_text(TOKEN)  # where the library would look by itself
    result = run_exgrpo(*PUSH, cwd=place, env={**hub.build_environment(home), "HF_TOKEN": ""})
    assert result.returncode == 2
    assert "HF_TOKEN is not set" in result.stderr
    assert "nothing was sent" in re.sub(r"\s+", " ", result.stderr)
    assert hub.requests == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("push", "nowhere", "--stage", "probe", "--to", "a/b"), "nowhere is not a run directory"),
        (
            ("push", "out", "--stage", "train", "--to", "a/b"),
            "no finished probe stage `train`. Stages with a dataset: `probe`.",
        ),
        (("push", "out", "--stage", "probe", "--to", "b"), "--to b: write ORG/NAME"),
        (("push", "out", "--stage", "probe"), "Missing option '--to'"),
    ],
)
def test_a_wrong_command_is_told_and_sends_nothing(
    place: Path, hub: Hub, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    result = run_exgrpo(*arguments, cwd=place, env={**hub.build_environment(tmp_path), "HF_TOKEN": TOKEN})
    assert result.returncode == 2
    assert words in re.sub(r"\s+", " ", result.stderr)
    assert hub.requests == []


def test_a_hub_that_cannot_be_reached_or_refuses_is_told_without_the_token(
    place: Path, tmp_path: Path
) -> None:
    with serve_hub({}) as gone:
        pass
    environment = {**gone.build_environment(tmp_path), "HF_TOKEN": TOKEN}
    for arguments in (PUSH, (*PUSH[:-1], "org/na me")):
        result = run_exgrpo(*arguments, cwd=place, env=environment)
        assert result.returncode == 3, result.stderr
        assert "could not be pushed to `org/na" in result.stderr
        assert TOKEN not in result.stdout + result.stderr
        assert "Traceback" not in result.stderr
