"""A real HTTP server on loopback that speaks the OpenAI chat protocol, with answers from a function."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[str], str]
"""The text of the last user message -> the assistant's reply."""


@dataclass
class TeacherServer:
    """A running server and what it was asked."""

    url: str
    prompts: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    @property
    def env(self) -> dict[str, str]:
        """The variables that specs of this project read."""
        return {"TEACHER_BASE_URL": self.url, "TEACHER_API_KEY": "sk-planted-key-1f2e3d"}


class _PatientServer(ThreadingHTTPServer):
    """Clients that are killed in the middle of a request are no news here."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def serve_teacher(answer: Answer, *, before: Callable[[int], None] | None = None) -> Iterator[TeacherServer]:
    """Serves `answer` on a free port. `before` is called with the number of each request, to delay or to signal."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            prompt = body["messages"][-1]["content"]
            with lock:
                server.prompts.append(prompt)
                server.headers.append(dict(self.headers))
                number = len(server.prompts)
            if before is not None:
                before(number)
            reply = {
                "id": f"chatcmpl-{number}",
                "object": "chat.completion",
                "model": body["model"],
                "choices": [
                    {
                        "index": 0,
                        "finish_reason": "stop",
                        "message": {"role": "assistant", "content": answer(prompt)},
                    }
                ],
                "usage": {"prompt_tokens": len(prompt) // 4, "completion_tokens": 20, "total_tokens": 20},
            }
            data = json.dumps(reply).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            """Keeps the test's output clean."""

    http = _PatientServer(("127.0.0.1", 0), Handler)
    server = TeacherServer(f"http://127.0.0.1:{http.server_address[1]}/v1")
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
