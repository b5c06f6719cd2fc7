"""Which process owns a claim, and whether it is still alive."""

from __future__ import annotations

import os
import socket
import uuid
from pathlib import Path


def name_owner() -> str:
    """A name for one opened store of this process: `host pid start id`."""
    return f"{socket.gethostname()} {os.getpid()} {_read_start(os.getpid())} {uuid.uuid4().hex[:12]}"


def is_dead(owner: str) -> bool:
    """Whether the owner's process ran on this machine and runs no more; False where that cannot be told."""
    parts = owner.split(" ")
    if len(parts) != 4 or parts[0] != socket.gethostname() or not parts[1].isdigit():
        return False
    pid = int(parts[1])
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    start = _read_start(pid)
    # Numbers of processes are used again, and a zombie holds its number without doing anything.
    return start != "-" and start != parts[2]


def _read_start(pid: int) -> str:
    """When a process began, in the kernel's ticks; `0` for a zombie, `-` where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return "-"
    return "0" if fields[0] in ("Z", "X") else fields[19]
