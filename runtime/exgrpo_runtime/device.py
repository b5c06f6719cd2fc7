"""Where a student runs and in which numbers: one code path for a GPU and for a CPU."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext

from exgrpo_artifact.manifest import Model
from exgrpo_runtime.quiet import silence_libraries

silence_libraries()

import torch  # noqa: E402

ONE_THREAD_BELOW = 2_000_000
"""Parameters."""
_ALL_THREADS = torch.get_num_threads()
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def select_device() -> torch.device:
    """The first CUDA device, else the CPU."""
    return torch.device("cuda") if torch.cuda.is_available() else torch.device("cpu")


def settle_threads(num_parameters: int, device: torch.device) -> None:
    """Gives a small model on a CPU one thread, a larger one all; what OMP_NUM_THREADS says stands.

    A second thread makes a model of 0.4 million parameters at best 1.5 times as fast, and several times slower on
    a machine that has anything else to do. One thread also gives the same floating-point sums on every machine.
    """
    if device.type == "cpu" and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1 if num_parameters < ONE_THREAD_BELOW else _ALL_THREADS)


def compute_dtype(model: Model, device: torch.device) -> torch.dtype:
    """Numbers that the student's matrix products are done in: what the spec says, else bf16 on a GPU."""
    if model.dtype != "auto":
        return _DTYPES[model.dtype]
    return torch.bfloat16 if device.type == "cuda" else torch.float32


def weight_dtype(model: Model, device: torch.device) -> torch.dtype:
    """Numbers that the student's weights are kept in.

    Under full fine-tuning `auto` keeps float32 weights: a bf16 weight has 8 bits, so updates below 1/256 of
    it would be lost. Frozen weights below an adapter take the dtype that they are computed in.
    """
    if model.dtype == "auto" and model.lora is None:
        return torch.float32
    return compute_dtype(model, device)


def autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[object]:
    """Computes in `dtype` whatever the weights are kept in; nothing to do for float32."""
    if dtype == torch.float32:
        return nullcontext()
    return torch.autocast(device.type, dtype=dtype)
