"""A port on loopback that must not be called: it takes connections, answers nothing, and remembers that somebody came."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class SilentServer:
    """An open port."""

    url: str
    num_connections: int = 0


@contextmanager
def expect_silence() -> Iterator[SilentServer]:
    """Fails the test where anything connected."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = SilentServer(f"http://127.0.0.1:{listener.getsockname()[1]}/v1")
        listener.settimeout(0.05)
        is_over = threading.Event()

        def accept() -> None:
            while not is_over.is_set():
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    continue
                server.num_connections += 1
                connection.close()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            is_over.set()
            thread.join()
    assert server.num_connections == 0, "a connection was opened where none is due"
