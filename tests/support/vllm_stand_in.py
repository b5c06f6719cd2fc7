"""A stand-in for the module `vllm`: the signatures of its documented offline engine, with a model that repeats the prompt."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

LONGEST = 100
"""Characters of a prompt that the stand-in takes."""


@dataclass
class SamplingParams:
    """The fields of vLLM's SamplingParams that are used, with its defaults."""

    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int | None = 16
    seed: int | None = None


@dataclass
class Engine:
    """What was loaded and asked."""

    loaded: dict[str, Any] = field(default_factory=dict)
    params: list[SamplingParams] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    chat_template: str | None = "…"


def install(monkeypatch: pytest.MonkeyPatch) -> Engine:
    """Puts the stand-in where `import vllm` finds it."""
    engine = Engine()

    class LLM:
        def __init__(self, model: str, *, revision: str | None = None, dtype: str = "auto") -> None:
            if model == "missing":
                raise OSError("no such model")
            engine.loaded = {"model": model, "revision": revision, "dtype": dtype}

        def get_tokenizer(self) -> Any:
            return SimpleNamespace(chat_template=engine.chat_template)

        def get_default_sampling_params(self) -> SamplingParams:
            return SamplingParams(temperature=0.6, top_p=0.95)

        def chat(
            self,
            messages: list[list[dict[str, str]]],
            sampling_params: list[SamplingParams],
            *,
            use_tqdm: bool,
        ) -> list[Any]:
            assert not use_tqdm
            assert len(messages) == len(sampling_params)
            engine.batches.append(len(messages))
            texts = [each[-1]["content"] for each in messages]
            if any(len(text) > LONGEST for text in texts):
                raise ValueError("the prompt is longer than the maximum model length")
            engine.params += sampling_params
            return [build_output(text) for text in texts]

    module = ModuleType("vllm")
    module.__spec__ = ModuleSpec("vllm", None)
    module.LLM = LLM  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm", module)
    return engine


def build_output(text: str) -> Any:
    """A RequestOutput: the prompt's tokens, and one completion."""
    completion = SimpleNamespace(text=text, token_ids=tuple(text), finish_reason="stop")
    return SimpleNamespace(prompt_token_ids=[1, *range(len(text))], outputs=[completion])
