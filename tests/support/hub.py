"""A Hugging Face hub on loopback: datasets by name and revision out of folders, and commits that are recorded.

It speaks as much of the hub's protocol as `datasets` and `huggingface_hub` use to load and to upload.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit


@dataclass
class Hub:
    """A running hub and what it was asked."""

    url: str
    requests: list[str] = field(default_factory=list)
    """Method and path of each."""
    tokens: set[str | None] = field(default_factory=set)
    """What stood in `Authorization`."""
    created: list[dict[str, Any]] = field(default_factory=list)
    """Bodies of requests to create a repository."""
    files: dict[str, bytes] = field(default_factory=dict)
    """What was committed, by path, and is still there."""

    def build_environment(self, home: Path) -> dict[str, str]:
        """Variables that turn the libraries to this hub, with caches below `home`."""
        return {"HF_ENDPOINT": self.url, "HF_HOME": str(home), "HF_HUB_OFFLINE": "0"}


def make_commit(revision: str) -> str:
    """The commit that a revision of this hub stands for."""
    return hashlib.sha1(revision.encode()).hexdigest()


@contextmanager
def serve_hub(datasets: Mapping[tuple[str, str], Path]) -> Iterator[Hub]:
    """Serves (name, revision) -> folder on a free port."""

    class Handler(_Handler):
        pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    hub = Hub(f"http://127.0.0.1:{http.server_address[1]}")
    Handler.hub, Handler.datasets = hub, datasets
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub
    datasets: Mapping[tuple[str, str], Path]

    def log_message(self, format: str, *args: object) -> None:
        """Keeps the test's output clean."""

    def do_GET(self) -> None:
        path = self._note()
        for (name, revision), folder in self.datasets.items():
            commit = make_commit(revision)
            for known in (revision, commit):
                if path == f"/api/datasets/{name}/revision/{known}":
                    return self._send_json(
                        {"id": name, "sha": commit, "siblings": [{"rfilename": one} for one in _list(folder)]}
                    )
                if path.startswith(f"/api/datasets/{name}/tree/{known}"):
                    below = path.removeprefix(f"/api/datasets/{name}/tree/{known}").strip("/")
                    found = [one for one in _list(folder) if one.startswith(below)]
                    return self._send_json([_describe(folder, one) for one in found])
                start = f"/datasets/{name}/resolve/{known}/"
                if path.startswith(start) and (folder / path.removeprefix(start)).is_file():
                    return self._send_file((folder / path.removeprefix(start)).read_bytes(), commit)
        for created in self.hub.created:
            if path == f"/api/datasets/{created['organization']}/{created['name']}/tree/main":
                held = [(one, len(body)) for one, body in sorted(self.hub.files.items())]
                return self._send_json(
                    [{"type": "file", "path": one, "size": size, "oid": "0" * 40} for one, size in held]
                )
        return self._send_json({"error": "not here"}, 404, {"X-Error-Code": "EntryNotFound"})

    do_HEAD = do_GET

    def do_POST(self) -> None:
        path = self._note()
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        if "/paths-info/" in path:
            return self._send_paths(path, json.loads(body)["paths"])
        if path == "/api/repos/create":
            self.hub.created.append(json.loads(body))
            created = self.hub.created[-1]
            name = f"{created['organization']}/{created['name']}"
            return self._send_json({"url": f"{self.hub.url}/datasets/{name}", "name": name})
        if path == "/api/validate-yaml":
            return self._send_json({"errors": [], "warnings": []})
        if "/preupload/" in path:
            files = [
                {"path": one["path"], "uploadMode": "regular", "shouldIgnore": False}
                for one in json.loads(body)["files"]
            ]
            return self._send_json({"files": files})
        if "/commit/" in path:
            return self._take_commit(body)
        return self._send_json({"error": "not here"}, 404)

    def _note(self) -> str:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"{self.command} {path}")
        self.hub.tokens.add(self.headers["Authorization"])
        return path

    def _take_commit(self, body: bytes) -> None:
        for line in body.splitlines():
            entry = json.loads(line)
            if entry["key"] == "file":
                self.hub.files[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
            elif entry["key"] == "deletedFile":
                del self.hub.files[entry["value"]["path"]]
        commit = make_commit("pushed")
        url = f"{self.hub.url}/datasets/org/name/commit/{commit}"
        self._send_json({"commitUrl": url, "commitOid": commit, "success": True})

    def _send_paths(self, path: str, paths: list[str]) -> None:
        for (name, revision), folder in self.datasets.items():
            if path.startswith(f"/api/datasets/{name}/") and path.endswith(
                (f"/{revision}", make_commit(revision))
            ):
                found = [_describe(folder, one) for one in _list(folder) if one in paths]
                return self._send_json(found)
        return self._send_json([])

    def _send_file(self, body: bytes, commit: str) -> None:
        headers = {
            "X-Repo-Commit": commit,
            "ETag": f'"{hashlib.sha1(body).hexdigest()}"',
            "Accept-Ranges": "bytes",
        }
        wanted = self.headers["Range"]
        if wanted:
            first, last = wanted.removeprefix("bytes=").split("-")
            end = min(int(last), len(body) - 1) if last else len(body) - 1
            headers["Content-Range"] = f"bytes {first}-{end}/{len(body)}"
            return self._send(206, body[int(first) : end + 1], headers)
        return self._send(200, body, headers)

    def _send_json(self, value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        self._send(
            status, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})}
        )

    def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _list(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def _describe(folder: Path, path: str) -> dict[str, Any]:
    body = (folder / path).read_bytes()
    return {"type": "file", "path": path, "size": len(body), "oid": hashlib.sha1(body).hexdigest()}
