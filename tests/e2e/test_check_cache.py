"""Stored results of `check`: served while everything that they depend on is the same, and never otherwise."""

from __future__ import annotations

import marshal
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from exgrpo_artifact.errors import InternalError
from exgrpo_dsl import check_cache
from exgrpo_dsl.check_cache import FOLDER, CheckCache, open_cache
from exgrpo_dsl.checking import CheckSession

SPEC = """exg 1

use "./shared.exg".{what_if}

dataset rows {
  source = jsonl("rows.jsonl")
  split train = 80%
  field question: text
}
"""
SHARED = 'exg 1\n\nrule what_if(question: text) {\n  instruction = "Change one quantity."\n}\n'


@pytest.fixture
def specs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two specs, one importing the other, that is the working directory; the cache stands beside it."""
    folder = tmp_path / "specs"
    folder.mkdir()
    (folder / "shared.exg").write_text(SHARED)
    (folder / "a.exg").write_text(SPEC)
    monkeypatch.chdir(folder)
    monkeypatch.setenv(FOLDER, str(tmp_path / "cache"))
    return folder


def check(*paths: str) -> list[str]:
    """Ids of what is found, through a new cache object each time, as a new process would."""
    cache = open_cache(list(paths))
    assert cache is not None
    found = [item.id for path in paths for item in CheckSession(cache).check(path).diagnostics]
    cache.save()
    return found


def count_parses(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are parsed from now on."""
    from exgrpo_dsl import checking

    parsed: list[str] = []
    real = checking.parse_spec
    monkeypatch.setattr(checking, "parse_spec", lambda source: (parsed.append(source.name), real(source))[1])
    return parsed


