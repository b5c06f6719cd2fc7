"""`transformers serve` on loopback, as a user would start it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

NEEDED = ("fastapi", "uvicorn", "openai")
LONGEST_START_S = 180.0


@contextmanager
def serve_model(directory: Path, log: Path) -> Iterator[str]:
    """Serves the model for all requests; the base URL. Skips where what it needs is not installed."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        pytest.skip(f"`transformers serve` needs {', '.join(missing)}: pip install 'transformers[serving]'")
    command = shutil.which(
        "transformers", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    )
    assert command is not None
    port = _find_free_port()
    arguments = [command, "serve", str(directory), "--port", str(port), "--device", "cpu"]
    with log.open("w") as stream:
        process = subprocess.Popen(
            arguments, stdout=stream, stderr=stream, env={**os.environ, "HF_HUB_OFFLINE": "1"}
        )
    try:
        _wait_for(f"http://localhost:{port}/health", process, log)
        yield f"http://localhost:{port}/v1"
    finally:
        process.terminate()
        process.wait(timeout=30)


def _find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + LONGEST_START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise AssertionError(
                f"`transformers serve` ended with {process.returncode}: {log.read_text()[-2000:]}"
            )
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.25)
    raise AssertionError(f"`transformers serve` did not answer in time: {log.read_text()[-2000:]}")
