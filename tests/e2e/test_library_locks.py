"""`exg.lock`: what it pins, and that nothing unpinned is ever read.

Peers' complaints that this answers: Terraform #17110 #34275 #37394 and OpenTofu #586 (modules that are not in the lock), buf #4003
(a stale lock goes unnoticed), buf #4529 (declared and not locked), dbt #768 (a comment is a change).
"""

from __future__ import annotations

import shutil
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest

from exgrpo_dsl.cli.quick import run_quickly
from exgrpo_dsl.errors import ProjectError
from tests.support.cli import build_command, build_environment, call_exgrpo
from tests.support.libraries import (
    WORDS,
    check,
    commit_all,
    fail,
    make_app,
    point_to_git,
    write_library,
    write_manifest,
    write_project,
    write_rules,
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    monkeypatch.setenv("EXGRPO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def app(tmp_path: Path) -> Path:
    return make_app(tmp_path)


# ---- a lock that is missing, stale or tampered with


def spoil_lock(app: Path, how: str) -> str:
    """Spoils the lock; gives what the message must say."""
    lock = app / "exg.lock"
    if how == "missing":
        lock.unlink()
        return "exg.lock is missing"
    if how == "not locked":
        write_library(app.parent / "more", "more")
        write_manifest(app, "lessons", {"words": WORDS, "more": '{ path = "../more" }'})
        return "exg.lock is older than exg.toml: `more` is required and not locked"
    if how == "elsewhere":
        write_library(app.parent / "other", "words")
        write_manifest(app, "lessons", {"words": '{ path = "../other" }'})
        return (
            "exg.lock is older than exg.toml: `words` is path ../other there, and locked from path ../words"
        )
    if how == "no longer required":
        write_manifest(app, "lessons")
        return "exg.lock is older than exg.toml: `words` is locked and no longer required"
    if how == "merged":
        lock.write_text("<<<<<<< HEAD\n" + lock.read_text())
        return "exg.lock is not as `exgrpo lock` wrote it"
    if how == "cut off":
        lock.write_text(lock.read_text()[:-100])
        return "exg.lock is not as `exgrpo lock` wrote it"
    assert how == "edited"
    text = lock.read_text()
    at = text.index('content = "') + len('content = "')
    lock.write_text(text[:at] + ("0" if text[at] != "0" else "1") + text[at + 1 :])
    return "exg.lock is not as `exgrpo lock` wrote it"


@pytest.mark.parametrize(
    "how", ["missing", "not locked", "elsewhere", "no longer required", "merged", "cut off", "edited"]
)
def test_a_lock_that_cannot_be_relied_on_is_an_error_that_names_its_cure(app: Path, how: str) -> None:
    said = spoil_lock(app, how)
    message = fail(app, "check", "a.exg")
    assert said in message
    assert "Run `exgrpo lock`" in message
    assert call_exgrpo("lock", cwd=app).code == 0
    if how != "no longer required":
        check(app)


@pytest.mark.parametrize(
    "command",
    [
        ("check", "a.exg"),
        ("compile", "a.exg"),
        ("compile", "a.exg", "--emit", "resolved"),
        ("run", "a.exg"),
        ("test", "a.exg"),
        ("plan", "a.exg"),
        ("lint", "a.exg"),
        ("stress", "a.exg"),
        ("deps",),
        ("vendor",),
        ("lock", "--frozen"),
    ],
)
def test_every_command_that_reads_a_spec_looks_at_the_lock(app: Path, command: tuple[str, ...]) -> None:
    spoil_lock(app, "edited")
    assert "Run `exgrpo lock`" in fail(app, *command)
    assert not (app / "build").exists()
    assert not (app / "runs").exists()


def test_a_library_by_path_is_locked_by_content_too(app: Path) -> None:
    write_rules(app.parent / "words", "Ask why not.")
    message = fail(app, "check", "a.exg")
    assert "are not those that exg.lock pins" in message
    assert "Run `exgrpo lock`" in message
    assert call_exgrpo("lock", cwd=app).code == 0
    check(app)


def test_a_file_that_appears_in_a_library_is_a_change(app: Path) -> None:
    (app.parent / "words/more.exg").write_text("exg 1\n")
    assert "are not those that exg.lock pins" in fail(app, "check", "a.exg")


def test_line_ends_are_no_change(app: Path) -> None:
    rules = app.parent / "words/rules.exg"
    rules.write_bytes(rules.read_bytes().replace(b"\n", b"\r\n"))
    check(app)


def test_a_stored_result_is_not_served_for_a_changed_library(
    app: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(app)
    monkeypatch.setattr("exgrpo_dsl.cli.quick.draws_sample", lambda: False)
    assert [run_quickly(["check", "a.exg"]) for _ in range(2)] == [0, 0]
    (app.parent / "words/unused.exg").write_text("exg 1\n")
    with pytest.raises(ProjectError, match="Run `exgrpo lock`"):
        run_quickly(["check", "a.exg"])


def test_a_stored_result_is_not_served_once_a_project_is_around_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = write_project(tmp_path / "app")
    manifest = (app / "exg.toml").read_text()
    (app / "exg.toml").unlink()
    monkeypatch.chdir(app)
    assert run_quickly(["check", "a.exg"]) == 1
    write_library(tmp_path / "words", "words")
    (app / "exg.toml").write_text(manifest)
    assert call_exgrpo("add", "words", "--path", "../words", cwd=app).code == 0
    assert run_quickly(["check", "a.exg"]) == 0


# ---- what is in the lock


def test_the_lock_is_the_same_wherever_the_project_lies(app: Path, tmp_path: Path) -> None:
    shutil.copytree(app, tmp_path / "deeper/copy/app")
    shutil.copytree(tmp_path / "words", tmp_path / "deeper/copy/words")
    (tmp_path / "deeper/copy/app/exg.lock").unlink()
    assert call_exgrpo("lock", cwd=tmp_path / "deeper/copy/app").code == 0
    assert (tmp_path / "deeper/copy/app/exg.lock").read_bytes() == (app / "exg.lock").read_bytes()


def test_libraries_stand_in_the_lock_by_name(tmp_path: Path) -> None:
    for name in ("zebra", "words", "ant"):
        write_library(tmp_path / name, name)
    app = write_project(
        tmp_path / "app", {name: f'{{ path = "../{name}" }}' for name in ("zebra", "ant", "words")}
    )
    assert call_exgrpo("lock", cwd=app).code == 0
    tables = [line for line in (app / "exg.lock").read_text().splitlines() if line.startswith("[")]
    assert tables == [
        f"[library.{name}{end}]" for name in ("ant", "words", "zebra") for end in ("", ".semantic")
    ]


def test_the_semantic_hash_says_whether_a_change_means_anything(app: Path) -> None:
    rules = app.parent / "words/rules.exg"
    rules.write_text(rules.read_text() + "// a comment\n")
    assert "~ words 1.0.0 -> 1.0.0; nothing changed in meaning" in call_exgrpo("lock", cwd=app).out
    write_rules(app.parent / "words", "Ask why not.")
    assert "what changed in meaning: rules.exg" in call_exgrpo("lock", cwd=app).out


def test_a_lock_that_is_right_is_left_alone(app: Path) -> None:
    before = (app / "exg.lock").stat().st_mtime_ns
    assert "exg.lock is as it was" in call_exgrpo("lock", cwd=app).err
    assert (app / "exg.lock").stat().st_mtime_ns == before
    assert call_exgrpo("lock", "--frozen", cwd=app).code == 0


def test_a_library_with_a_mistake_is_not_locked(app: Path) -> None:
    before = (app / "exg.lock").read_bytes()
    (app.parent / "words/rules.exg").write_text(
        'exg 1\n\nrule why_so(question: text) {\n  instrction = "x"\n}\n'
    )
    assert "words/rules.exg:4:" in fail(app, "lock")
    assert (app / "exg.lock").read_bytes() == before


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("[library.words", '[library."../../words"'),
        ('requires = ["words"]', 'requires = ["words", "gone"]'),
        ('version = "1.0.0"\n', ""),
        ('requires = ["words"]', "requires = 5"),
        ("requires = []", 'requires = ["gone"]'),
        ("path = ", "pth = "),
    ],
)
def test_a_forged_lock_with_the_right_digest_is_refused_too(app: Path, before: str, after: str) -> None:
    """The digest is no secret: what it covers is looked at as well, a name that leads out of the vendor folder before all."""
    text = (app / "exg.lock").read_text()
    body = text[text.index("format = ") :].replace(before, after)
    digest = sha256(body.encode()).hexdigest()
    (app / "exg.lock").write_text(f'{text.splitlines()[0]}\ndigest = "{digest}"\n{body}')
    for command in (("check", "a.exg"), ("vendor",), ("deps",)):
        assert "Run `exgrpo lock`" in fail(app, *command)


@pytest.mark.parametrize("name", ["exg.toml", "exg.lock"])
def test_a_file_of_the_project_that_cannot_be_read_is_told(app: Path, name: str) -> None:
    (app / name).unlink()
    (app / name).symlink_to(app / name)
    if name == "exg.lock":
        assert "exg.lock cannot be read" in fail(app, "check", "a.exg")
    else:
        assert "There is no exg.toml" in fail(app, "lock", code=2)


def test_two_locks_at_once_leave_one_whole_lock(tmp_path: Path) -> None:
    words = write_library(tmp_path / "words", "words")
    commit_all(words, "v1")
    app = write_project(tmp_path / "app", {"words": point_to_git(words, "v1")})
    command = build_command("lock")
    environment = build_environment({"EXGRPO_CACHE": str(tmp_path / "cache")})
    both = [subprocess.Popen(command, cwd=app, env=environment, stderr=subprocess.DEVNULL) for _ in range(2)]
    assert [one.wait() for one in both] == [0, 0]
    check(app)
    assert [path.name for path in sorted(app.iterdir())] == ["a.exg", "exg.lock", "exg.toml"]
    assert len(list((tmp_path / "cache/libraries").iterdir())) == 1
