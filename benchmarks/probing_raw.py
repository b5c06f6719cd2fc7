"""The least that asking can cost: httpx, asyncio, so many workers, one JSON line per reply. What `probing.py` compares with.

python benchmarks/probing_raw.py URL PROMPTS OUT CONCURRENCY
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import httpx


async def ask_all(url: str, prompts: list[str], out: TextIO, concurrency: int) -> None:
    """Asks every prompt once and writes each reply as it comes."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=concurrency)
    async with httpx.AsyncClient(timeout=60.0, limits=limits) as client:

        async def work(waiting: Iterator[str]) -> None:
            for prompt in waiting:
                body = {"model": "teacher", "messages": [{"role": "user", "content": prompt}]}
                response = await client.post(f"{url}/chat/completions", json=body)
                response.raise_for_status()
                text = response.json()["choices"][0]["message"]["content"]
                out.write(json.dumps({"prompt": prompt, "text": text}) + "\n")

        waiting = iter(prompts)
        await asyncio.gather(*(work(waiting) for _ in range(concurrency)))


if __name__ == "__main__":
    lines = Path(sys.argv[2]).read_text("utf-8").splitlines()
    with Path(sys.argv[3]).open("w", encoding="utf-8") as stream:
        asyncio.run(ask_all(sys.argv[1], [json.loads(line) for line in lines], stream, int(sys.argv[4])))
