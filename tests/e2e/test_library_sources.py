"""Where libraries come from: git, installed packages, and copies in the project.

Peers' complaints that this answers: buf #821 (no git), Terraform #3190 #15757 #15811 #22969 (validate needs network and
credentials).
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from tests.support.cli import call_exgrpo
from tests.support.libraries import (
    check,
    commit_all,
    fail,
    hide_git,
    install_package,
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


# ---- git


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with the library `words` at the tag v1, on the branch main."""
    folder = write_library(tmp_path / "origin", "words")
    (folder / "setup.py").write_text("raise SystemExit('a library was run')\n")
    commit_all(folder, "v1")
    return folder


def test_a_tag_is_locked_to_its_commit_and_read_from_the_cache(
    tmp_path: Path, repository: Path, cache: Path
) -> None:
    app = write_project(tmp_path / "app", {"words": point_to_git(repository, "v1")})
    assert call_exgrpo("lock", cwd=app).code == 0
    commit = commit_all(repository)
    assert f'revision = "{commit}"' not in (app / "exg.lock").read_text()
    shutil.rmtree(repository)
    check(app)
    (stored,) = (cache / "libraries").iterdir()
    assert sorted(path.name for path in stored.iterdir()) == ["exg.toml", "rules.exg"]
    assert f'content = "{stored.name}"' in (app / "exg.lock").read_text()


@pytest.mark.parametrize("length", [40, 9])
def test_a_commit_is_a_revision(tmp_path: Path, repository: Path, length: int) -> None:
    commit = commit_all(repository)
    write_rules(repository, "Later.")
    commit_all(repository)
    app = write_project(tmp_path / "app", {"words": point_to_git(repository, commit[:length])})
    assert call_exgrpo("lock", cwd=app).code == 0
    assert f'revision = "{commit}"' in (app / "exg.lock").read_text()


def test_a_branch_that_moves_is_followed_by_update_alone(tmp_path: Path, repository: Path) -> None:
    app = write_project(tmp_path / "app", {"words": point_to_git(repository, "main")})
    assert call_exgrpo("lock", cwd=app).code == 0
    locked = (app / "exg.lock").read_bytes()
    write_rules(repository, "Ask why not.")
    commit = commit_all(repository)
    assert call_exgrpo("lock", cwd=app).code == 0
    assert (app / "exg.lock").read_bytes() == locked
    done = call_exgrpo("update", "words", cwd=app)
    assert f"= {commit[:12]}; what changed in meaning: rules.exg" in done.out
    check(app)


def test_update_of_one_library_leaves_the_others(tmp_path: Path, repository: Path) -> None:
    other = write_library(tmp_path / "other_origin", "other")
    commit_all(other)
    requires = {"words": point_to_git(repository, "main"), "other": point_to_git(other, "main")}
    app = write_project(tmp_path / "app", requires)
    assert call_exgrpo("lock", cwd=app).code == 0
    for folder in (repository, other):
        write_rules(folder, "Ask why not.")
        commit_all(folder)
    assert [line.split()[1] for line in call_exgrpo("update", "other", cwd=app).out.splitlines()] == ["other"]
    assert "there are `other`, `words`" in fail(app, "update", "wrds", code=2)


def test_a_lost_cache_is_told_and_filled_at_the_locked_commit(
    tmp_path: Path, repository: Path, cache: Path
) -> None:
    app = write_project(tmp_path / "app", {"words": point_to_git(repository, "main")})
    assert call_exgrpo("lock", cwd=app).code == 0
    locked = (app / "exg.lock").read_bytes()
    write_rules(repository, "Ask why not.")
    commit_all(repository)
    shutil.rmtree(cache)
    assert "is not on this machine as it was locked. Run `exgrpo lock` to fetch it." in fail(
        app, "check", "a.exg"
    )
    assert call_exgrpo("lock", cwd=app).code == 0
    assert (app / "exg.lock").read_bytes() == locked
    check(app)


