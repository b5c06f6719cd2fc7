"""An OpenAI-compatible server in a process of its own: quick, with a fixed latency, a rate limit and a memory of what it was asked.

    python -m tests.support.loopback --latency 0.05        prints its port, ends with its standard input

`POST /v1/chat/completions` answers every prompt with the same probe. `GET /counts` gives prompt -> times asked, `GET /latency/S` sets
the latency, `GET /forget` empties the memory. With `--rate` requests beyond a token bucket are refused with 429.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from typing import Any

from tests.support.data import ROOT

PROBE = json.dumps({"question": "Which step comes first?", "rationale": "Count them.", "answer": "the first"})


class Bucket:
    """A token bucket: so many a second, so many at once."""

    def __init__(self, rate: float, burst: float) -> None:
        self.rate, self.burst = rate, burst
        self.tokens, self.updated = burst, time.monotonic()

    def take(self) -> float:
        """0 where there was a token, else seconds until there is one."""
        now = time.monotonic()
        self.tokens = min(self.burst, self.tokens + (now - self.updated) * self.rate)
        self.updated = now
        if self.tokens >= 1:
            self.tokens -= 1
            return 0.0
        return (1 - self.tokens) / self.rate


class Server:
    """What the server knows."""

    def __init__(self, latency_s: float, bucket: Bucket | None, tells_when: bool) -> None:
        self.latency_s = latency_s
        self.bucket = bucket
        self.tells_when = tells_when
        self.counts: Counter[str] = Counter()
        self.num_refused = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, kept alive."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                line, *headers = head.split("\r\n")
                sizes = [h.partition(":")[2] for h in headers if h.lower().startswith("content-length:")]
                body = await reader.readexactly(int(sizes[0])) if sizes else b""
                status, reply, extra = await self.answer(line.split(" ")[1], body)
                writer.write(
                    f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{extra}"
                    f"Content-Length: {len(reply)}\r\n\r\n".encode()
                    + reply
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def answer(self, path: str, body: bytes) -> tuple[int, bytes, str]:
        """Status, body and further header lines."""
        if path == "/counts":
            return 200, json.dumps({"counts": self.counts, "refused": self.num_refused}).encode(), ""
        if path.startswith("/latency/"):
            self.latency_s = float(path.rpartition("/")[2])
            return 200, b"{}", ""
        if path == "/forget":
            self.counts.clear()
            self.num_refused = 0
            return 200, b"{}", ""
        wait_s = self.bucket.take() if self.bucket is not None else 0.0
        if wait_s:
            self.num_refused += 1
            when = f"Retry-After: {ceil(wait_s)}\r\n" if self.tells_when else ""
            return 429, b'{"error": {"message": "too many requests"}}', when
        value = json.loads(body)
        content = value["messages"][-1]["content"]
        self.counts[content if isinstance(content, str) else content[0]["text"]] += 1
        await asyncio.sleep(self.latency_s)
        message = {"role": "assistant", "content": PROBE}
        usage = {"prompt_tokens": 100, "completion_tokens": 30, "total_tokens": 130}
        reply = {"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage}
        return 200, json.dumps(reply).encode(), ""


class Loopback:
    """A running server, seen from the process that started it."""

    def __init__(self, port: int) -> None:
        self.root = f"http://127.0.0.1:{port}"
        self.url = f"{self.root}/v1"

    def get(self, path: str) -> Any:
        """The JSON at a path."""
        with urllib.request.urlopen(f"{self.root}{path}", timeout=30) as response:
            return json.load(response)


@contextmanager
def serve_loopback(
    *, latency_s: float = 0.05, rate: float | None = None, burst: float = 1.0, tells_when: bool = True
) -> Iterator[Loopback]:
    """Serves in a process of its own until the block ends."""
    command = [sys.executable, "-m", "tests.support.loopback", "--latency", str(latency_s)]
    if rate is not None:
        command += ["--rate", str(rate), "--burst", str(burst)]
    command += [] if tells_when else ["--silent"]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield Loopback(int(process.stdout.readline()))
    finally:
        process.stdin.close()
        process.wait(timeout=30)
        process.stdout.close()


async def _main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--latency", type=float, default=0.05)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--burst", type=float, default=1.0)
    parser.add_argument("--silent", action="store_true")
    given = parser.parse_args()
    bucket = Bucket(given.rate, given.burst) if given.rate else None
    server = Server(given.latency, bucket, not given.silent)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, backlog=1024)
    sys.stdout.write(f"{listener.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_main())
