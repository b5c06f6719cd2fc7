"""Libraries from git: the files of one commit, through the git command.

git asks for nothing (no password, no passphrase), runs no hook, and checks nothing out: what a library is made of is read from its
objects, byte for byte, whatever filters and attributes the repository or the user has.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from exgrpo_artifact.named import NamedTuple
from exgrpo_dsl.errors import LibraryError, ProjectError
from exgrpo_dsl.libraries.content import MAX_BYTES, select_names

_OPTIONS = ("-c", "core.hooksPath=/dev/null", "-c", "protocol.ext.allow=never", "-c", "gc.auto=0")
_SILENT = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "",
    "SSH_ASKPASS": "",
    "SSH_ASKPASS_REQUIRE": "never",
    "GCM_INTERACTIVE": "never",
    "LC_ALL": "C",
}
_LINK = "120000"
_LOCAL = frozenset(
    {
        "GIT_DIR",
        "GIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_COMMON_DIR",
        "GIT_NAMESPACE",
        "GIT_PREFIX",
    }
)
"""Variables that git sets for its hooks: exgrpo may be run by one."""


class Commit(NamedTuple):
    """A commit and the files of the library at its root."""

    revision: str
    files: dict[str, bytes]


def fetch_commit(url: str, rev: str, name: str) -> Commit:
    """What a revision (a branch, a tag, a commit) of a repository is now. `name` is the library's.

    Raises:
        LibraryError: git cannot be run or cannot read the repository, or it has no such revision.
        ProjectError: a file of the library is a link, or too large.
    """
    with tempfile.TemporaryDirectory(prefix="exgrpo-git-", ignore_cleanup_errors=True) as folder:
        repository = Path(folder)
        _git(repository, "init", "--quiet", "--bare", "--template=")
        revision = _fetch(repository, url, rev, name)
        return Commit(revision, _read_tree(repository, revision, name))


def _fetch(repository: Path, url: str, rev: str, name: str) -> str:
    """Fetches as little as the other side allows; gives the commit."""
    quick = _run(repository, "fetch", "--quiet", "--depth=1", "--no-tags", "--", url, rev)
    if quick.returncode == 0:
        return _git(repository, "rev-parse", "FETCH_HEAD^{commit}").decode().strip()
    # Not every server gives a commit by its hash, and none by an abbreviation of it: then all that has a name is fetched.
    whole = _run(repository, "fetch", "--quiet", "--no-tags", "--", url, "+refs/*:refs/*")
    if whole.returncode != 0:
        raise LibraryError(
            f"library `{name}`: git cannot read {url}: {_find_reason(whole)}. Nothing was written."
        )
    found = _run(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{rev}^{{commit}}")
    if found.returncode != 0:
        raise LibraryError(
            f"library `{name}`: {url} has no revision `{rev}`. Give another to `exgrpo add {name} --git {url} --rev …`, "
            f"or run `exgrpo update {name}` if a commit that was locked is gone."
        )
    return found.stdout.decode().strip()


def _read_tree(repository: Path, revision: str, name: str) -> dict[str, bytes]:
    listed = _git(repository, "ls-tree", "-r", "-z", "--full-tree", revision).decode(
        "utf-8", "surrogateescape"
    )
    entries = {}
    for line in filter(None, listed.split("\0")):
        about, _, path = line.partition("\t")
        mode, kind, digest = about.split()
        if kind == "blob":
            entries[path] = mode, digest
    wanted = select_names(entries)
    for path in wanted:
        if entries[path][0] == _LINK:
            raise ProjectError(
                f"library `{name}`: {path} is a link, and what it leads to is no part of the library."
            )
    request = "".join(f"{entries[path][1]}\n" for path in wanted).encode()
    return _split_batch(_git(repository, "cat-file", "--batch", given=request), wanted, name)


def _split_batch(raw: bytes, names: list[str], library: str) -> dict[str, bytes]:
    """The blobs in the output of `git cat-file --batch`, in the order in which they were asked for."""
    files, at = {}, 0
    for name in names:
        end = raw.index(b"\n", at)
        size = int(raw[at:end].split()[2])
        if size > MAX_BYTES:
            raise ProjectError(f"library `{library}`: {name} is larger than {MAX_BYTES >> 20} MiB.")
        files[name] = raw[end + 1 : end + 1 + size]
        at = end + 1 + size + 1
    return files


def _git(repository: Path, *arguments: str, given: bytes = b"") -> bytes:
    done = _run(repository, *arguments, given=given)
    if done.returncode != 0:
        raise LibraryError(f"`git {arguments[0]}` failed: {_find_reason(done)}.")
    return done.stdout


def _run(repository: Path, *arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    kept = {key: value for key, value in os.environ.items() if key not in _LOCAL}
    environment = {**kept, **_SILENT, "GIT_DIR": str(repository)}
    environment.setdefault("GIT_SSH_COMMAND", "ssh -oBatchMode=yes")
    try:
        return subprocess.run(
            ["git", *_OPTIONS, *arguments],
            input=given,
            capture_output=True,
            cwd=repository,
            env=environment,
            check=False,
        )
    except OSError as error:
        raise LibraryError(
            f"git cannot be run: {error.strerror}. Install it; a library from git needs it."
        ) from error


def _find_reason(done: subprocess.CompletedProcess[bytes]) -> str:
    lines = [line for line in done.stderr.decode("utf-8", "replace").splitlines() if line.strip()]
    told = [line for line in lines if line.startswith(("fatal: ", "error: "))] or lines or ["no reason given"]
    return told[0].removeprefix("fatal: ").removeprefix("error: ").rstrip(".")