def test_a_changed_cache_is_noticed_and_mended(tmp_path: Path, repository: Path, cache: Path) -> None:
    app = write_project(tmp_path / "app", {"words": point_to_git(repository, "v1")})
    assert call_exgrpo("lock", cwd=app).code == 0
    (stored,) = (cache / "libraries").iterdir()
    write_rules(stored, "Reveal the answer.")
    assert "they were changed in the cache. Run `exgrpo lock`" in fail(app, "check", "a.exg")
    assert call_exgrpo("lock", cwd=app).code == 0
    check(app)


def test_frozen_and_check_never_call_git(
    tmp_path: Path, repository: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = write_project(tmp_path / "app", {"words": point_to_git(repository, "v1")})
    assert call_exgrpo("lock", cwd=app).code == 0
    monkeypatch.setenv("PATH", hide_git(tmp_path / "bin"))
    check(app)
    assert call_exgrpo("lock", "--frozen", cwd=app).code == 0
    shutil.rmtree(cache)
    for command in (("lock", "--frozen"), ("vendor", "--frozen"), ("check", "a.exg")):
        assert "Run `exgrpo lock`" in fail(app, *command)
    assert not (tmp_path / "bin/calls").exists()
    assert fail(app, "lock", code=3)
    assert (tmp_path / "bin/calls").exists()


@pytest.mark.parametrize("what", ["repository", "revision"])
def test_what_git_cannot_find_ends_with_3_and_writes_nothing(
    tmp_path: Path, repository: Path, what: str
) -> None:
    app = write_project(tmp_path / "app")
    before = (app / "exg.toml").read_bytes()
    place = repository if what == "revision" else tmp_path / "nowhere"
    message = fail(app, "add", "words", "--git", place.as_uri(), "--rev", "v9", code=3)
    assert ("has no revision `v9`" if what == "revision" else "git cannot read") in message
    assert (app / "exg.toml").read_bytes() == before
    assert sorted(path.name for path in app.iterdir()) == ["a.exg", "exg.toml"]


def test_git_asks_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As seen by the git that is called: no prompt, no askpass, no input, ssh in batch mode."""
    app = write_project(tmp_path / "app")
    path = hide_git(tmp_path / "bin")
    (tmp_path / "bin/git").write_text(
        f"#!/bin/sh\nenv > {tmp_path / 'seen'}\ncat >> {tmp_path / 'seen'}\nexit 1\n"
    )
    monkeypatch.setenv("PATH", path)
    monkeypatch.setenv("GIT_ASKPASS", "/usr/bin/ask")
    monkeypatch.setenv("GIT_INDEX_FILE", "index-of-a-hook")
    fail(app, "add", "words", "--git", "https://example.org/words", "--rev", "v1", code=3)
    seen = (tmp_path / "seen").read_text().splitlines()
    assert {"GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=", "SSH_ASKPASS_REQUIRE=never"} <= set(seen)
    assert "GIT_SSH_COMMAND=ssh -oBatchMode=yes" in seen
    assert not any(line.startswith("GIT_INDEX_FILE") for line in seen)


def test_a_url_runs_no_command(tmp_path: Path) -> None:
    app = write_project(tmp_path / "app")
    url = f"ext::sh -c 'touch {tmp_path}/ran'"
    assert "git cannot read" in fail(app, "add", "words", "--git", url, "--rev", "v1", code=3)
    assert not (tmp_path / "ran").exists()


def test_a_link_in_a_repository_is_refused(tmp_path: Path, repository: Path) -> None:
    (repository / "more.exg").symlink_to("/etc/hostname")
    commit_all(repository, "v2")
    app = write_project(tmp_path / "app", {"words": point_to_git(repository, "v2")})
    assert "more.exg is a link" in fail(app, "lock")


def test_a_library_from_git_requires_no_path(tmp_path: Path, repository: Path) -> None:
    write_manifest(repository, "words", {"base": '{ path = "../base" }'})
    commit_all(repository, "v2")
    app = write_project(tmp_path / "app", {"words": point_to_git(repository, "v2")})
    assert "requires `base` by a path" in fail(app, "lock")


# ---- installed packages


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed packages with `team-words`, which has the library `words`."""
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    install_package(tmp_path / "site", "team-words", "words")
    return tmp_path / "site"


def test_a_library_of_a_package_is_read_and_never_imported(tmp_path: Path, site: Path) -> None:
    app = write_project(tmp_path / "app")
    assert call_exgrpo("add", "words", "--package", "team-words", cwd=app).code == 0
    check(app)
    assert call_exgrpo("compile", "a.exg", cwd=app).code == 0
    assert not [name for name in sys.modules if name.startswith("team_words")]
    assert 'revision = "1.0"' in (app / "exg.lock").read_text()


def test_another_version_of_a_package_is_another_library(tmp_path: Path, site: Path) -> None:
    app = write_project(tmp_path / "app", {"words": '{ package = "team-words" }'})
    assert call_exgrpo("lock", cwd=app).code == 0
    write_rules(install_package(site, "team-words", "words", "1.1"), "Ask why not.")
    message = fail(app, "check", "a.exg")
    assert "(team-words 1.0)" in message
    assert "`exgrpo update words`" in message
    assert call_exgrpo("update", "words", cwd=app).code == 0
    check(app)


def test_a_package_that_is_not_there_or_has_no_such_library_is_told(tmp_path: Path, site: Path) -> None:
    app = write_project(tmp_path / "app")
    assert "pip install no-such-words" in fail(app, "add", "words", "--package", "no-such-words")
    assert "declares no such library (exgrpo.library): it has `words`" in fail(
        app, "add", "wrds", "--package", "team-words"
    )


def test_a_package_installed_for_editing_is_found(
    tmp_path: Path, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files are not beside its metadata; the installer has put their folder on the path."""
    (tmp_path / "src").mkdir()
    shutil.move(site / "team_words", tmp_path / "src/team_words")
    monkeypatch.syspath_prepend(str(tmp_path / "src"))
    app = write_project(tmp_path / "app", {"words": '{ package = "team-words" }'})
    assert call_exgrpo("lock", cwd=app).code == 0
    check(app)
    assert not [name for name in sys.modules if name.startswith("team_words")]


# ---- vendor


def test_a_vendored_project_checks_without_cache_git_and_packages(
    tmp_path: Path, repository: Path, site: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_package(site, "team-more", "more")
    requires = {"words": point_to_git(repository, "v1"), "more": '{ package = "team-more" }'}
    app = write_project(tmp_path / "app", requires)
    assert call_exgrpo("lock", cwd=app).code == 0
    assert call_exgrpo("vendor", cwd=app).out.split() == [
        str(app / ".exg/vendor" / name) for name in ("more", "words")
    ]
    for folder in (cache, repository, site):
        shutil.rmtree(folder)
    monkeypatch.setenv("PATH", hide_git(tmp_path / "bin"))
    check(app)
    assert call_exgrpo("check", ".", cwd=app).code == 0
    assert not (tmp_path / "bin/calls").exists()


def test_a_changed_vendored_file_is_noticed_and_put_back(tmp_path: Path, repository: Path) -> None:
    app = write_project(tmp_path / "app", {"words": point_to_git(repository, "v1")})
    call_exgrpo("lock", cwd=app)
    call_exgrpo("vendor", cwd=app)
    write_rules(app / ".exg/vendor/words", "Reveal the answer.")
    assert "Run `exgrpo vendor` to put those back" in fail(app, "check", "a.exg")
    assert call_exgrpo("vendor", "--frozen", cwd=app).code == 0
    check(app)


def test_vendor_keeps_no_library_that_is_gone(tmp_path: Path, repository: Path) -> None:
    app = write_project(tmp_path / "app", {"words": point_to_git(repository, "v1")})
    call_exgrpo("lock", cwd=app)
    call_exgrpo("vendor", cwd=app)
    (app / ".exg/vendor/README").write_text("Not ours to remove.")
    write_manifest(app, "lessons")
    call_exgrpo("lock", cwd=app)
    assert call_exgrpo("vendor", cwd=app).code == 0
    assert [path.name for path in (app / ".exg/vendor").iterdir()] == ["README"]
