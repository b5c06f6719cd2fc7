"""Curator asking the prompts of `probing.py`, run by the Python of its own environment.

python benchmarks/probing_curator.py URL PROMPTS OUT CONCURRENCY
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path


def main(url: str, prompts: Path, out: Path, concurrency: int) -> None:
    """Asks every prompt once; one row each."""
    os.environ.update(TELEMETRY_ENABLED="false", CURATOR_VIEWER="0", LITELLM_LOCAL_MODEL_COST_MAP="True")
    from bespokelabs import curator  # type: ignore[import-not-found]

    lines = [json.loads(line) for line in prompts.read_text("utf-8").splitlines()]
    settings = {
        "base_url": url,
        "api_key": "none",
        "max_requests_per_minute": 1_000_000,
        "max_tokens_per_minute": 1_000_000_000,
        "max_concurrent_requests": concurrency,
    }
    with tempfile.TemporaryDirectory() as directory:
        os.environ["CURATOR_CACHE_DIR"] = directory
        model = curator.LLM(model_name="openai/teacher", backend="litellm", backend_params=settings)
        found = model(lines, working_dir=directory)
        (found.dataset if hasattr(found, "dataset") else found).to_json(out)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
