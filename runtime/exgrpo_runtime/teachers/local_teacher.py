"""`hf(…)` as a teacher or judge: weights on this machine, many requests answered in one batch.

On a CUDA device the batches go to vLLM where it is installed, else to transformers. The weights are loaded with the first request, so
a run that finds every reply stored loads none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Protocol

from exgrpo_artifact.errors import MissingDependencyError
from exgrpo_artifact.manifest import Model
from exgrpo_runtime.teachers.batching import Batcher
from exgrpo_runtime.teachers.teacher import Reply, Request, Teacher

BATCH = 16
"""Requests in one batch on a CPU, where a larger one is no faster."""
GPU_BATCH = 128
"""Requests in one batch on a GPU; where its memory does not hold so many, they are halved."""


_UNSENT = Reply(None, error="not asked, since the run is being stopped", is_unsent=True)


class LocalEngine(Protocol):
    """What runs the weights."""

    def answer(self, requests: Sequence[Request], batch_size: int) -> list[Reply]:
        """The replies, in the order of the requests."""


class LocalTeacher(Teacher):
    """Gathers what is asked at once into batches.

    Raises:
        MissingDependencyError: torch or transformers is not installed.
    """

    def __init__(self, model: Model) -> None:
        if find_spec("torch") is None or find_spec("transformers") is None:
            raise MissingDependencyError(
                f"model `{model.name}` is hf(…), which runs here and needs torch and transformers: pip install 'exgrpo[train]'"
            )
        from exgrpo_runtime.device import select_device

        self._model = model
        self._is_on_gpu = select_device().type == "cuda"
        self.concurrency = GPU_BATCH if self._is_on_gpu else BATCH
        self._is_stopped = False
        self._engine: LocalEngine | None = None
        self._batcher: Batcher[Request, Reply] = Batcher(self._answer, most=self.concurrency)

    async def ask(self, request: Request) -> Reply:
        """The model's reply, written together with those to what else is asked now.

        Raises:
            ModelError: the weights cannot be loaded, or have no chat template.
        """
        if self._is_stopped:
            return _UNSENT
        try:
            return await self._batcher.call(request)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._is_stopped and not (task and task.cancelling()):
                return _UNSENT  # dropped by `stop` before its batch
            raise

    def stop(self) -> None:
        """The batch under way is finished; what waits for the next one is not asked."""
        self._is_stopped = True
        self._batcher.take_waiting()

    async def close(self) -> None:
        """Lets go of the weights."""
        self._batcher.close()
        self._engine = None

    def _answer(self, requests: list[Request]) -> list[Reply]:
        if self._engine is None:
            self._engine = _open_engine(self._model, is_on_gpu=self._is_on_gpu)
        return self._engine.answer(requests, self.concurrency)


def _open_engine(model: Model, *, is_on_gpu: bool) -> LocalEngine:
    if is_on_gpu and find_spec("vllm") is not None:
        from exgrpo_runtime.teachers.vllm_model import VllmModel

        return VllmModel(model)
    from exgrpo_runtime.teachers.local_model import LocalModel

    return LocalModel(model)
