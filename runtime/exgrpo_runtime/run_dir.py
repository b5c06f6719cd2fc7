"""RUN_DIR: where a run keeps its results, so that whatever is there is whole.

    run.json  result.json  metrics.jsonl  report.html
    artifact/               the compiled task that is being run
    replies.sqlite          every reply of a teacher or judge
    stages/NN-name/         a finished stage: done.json and its files
    stages/.NN-name.part/   a stage under way; never read, removed by the next run

Invariant: a stage directory appears by one rename, after all its files are on disk.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from exgrpo_artifact.canonical import to_plain
from exgrpo_artifact.errors import DiskError

_DISK_ERRNOS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.ENOTDIR: "a part of the path is a file",
    errno.EFBIG: "the file is larger than is allowed here",
    errno.ENOENT: "a directory on the way does not exist and cannot be made",
    errno.ENAMETOOLONG: "the name is too long",
    errno.ELOOP: "the path goes round in a circle of links",
    errno.EISDIR: "there is a directory of that name",
    errno.EEXIST: "there is something else of that name",
    errno.EIO: "the disk fails",
    errno.EBUSY: "it is in use",
}


KEPT = "Finished stages are kept; mend it and go on with --resume."
"""What a DiskError of a run ends with."""


@contextmanager
def disk_boundary(path: Path, advice: str = KEPT) -> Iterator[None]:
    """Turns the operating system's refusals below `path` into one DiskError that says what to do.

    Raises:
        DiskError: full, read-only or forbidden. Other errors pass unchanged.
    """
    try:
        yield
    except DiskError:
        raise
    except Exception as error:
        reason = _find_disk_reason(error)
        if reason is None:
            raise
        raise DiskError(f"{path} cannot be written: {reason}. {advice}") from error


def _find_disk_reason(error: BaseException) -> str | None:
    if isinstance(error, OSError) and error.errno in _DISK_ERRNOS:
        return _DISK_ERRNOS[error.errno]
    # safetensors and pyarrow raise classes of their own, with the system's words in their text.
    text = str(error)
    if "No space left on device" in text or "os error 28" in text:
        return _DISK_ERRNOS[errno.ENOSPC]
    if "Read-only file system" in text or "os error 30" in text:
        return _DISK_ERRNOS[errno.EROFS]
    return None


def write_text(path: Path, text: str) -> None:
    """Writes a file whole: a temporary one beside it, flushed to disk, then renamed."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Writes `value` as readable JSON, whole."""
    write_text(path, json.dumps(to_plain(value), indent=2, ensure_ascii=False) + "\n")


def write_lines(path: Path, values: Iterable[Any]) -> None:
    """Writes a JSON Lines file whole, one value a line."""
    write_text(path, "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values))


def read_json(path: Path) -> Any:
    """The JSON in `path`, or None where there is no such file or it is not JSON."""
    try:
        return json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None


def read_lines(path: Path) -> list[Any]:
    """The values of a JSON Lines file; empty where there is none."""
    try:
        return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line]
    except FileNotFoundError:
        return []


class RunDir:
    """A run directory, held by one process at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stages = path / "stages"
        self._lock: int | None = None

    def __enter__(self) -> RunDir:
        with disk_boundary(self.path):
            self.stages.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.path / ".lock", os.O_CREAT | os.O_RDWR)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            self._lock = None
            raise DiskError(
                f"{self.path} is in use by another run. Wait for it, or give another --out."
            ) from error
        with disk_boundary(self.path):
            for part in self.stages.glob(".*.part"):
                shutil.rmtree(part)
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def holds_run(self) -> bool:
        """Whether a run was started here before."""
        return (self.path / "run.json").exists()

    def get_stage_dir(self, index: int, name: str) -> Path:
        """Where stage number `index` stands when it is finished."""
        return self.stages / f"{index:02d}-{name}"

    def find_done(self, index: int, name: str, inputs: str) -> Mapping[str, Any] | None:
        """The stage's done.json if it finished for just these inputs."""
        done = read_json(self.get_stage_dir(index, name) / "done.json")
        if isinstance(done, dict) and done.get("inputs") == inputs:
            return done
        return None

    @contextmanager
    def open_stage(self, index: int, name: str) -> Iterator[Path]:
        """A fresh directory to write a stage in; removed when the block raises, moved into place otherwise."""
        final = self.get_stage_dir(index, name)
        work = self.stages / f".{final.name}.part"
        with disk_boundary(self.path):
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir()
            try:
                yield work
                shutil.rmtree(final, ignore_errors=True)
                work.replace(final)
            finally:
                shutil.rmtree(work, ignore_errors=True)

    def drop_stages_from(self, index: int, keep: set[str]) -> None:
        """Removes finished stage directories numbered `index` or later that are not in `keep`."""
        for path in self.stages.iterdir():
            number = path.name.split("-", 1)[0]
            if number.isdigit() and int(number) >= index and path.name not in keep:
                shutil.rmtree(path)
