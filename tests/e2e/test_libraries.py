"""Libraries of specs: what `exg.toml` may say, who sees what, and which library a name stands for.

Peers' complaint that this answers: BAML #1632 (no modules).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from exgrpo_compiler.syntax.terminals import RESERVED
from exgrpo_dsl.libraries.manifest import TAKEN
from tests.support.cli import call_exgrpo
from tests.support.libraries import (
    SPEC,
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


# ---- using a library


def test_a_module_of_a_required_library_is_found_by_its_name(app: Path) -> None:
    check(app)
    done = call_exgrpo("compile", "a.exg", cwd=app)
    assert done.code == 0, done.err
    assert "Ask why." in (app / "build/lessons/manifest.json").read_text()
    assert str(app.parent) not in (app / "build/lessons/manifest.json").read_text()


def test_a_project_is_found_from_any_folder_below_it(app: Path) -> None:
    (app / "specs/deep").mkdir(parents=True)
    (app / "a.exg").rename(app / "specs/deep/a.exg")
    assert call_exgrpo("check", "a.exg", cwd=app / "specs/deep").code == 0
    assert "words 1.0.0" in call_exgrpo("deps", cwd=app / "specs/deep").out


def test_a_library_that_is_not_required_is_told_with_the_command(app: Path) -> None:
    (app / "a.exg").write_text(SPEC.replace("words.rules", "wards.rules"))
    assert "did you mean `words.rules`" not in fail(app, "check", "a.exg")
    assert "exgrpo add" in fail(app, "check", "a.exg")


def test_a_library_sees_only_what_it_requires_itself(tmp_path: Path) -> None:
    """`base` is in the project because of the project, and `words` did not ask for it."""
    write_library(tmp_path / "base", "base")
    write_library(tmp_path / "words", "words")
    write_rules(tmp_path / "words", uses="use base.rules.{why_so as w}\n")
    app = write_project(tmp_path / "app", {"words": WORDS, "base": '{ path = "../base" }'})
    assert "words/rules.exg:2: There is no module `base.rules`" in fail(app, "lock")
    write_manifest(tmp_path / "words", "words", {"base": '{ path = "../base" }'})
    assert call_exgrpo("lock", cwd=app).code == 0
    check(app)


def test_a_library_reads_no_file_outside_of_itself(tmp_path: Path) -> None:
    write_library(tmp_path / "words", "words")
    write_rules(tmp_path, name="outer")
    write_rules(tmp_path / "words", uses='use "../rules.exg".{outer}\n')
    app = write_project(tmp_path / "app", {"words": WORDS})
    assert "There is no file `../rules.exg`" in fail(app, "lock")


def test_a_link_is_no_file_of_a_library(app: Path) -> None:
    (app.parent / "secret.exg").write_text("exg 1\n")
    (app.parent / "words/more.exg").symlink_to(app.parent / "secret.exg")
    assert "more.exg is a link" in fail(app, "check", "a.exg")


def test_only_specs_and_the_manifest_are_part_of_a_library(app: Path) -> None:
    """Python, data, hidden folders and another library inside are not: they change nothing."""
    words = app.parent / "words"
    (words / "evil.py").write_text("raise SystemExit")
    (words / ".hidden").mkdir()
    (words / ".hidden/x.exg").write_text("nonsense")
    write_library(words / "inner", "inner")
    check(app)


def test_a_project_behind_a_link_finds_what_the_system_finds(app: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/link").symlink_to(app)
    assert call_exgrpo("check", "link/a.exg", cwd=tmp_path / "elsewhere").code == 0


# ---- exg.toml


def test_no_library_is_called_as_a_reserved_word() -> None:
    assert frozenset(word.lower() for word in RESERVED) | {"std"} == TAKEN


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("requries = {}", "unknown key `requries`; did you mean `requires`?"),
        (
            "[requires]\nwords = { pth = '../words' }",
            "unknown key `pth` in `requires.words`; did you mean `path`?",
        ),
        ("[requires]\nwords = '../words'", "`requires.words` must be `{ path"),
        ("[requires]\nwords = { git = 'https://example.org/w' }", "`requires.words` must be"),
        ("[requires]\nwords = { path = 'w', package = 'w' }", "one of them only"),
        ("[requires]\nwords = { path = '/srv/words' }", "must be relative to exg.toml"),
        ("[requires]\nwords = { git = 'https://u:p@example.org/w', rev = 'v1' }", "holds a password"),
        ("[requires]\nwords = { git = '--upload-pack=x', rev = 'v1' }", "begins with `-`"),
        ("[requires]\nstd = { path = '../std' }", "`std` in `requires` is no name"),
        ("[requires]\nwhere = { path = '../where' }", "`where` in `requires` is no name"),
        ("[requires]\n'a-b' = { path = '../std' }", "`a-b` in `requires` is no name"),
        ("[requires\n", "is not TOML"),
    ],
)
def test_a_wrong_manifest_is_told_at_every_check(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "exg.toml").write_text(f'name = "a"\nversion = "0.1.0"\nedition = 1\n{line}\n')
    (tmp_path / "a.exg").write_text("exg 1\n")
    assert message in fail(tmp_path, "check", "a.exg")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('name = "a-b"', "`name` must be a name that `use` can say"),
        ('version = "1"', '`version` must be three numbers, as "0.1.0"'),
        ("edition = 2", "`edition` must be 1"),
        ("edition = true", "`edition` must be 1"),
    ],
)
def test_name_version_and_edition_are_checked(tmp_path: Path, line: str, message: str) -> None:
    lines = {"name": 'name = "a"', "version": 'version = "0.1.0"', "edition": "edition = 1"}
    lines[line.split()[0]] = line
    (tmp_path / "exg.toml").write_text("\n".join(lines.values()))
    (tmp_path / "a.exg").write_text("exg 1\n")
    assert message in fail(tmp_path, "check", "a.exg")


def test_a_manifest_without_requirements_needs_no_lock(tmp_path: Path) -> None:
    app = write_project(tmp_path / "app", spec="exg 1\n\nuse std.rules.{why}\n")
    done = call_exgrpo("check", "a.exg", cwd=app)
    assert (done.code, "exg.lock" in done.err) == (0, False)


# ---- several libraries


def test_a_diamond_has_its_lower_library_once(tmp_path: Path) -> None:
    write_library(tmp_path / "base", "base")
    for name in ("words", "left"):
        write_library(tmp_path / name, name, {"base": '{ path = "../base" }'})
    app = write_project(tmp_path / "app", {"words": WORDS, "left": '{ path = "../left" }'})
    assert call_exgrpo("lock", cwd=app).code == 0
    check(app)
    assert call_exgrpo("deps", cwd=app).out == (
        "lessons 1.0.0\n"
        "  left 1.0.0 (path ../left)\n"
        "    base 1.0.0 (path ../base)\n"
        "  words 1.0.0 (path ../words)\n"
        "    base 1.0.0 (path ../base)\n"
    )


def make_two_versions(tmp_path: Path) -> tuple[str, str]:
    base = write_library(tmp_path / "base", "base")
    commit_all(base, "v1")
    write_manifest(base, "base", version="2.0.0")
    commit_all(base, "v2")
    return point_to_git(base, "v1"), point_to_git(base, "v2")


def test_a_diamond_of_two_versions_names_both_requirers(tmp_path: Path) -> None:
    first, second = make_two_versions(tmp_path)
    write_library(tmp_path / "words", "words", {"base": second})
    write_library(tmp_path / "left", "left", {"base": first})
    app = write_project(tmp_path / "app", {"words": WORDS, "left": '{ path = "../left" }'})
    message = fail(app, "lock")
    url = (tmp_path / "base").as_uri()
    assert f"`left` wants {url} at v1, `words` wants {url} at v2" in message
    assert "exgrpo add base" in message
    assert not (app / "exg.lock").exists()


def test_the_project_decides_between_two_versions(tmp_path: Path) -> None:
    first, second = make_two_versions(tmp_path)
    write_library(tmp_path / "words", "words", {"base": second})
    write_library(tmp_path / "left", "left", {"base": first})
    app = write_project(tmp_path / "app", {"words": WORDS, "left": '{ path = "../left" }', "base": second})
    assert call_exgrpo("lock", cwd=app).code == 0
    assert "base 2.0.0" in call_exgrpo("deps", cwd=app).out
    check(app)


@pytest.mark.parametrize(
    ("requires", "circle"),
    [
        ({"words": "left", "left": "words"}, "left -> words -> left"),
        ({"words": "left", "left": "base", "base": "words"}, "base -> words -> left -> base"),
        ({"words": "lessons"}, "lessons -> words -> lessons"),
    ],
)
def test_a_circle_is_told_as_a_circle(tmp_path: Path, requires: dict[str, str], circle: str) -> None:
    for name, needed in requires.items():
        write_library(tmp_path / name, name, {needed: f'{{ path = "../{needed}" }}'})
    app = write_project(tmp_path / "app", {"words": WORDS})
    assert circle in fail(app, "lock")


def test_a_library_is_required_by_the_name_that_it_has(tmp_path: Path) -> None:
    write_library(tmp_path / "words", "phrases")
    app = write_project(tmp_path / "app", {"words": WORDS})
    assert "calls itself `phrases`" in fail(app, "lock")


# ---- add


def test_add_leaves_what_else_stands_in_the_manifest(tmp_path: Path) -> None:
    write_library(tmp_path / "words", "words")
    app = write_project(tmp_path / "app")
    (app / "exg.toml").write_text(
        '# ours\nname = "lessons"\nversion = "0.1.0"\nedition = 1\n\n[requires]  # by name\n# none yet\n'
    )
    assert call_exgrpo("add", "words", "--path", "../words", cwd=app).code == 0
    text = (
        '# ours\nname = "lessons"\nversion = "0.1.0"\nedition = 1\n\n[requires]  # by name\n# none yet\n'
        'words = { path = "../words" }\n'
    )
    assert (app / "exg.toml").read_text() == text
    write_library(tmp_path / "w2", "words")
    assert call_exgrpo("add", "words", "--path", "../w2", cwd=app).code == 0
    assert (app / "exg.toml").read_text() == text.replace("../words", "../w2")
    check(app)


def test_add_that_fails_changes_nothing(app: Path) -> None:
    before = {path.name: path.read_bytes() for path in app.iterdir()}
    assert "holds no exg.toml" in fail(app, "add", "more", "--path", "../nowhere")
    assert {path.name: path.read_bytes() for path in app.iterdir()} == before


def test_a_requirement_that_cannot_be_put_in_by_line_is_told(tmp_path: Path) -> None:
    write_library(tmp_path / "words", "words")
    app = write_project(tmp_path / "app")
    (app / "exg.toml").write_text('name = "lessons"\nversion = "0.1.0"\nedition = 1\nrequires = {}\n')
    assert 'Put `words = { path = "../words" }` into its `requires` yourself' in fail(
        app, "add", "words", "--path", "../words"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("words",),
        ("words", "--git", "https://example.org/w"),
        ("words", "--path", "a", "--package", "b"),
        ("a-b", "--path", "a"),
    ],
)
def test_a_command_that_says_no_place_is_a_usage_error(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    fail(write_project(tmp_path / "app"), "add", *arguments, code=2)


def test_without_a_manifest_the_commands_say_what_to_write(tmp_path: Path) -> None:
    for command in (("lock",), ("update",), ("deps",), ("vendor",), ("add", "a", "--path", "b")):
        assert 'version = "0.1.0"' in fail(tmp_path, *command, code=2)
