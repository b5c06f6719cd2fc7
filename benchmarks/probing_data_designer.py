"""NeMo Data Designer asking the prompts of `probing.py`, run by the Python of its own environment.

python benchmarks/probing_data_designer.py URL PROMPTS OUT CONCURRENCY
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import data_designer.config as config  # type: ignore[import-not-found]
import pandas  # type: ignore[import-untyped]
from data_designer.interface import DataDesigner  # type: ignore[import-not-found]


def main(url: str, prompts: Path, out: Path, concurrency: int) -> None:
    """Asks every prompt once; one row each."""
    lines = [json.loads(line) for line in prompts.read_text("utf-8").splitlines()]
    provider = config.ModelProvider(name="here", endpoint=url, api_key="none")
    sampling = config.ChatCompletionInferenceParams(max_parallel_requests=concurrency)
    model = config.ModelConfig(
        alias="teacher",
        model="teacher",
        provider="here",
        inference_parameters=sampling,
        skip_health_check=True,
    )
    builder = config.DataDesignerConfigBuilder(model_configs=[model])
    builder.with_seed_dataset(config.DataFrameSeedSource(df=pandas.DataFrame({"prompt": lines})))
    builder.add_column(config.LLMTextColumnConfig(name="probe", model_alias="teacher", prompt="{{ prompt }}"))
    with tempfile.TemporaryDirectory() as directory:
        designer = DataDesigner(artifact_path=directory, model_providers=[provider])
        found = designer.create(builder, num_records=len(lines), dataset_name="probes").load_dataset()
    found.to_json(out, orient="records", lines=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
