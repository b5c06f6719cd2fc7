"""What supervised and reinforcement stages share: examples in batches, trainer settings, metrics lines.

Invariant: how a step is divided into micro-batches changes memory and time, never the update.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from exgrpo_artifact.errors import ModelError
from exgrpo_artifact.manifest import Optimizer as OptimizerSpec
from exgrpo_runtime.plans import IGNORED
from exgrpo_runtime.quiet import hide_library_bars

hide_library_bars()

import torch  # noqa: E402

from exgrpo_runtime.optimizers import SCHEDULES  # noqa: E402
from exgrpo_runtime.student import Student  # noqa: E402

CPU_PASS_BYTES = 1 << 30
"""Memory that the activations of one forward and backward pass may take on a CPU."""
GPU_PASS_SHARE = 0.25
"""The same on a GPU, as a share of its memory; weights, optimizer and reference need the rest."""
PASS_TOKENS = {"cpu": 256, "cuda": 4096}
"""What a pass costs before its first token, in tokens."""
NUMBERS_PER_LAYER = 34
"""Numbers kept for the backward pass, per token, layer and unit of width (Korthikanti et al. 2022, section
4.1)."""


class Example(NamedTuple):
    """A dialogue with labels; `IGNORED` where a token carries no loss. Both of the same length."""

    input_ids: list[int]
    labels: list[int]

    @property
    def num_targets(self) -> int:
        """Tokens that carry loss."""
        return sum(label != IGNORED for label in self.labels)


def trim_example(example: Example) -> Example:
    """The example without what follows its last target, which no target can see."""
    end = len(example.labels)
    while end and example.labels[end - 1] == IGNORED:
        end -= 1
    return Example(example.input_ids[:end], example.labels[:end])


def collate_examples(examples: Sequence[Mapping[str, Any] | Example], pad_id: int) -> dict[str, torch.Tensor]:
    """`input_ids`, `attention_mask` and `labels` of shape (batch, longest), padded on the right."""
    pairs = [
        (e.input_ids, e.labels) if isinstance(e, Example) else (e["input_ids"], e["labels"]) for e in examples
    ]
    longest = max(len(ids) for ids, _ in pairs)
    batch = {
        "input_ids": torch.full((len(pairs), longest), pad_id),
        "attention_mask": torch.zeros((len(pairs), longest), dtype=torch.long),
        "labels": torch.full((len(pairs), longest), IGNORED),
    }
    for i, (ids, labels) in enumerate(pairs):
        batch["input_ids"][i, : len(ids)] = torch.as_tensor(ids)
        batch["attention_mask"][i, : len(ids)] = 1
        batch["labels"][i, : len(ids)] = torch.as_tensor(labels)
    return batch


def count_tokens_per_pass(student: Student) -> int:
    """Padded tokens that one forward and backward pass has memory for, roughly; at least 1."""
    config = student.model.config.get_text_config(decoder=True)
    layers, width = config.num_hidden_layers, config.hidden_size
    if student.device.type == "cuda":
        memory = GPU_PASS_SHARE * torch.cuda.get_device_properties(student.device).total_memory
        # Checkpoints keep a layer's input, and one layer at a time is computed again; twice, for their
        # gradients.
        numbers = 2 * (layers + NUMBERS_PER_LAYER)
    else:
        memory, numbers = CPU_PASS_BYTES, layers * NUMBERS_PER_LAYER
    return max(1, int(memory / (numbers * width * student.dtype.itemsize)))


def choose_micro_batch(rows: int, longest: int, tokens_per_pass: int) -> int:
    """The largest divisor of `rows` whose padded rows of `longest` tokens fit one pass; at least 1."""
    sizes = [size for size in range(1, rows + 1) if rows % size == 0 and size * longest <= tokens_per_pass]
    return max(sizes, default=1)


def choose_cheapest_micro_batch(
    lengths: Sequence[int], batch: int, tokens_per_pass: int, device: torch.device
) -> int:
    """The divisor of `batch` with the least padding and fewest passes whose rows fit one pass; at least 1.

    `lengths` are those of all examples, in order, sorted within each step.
    """

    def count_cost(size: int) -> int:
        ends = range(size, len(lengths) + size, size)
        padded = sum(size * max(lengths[end - size : end]) for end in ends)
        return padded + len(ends) * PASS_TOKENS[device.type]

    longest = max(lengths)
    sizes = [size for size in range(1, batch + 1) if batch % size == 0 and size * longest <= tokens_per_pass]
    return min(sizes, key=count_cost, default=1)


def split_by_length(lengths: Sequence[int], device: torch.device) -> list[list[int]]:
    """Places of the rows in parts of like length, at most eight: the cheapest of some even divisions."""
    order = sorted(range(len(lengths)), key=lambda row: lengths[row])

    def divide(count: int) -> list[list[int]]:
        size = math.ceil(len(order) / count)
        return [order[start : start + size] for start in range(0, len(order), size)]

    def count_cost(parts: list[list[int]]) -> int:
        return sum(len(part) * lengths[part[-1]] + PASS_TOKENS[device.type] for part in parts)

    return min((divide(count) for count in (1, 2, 3, 4, 6, 8)), key=count_cost)


def describe_trainer(student: Student, spec: OptimizerSpec, output_dir: Path, seed: int) -> dict[str, Any]:
    """Settings that every trainer of TRL gets from us, as keywords of its config.

    Raises:
        ModelError: full fine-tuning of float16 weights, which no loss scaling can make work.
    """
    on_gpu = student.device.type == "cuda"
    if on_gpu and student.dtype == torch.float16 and student.lora is None:
        raise ModelError(
            "The student cannot be fine-tuned in full in float16: its updates are too small for it. "
            "Set dtype = bf16 or float32, or give it a lora block."
        )
    return {
        "output_dir": str(output_dir),
        "learning_rate": spec.lr,
        "lr_scheduler_type": SCHEDULES[spec.schedule],
        "warmup_steps": spec.warmup_steps,
        "max_grad_norm": spec.max_grad_norm,
        "bf16": on_gpu and student.dtype == torch.bfloat16,
        "fp16": on_gpu and student.dtype == torch.float16,
        "gradient_checkpointing": on_gpu,
        "use_cpu": not on_gpu,
        "dataloader_pin_memory": on_gpu,
        "seed": seed % 2**32,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "remove_unused_columns": False,
    }


def use_one_device(config: Any) -> Any:
    """The trainer config, held to one GPU: with several in sight TRL refuses to start without a launcher."""
    if config.n_gpu > 1:
        config._n_gpu = 1
    return config


@contextmanager
def hush_deprecations() -> Iterator[None]:
    """Hides what transformers and TRL say about each other's settings; no other warning."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning, module=r"(transformers|trl)\.")
        yield


class MetricsLog:
    """metrics.jsonl of a stage: one line per optimizer step, flushed as it is written."""

    def __init__(self, path: Path) -> None:
        self._stream = path.open("w", encoding="utf-8")
        self.lines: list[dict[str, Any]] = []

    def write(self, line: dict[str, Any]) -> None:
        """Appends one line. Figures that are not finite become null."""
        clean = clean_figures(line)
        self.lines.append(clean)
        self._stream.write(json.dumps(clean, ensure_ascii=False, allow_nan=False) + "\n")
        self._stream.flush()

    def close(self) -> None:
        """Closes the file."""
        self._stream.close()


def clean_figures(value: Any) -> Any:
    """The value with floats rounded to six significant digits and NaN and infinities as None."""
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: clean_figures(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean_figures(item) for item in value]
    return value
