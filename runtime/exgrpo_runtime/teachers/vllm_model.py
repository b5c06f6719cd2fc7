"""A model that answers requests through vLLM's offline engine, on a CUDA device.

The calls are those of vLLM's documented `LLM.chat`; they are tested against a stand-in with its signature, and no run with the library
itself has shown them yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from exgrpo_artifact.errors import ModelError
from exgrpo_artifact.manifest import Model
from exgrpo_runtime.teachers.seeds import DEFAULT_MAX_TOKENS, make_seed
from exgrpo_runtime.teachers.teacher import Reply, Request


class VllmModel:
    """A loaded model. A temperature and a top_p that the spec leaves open are those of the model's generation_config.json.

    Raises:
        ModelError: vLLM cannot load it, or its tokenizer has no chat template.
    """

    def __init__(self, model: Model) -> None:
        from vllm import LLM

        try:
            self._llm: Any = LLM(model=model.id, revision=model.revision, dtype=model.dtype)
        except Exception as error:  # the library raises classes of its own, of torch and of the hub client
            raise ModelError(f"Model `{model.name}` cannot be loaded by vLLM: {error}") from error
        if not getattr(self._llm.get_tokenizer(), "chat_template", None):
            raise ModelError(
                f"Model `{model.name}` cannot be asked: the tokenizer of {model.id} has no chat template. Take an "
                "instruction-tuned model, or add a chat_template to its tokenizer_config.json."
            )

    def answer(self, requests: Sequence[Request], batch_size: int) -> list[Reply]:
        """The replies, in the order of the requests. vLLM chooses its batches itself, so `batch_size` is not needed."""
        try:
            return self._answer(requests)
        except ValueError as error:  # one prompt that is too long, or refused by the template, fails them all
            if len(requests) == 1:
                return [Reply(None, error=f"vLLM refuses the request: {error}")]
            return [self.answer([request], 1)[0] for request in requests]

    def _answer(self, requests: Sequence[Request]) -> list[Reply]:
        outputs = self._llm.chat(
            [[dict(message) for message in request.messages] for request in requests],
            [self._build_params(request) for request in requests],
            use_tqdm=False,
        )
        return [_read_output(output) for output in outputs]

    def _build_params(self, request: Request) -> Any:
        params = self._llm.get_default_sampling_params()
        given = request.used_sampling
        params.seed = make_seed(request)
        params.max_tokens = given.max_tokens or DEFAULT_MAX_TOKENS  # vLLM's own default is 16
        if given.temperature is not None:
            params.temperature = given.temperature
        if given.top_p is not None:
            params.top_p = given.top_p
        return params


def _read_output(output: Any) -> Reply:
    prompt_tokens = len(output.prompt_token_ids or ())
    (completion,) = output.outputs
    num_tokens = len(completion.token_ids)
    if not completion.text:
        return Reply(None, prompt_tokens, num_tokens, error="the model answered with an empty message")
    return Reply(completion.text, prompt_tokens, num_tokens, finish_reason=completion.finish_reason)
