"""What this machine has: versions, device, extras. Looks without importing what is slow to import."""

from __future__ import annotations

import os
import shutil
import subprocess
from importlib import metadata
from importlib.util import find_spec
from typing import Any

from exgrpo_artifact.errors import MissingDependencyError

BASE = ("exgrpo", "lark", "jinja2", "pydantic", "click", "rich")
TRAIN = ("torch", "transformers", "trl", "peft", "datasets", "accelerate", "httpx")
MATH = ("math-verify",)
COHERENCE = ("sentence-transformers",)
RAY = ("ray",)


def find_version(distribution: str) -> str | None:
    """The installed version, or None."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def find_gpus() -> tuple[str, ...]:
    """Names of the NVIDIA devices that the driver reports; empty without a driver."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ()
    try:
        result = subprocess.run(
            [tool, "--query-gpu=name", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(line.strip() for line in result.stdout.splitlines() if line.strip())


def can_train() -> bool:
    """Whether every package of the extra `train` is installed."""
    return all(find_spec(name) is not None for name in TRAIN)


def require_training() -> None:
    """Returns when the extra `train` is installed.

    Raises:
        MissingDependencyError: it is not, or not whole.
    """
    missing = [name for name in TRAIN if find_spec(name) is None]
    if missing:
        raise MissingDependencyError(
            f"a run needs {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed: "
            "pip install 'exgrpo[train]'"
        )


def require_http() -> None:
    """Returns when models behind a URL can be asked.

    Raises:
        MissingDependencyError: httpx is not installed.
    """
    if find_spec("httpx") is None:
        raise MissingDependencyError(
            "models behind a URL are asked over httpx, which is not installed: pip install 'exgrpo[probe]'"
        )


def describe_device(*, asks_torch: bool = True) -> str:
    """The device that training would use, as `cuda: NVIDIA H100` or `cpu (2 threads)`.

    Args:
        asks_torch: whether torch is imported to find out if it can use the GPU that the driver reports. That takes seconds and
            hundreds of megabytes, which a run without a model in this process does without.
    """
    gpus = find_gpus()
    threads = int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)
    cpu = f"cpu ({threads} thread{'s' if threads != 1 else ''})"
    if not gpus or find_spec("torch") is None:
        return cpu
    if not asks_torch:
        return f"cuda: {gpus[0]}"
    import torch

    return f"cuda: {torch.cuda.get_device_name(0)}" if torch.cuda.is_available() else cpu


def describe_environment(*, asks_torch: bool = True) -> dict[str, Any]:
    """Device and versions for run.json."""
    versions = {name: find_version(name) for name in (*BASE, *TRAIN, *MATH)}
    return {
        "device": describe_device(asks_torch=asks_torch),
        "versions": {name: version for name, version in versions.items() if version},
    }