def test_a_result_is_computed_once(specs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = check("a.exg")
    parsed = count_parses(monkeypatch)
    assert check("a.exg") == first
    assert parsed == []


@pytest.mark.parametrize("changed", ["a.exg", "shared.exg"])
def test_a_changed_file_and_what_imports_it_are_checked_again(
    specs: Path, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    check("a.exg")
    text = (specs / changed).read_text()
    status = (specs / changed).stat()
    (specs / changed).write_text(text.replace("question: text", "questien: text"))
    os.utime(specs / changed, ns=(status.st_atime_ns, status.st_mtime_ns))  # time stamps say nothing
    parsed = count_parses(monkeypatch)
    check("a.exg")
    assert "a.exg" in parsed


def test_an_import_that_appears_is_noticed(specs: Path) -> None:
    (specs / "shared.exg").unlink()
    assert "unknown-module" in check("a.exg")
    (specs / "shared.exg").write_text(SHARED)
    assert "unknown-module" not in check("a.exg")


def test_stored_diagnostics_are_those_that_were_found(specs: Path) -> None:
    (specs / "a.exg").write_text(SPEC.replace("split", "splt").replace("what_if", "what_of"))
    cache = open_cache(["a.exg"])
    assert cache is not None
    first = CheckSession(cache).check("a.exg")
    assert first.diagnostics
    cache.save()
    again = open_cache(["a.exg"])
    assert again is not None
    assert again.find("a.exg") is not None
    assert CheckSession(again).check("a.exg") == first


def test_another_compiler_has_another_cache(specs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check("a.exg")
    monkeypatch.setattr(check_cache, "compute_fingerprint", lambda: "another")
    parsed = count_parses(monkeypatch)
    check("a.exg")
    assert "a.exg" in parsed


@pytest.mark.parametrize("way", ["written over", "put in its place"])
def test_another_compiler_of_the_same_size_and_time_is_another(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a reinstall from an archive leaves it: names, sizes and time stamps are those of the archive."""
    for package in ("exgrpo_dsl", "exgrpo_compiler", "exgrpo_artifact"):
        (tmp_path / package).mkdir()
    module = tmp_path / "exgrpo_compiler" / "check.py"
    module.write_text("LIMIT = 1\n")
    os.utime(module, ns=(10**18, 10**18))
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    first = check_cache.compute_fingerprint()
    assert check_cache.compute_fingerprint() == first
    time.sleep(0.05)  # the clock of file systems ticks a hundred times a second
    if way == "written over":
        module.write_text("LIMIT = 2\n")
        os.utime(module, ns=(10**18, 10**18))
    else:
        other = tmp_path / "check.py.new"
        other.write_text("LIMIT = 2\n")
        os.utime(other, ns=(10**18, 10**18))
        other.replace(module)
    assert check_cache.compute_fingerprint() != first


def poison(cache_dir: Path) -> None:
    """Makes every stored result say that nothing is wrong."""
    (path,) = (cache_dir / "check").iterdir()
    version, made_by, entries = marshal.loads(path.read_bytes()[check_cache.HASH_SIZE :])
    entries = {spec: (closure, ((), (), ())) for spec, (closure, _) in entries.items()}
    write_cache(path, (version, made_by, entries))


def write_cache(path: Path, content: object) -> None:
    raw = marshal.dumps(content)
    path.write_bytes(check_cache.hash_bytes(raw).encode() + raw)


def test_a_stale_answer_is_refused_and_the_cache_emptied(specs: Path, tmp_path: Path) -> None:
    (specs / "a.exg").write_text(SPEC.replace("what_if", "what_of"))
    assert check("a.exg")
    poison(tmp_path / "cache")
    cache = open_cache(["a.exg"])
    assert cache is not None
    session = CheckSession(cache)
    with pytest.raises(InternalError, match=r"a\.exg is not what checking it gives"):
        session.verify_sample(["a.exg"], 1)
    fresh = open_cache(["a.exg"])
    assert fresh is not None
    assert fresh.find("a.exg") is None


def test_a_stale_answer_ends_the_command_with_70(specs: Path, tmp_path: Path) -> None:
    """In one of 32 runs a stored result is computed again: here in every one."""
    (specs / "a.exg").write_text(SPEC.replace("what_if", "what_of"))
    command = [sys.executable, "-c", "from exgrpo_dsl.cli import main; main()", "check", "a.exg"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 1
    poison(tmp_path / "cache")
    always = "import exgrpo_dsl.cli.quick as quick; quick.draws_sample = lambda: True\n"
    command[2] = always + command[2]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 70
    assert "not what checking it gives" in done.stderr
    # The cache is empty now, and the next run says what is wrong.
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "what_of" in done.stderr


@pytest.mark.parametrize("damage", [b"", b"not marshal", marshal.dumps((1, 2)), marshal.dumps("x")])
def test_a_damaged_cache_is_no_cache(specs: Path, tmp_path: Path, damage: bytes) -> None:
    check("a.exg")
    (path,) = (tmp_path / "cache" / "check").iterdir()
    path.write_bytes(damage)
    assert check("a.exg") == []


@pytest.mark.parametrize(
    "entries",
    [{"a.exg": 5}, {"a.exg": ((), 5)}, {5: ((), ((), (), ()))}, {"a.exg": (("x",), ((), (), ()))}, []],
)
def test_entries_of_another_shape_are_no_cache(specs: Path, tmp_path: Path, entries: object) -> None:
    check("a.exg")
    (path,) = (tmp_path / "cache" / "check").iterdir()
    write_cache(path, (check_cache.VERSION, check_cache.compute_fingerprint(), entries))
    assert check("a.exg") == []


def test_a_flipped_byte_is_no_cache(specs: Path, tmp_path: Path) -> None:
    (specs / "a.exg").write_text(SPEC.replace("what_if", "what_of"))
    first = check("a.exg")
    (path,) = (tmp_path / "cache" / "check").iterdir()
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x41]) + whole[place + 1 :])
        assert check("a.exg") == first


def test_a_cache_that_cannot_be_written_is_no_cache(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = CheckCache(str(tmp_path / "file" / "check" / "x"), "f")
    cache.keep("a", (), ())
    cache.save()


def test_an_empty_folder_means_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER, "")
    assert open_cache(["a.exg"]) is None


def test_a_plain_check_of_stored_results_loads_no_compiler(specs: Path) -> None:
    command = [sys.executable, "-c", "from exgrpo_dsl.cli import main; main()", "check", "a.exg"]
    first = subprocess.run(command, capture_output=True, text=True, check=False)
    probe = (
        "import os, sys, exgrpo_dsl.cli.quick as quick\n"
        "quick.draws_sample = lambda: False\n"
        "assert quick.run_quickly(['check', 'a.exg']) == 0\n"
        "print(sorted(name for name in sys.modules if name.startswith(('exgrpo_compiler', 'lark', 'click', 'pydantic'))))"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False)
    assert (first.returncode, done.stdout.strip()) == (0, "[]"), first.stderr + done.stderr
