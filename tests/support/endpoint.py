"""A real HTTP server on loopback whose every response is scripted: statuses, headers, bodies, silence."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Response:
    """One scripted response."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    """Silence before the first byte."""
    trickle_s: float = 0.0
    """Silence between single bytes of the body."""
    is_cut: bool = False
    """Whether the connection closes in the middle of the body."""
    is_reset: bool = False
    """Whether the connection is reset instead of an answer."""


Script = Callable[[int, dict[str, Any]], Response]
"""Number of the request (from 1) and its JSON body -> the response."""


def chat(text: str | None, **usage: int) -> Response:
    """A chat completion."""
    message = {"role": "assistant", "content": text}
    return Response(json.dumps({"choices": [{"message": message}], "usage": usage}).encode())


def refuse(status: int, message: str = "no", *, code: str = "", **headers: str) -> Response:
    """An error as OpenAI words it; header names with `_` for `-`."""
    body = json.dumps({"error": {"message": message, "code": code}}).encode()
    return Response(body, status, {name.replace("_", "-"): value for name, value in headers.items()})


@dataclass
class Endpoint:
    """A running server and what it was asked."""

    url: str
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)
    """The client's, which tell connections apart."""
    most_at_once: int = 0

    @property
    def num_hits(self) -> int:
        """Requests that arrived."""
        return len(self.bodies)

    @property
    def prompts(self) -> list[str]:
        """The last message of each."""
        return [body["messages"][-1]["content"] for body in self.bodies]


class _PatientServer(ThreadingHTTPServer):
    """Clients that break off, or do not like a certificate, are no news here."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


@contextmanager
def serve_script(script: Script, *, tls: tuple[Path, Path] | None = None) -> Iterator[Endpoint]:
    """Serves the script on a free port, over TLS where a certificate and its key are given."""
    lock = threading.Lock()
    at_once = [0]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Head and body leave in one packet: two would wait for each other (Nagle, delayed acknowledgement).
        wbufsize = 1 << 16
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                endpoint.bodies.append(body)
                endpoint.headers.append(dict(self.headers))
                endpoint.times.append(time.monotonic())
                endpoint.ports.append(self.client_address[1])
                number = len(endpoint.bodies)
                at_once[0] += 1
                endpoint.most_at_once = max(endpoint.most_at_once, at_once[0])
            response = script(number, body)
            time.sleep(response.delay_s)
            with lock:
                at_once[0] -= 1
            if response.is_reset:
                # Closing with a linger time of 0 sends a reset.
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.close_connection = True
                return
            try:
                self.send(response)
            except OSError:
                self.close_connection = True

        def send(self, response: Response) -> None:
            self.send_response(response.status)
            for name, value in response.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(response.body)))
            self.end_headers()
            if response.is_cut:
                self.wfile.write(response.body[: len(response.body) // 2])
                self.wfile.flush()
                self.close_connection = True
                return
            if not response.trickle_s:
                self.wfile.write(response.body)
                return
            for byte in response.body:
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                time.sleep(response.trickle_s)

        def log_message(self, format: str, *args: object) -> None:
            """Keeps the test's output clean."""

    http = _PatientServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        http.socket = context.wrap_socket(http.socket, server_side=True)
    http.daemon_threads = True
    http.block_on_close = False
    endpoint = Endpoint(f"http{'s' if tls else ''}://127.0.0.1:{http.server_address[1]}/v1")
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield endpoint
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
