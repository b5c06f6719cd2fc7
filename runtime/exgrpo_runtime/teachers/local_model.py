"""A model that answers requests on this machine's own device, through transformers.

Every reply is drawn from a seed that its request's key determines, so the same request gives the same text again, whatever
it is batched with. As with any server, a prompt that spells a special token of the model is read as holding it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jinja2 import TemplateError

from exgrpo_artifact.errors import ModelError
from exgrpo_artifact.manifest import Model
from exgrpo_runtime.device import compute_dtype, select_device
from exgrpo_runtime.generate import SampledDialogue, sample_dialogues
from exgrpo_runtime.plans import DialoguePrompt
from exgrpo_runtime.student import find_context, load_weights
from exgrpo_runtime.teachers.seeds import DEFAULT_MAX_TOKENS, make_seed
from exgrpo_runtime.teachers.teacher import Message, Reply, Request


class Marks(NamedTuple):
    """Tokens of a model that mean something."""

    eos_id: int
    stop_ids: tuple[int, ...]
    pad_id: int


class UsedSampling(NamedTuple):
    """How a reply is drawn, all of it decided. `temperature` 0 takes the likeliest token."""

    temperature: float
    top_p: float
    max_tokens: int


class LocalModel:
    """A loaded model and its chat template. What the spec leaves open, the model's generation_config.json decides.

    Departures from `generate` of transformers: of that file only the temperature, top_p, the number of new tokens and the
    end tokens are used.

    Raises:
        ModelError: it cannot be loaded, or its tokenizer has no chat template or no end-of-turn token.
    """

    def __init__(self, model: Model) -> None:
        self.device = select_device()
        self.dtype = compute_dtype(model, self.device)
        # Nothing trains these weights, so they are kept in the numbers that they are computed in.
        self.tokenizer, self.model = load_weights(str(model.id), model, model.revision, self.dtype)
        self.context = find_context(self.model.config)
        self._defaults = self.model.generation_config
        if not getattr(self.tokenizer, "chat_template", None):
            raise ModelError(
                f"Model `{model.name}` cannot be asked: the tokenizer of {model.id} has no chat template. Take an "
                "instruction-tuned model, or add a chat_template to its tokenizer_config.json."
            )
        self.chat = _find_marks(model, self.tokenizer, self._defaults)

    def answer(self, requests: Sequence[Request], batch_size: int) -> list[Reply]:
        """The replies, in the order of the requests; one that cannot be answered is a Reply with its error.

        Args:
            requests: to this model.
            batch_size: requests worked on at once, at most.
        """
        replies: dict[int, Reply] = {}
        groups: dict[UsedSampling, list[tuple[int, list[int]]]] = {}
        for place, request in enumerate(requests):
            try:
                ids = self.encode(request.messages)
            except TemplateError as error:
                replies[place] = Reply(None, error=f"its chat template refuses the messages: {error}")
                continue
            groups.setdefault(self._settle_sampling(request), []).append((place, ids))
        for sampling, members in groups.items():
            seeds = [make_seed(requests[place]) for place, _ in members]
            dialogues = self._sample([ids for _, ids in members], seeds, sampling, batch_size)
            for (place, ids), dialogue in zip(members, dialogues, strict=True):
                replies[place] = self._read_turn(len(ids), dialogue)
        return [replies[place] for place in range(len(requests))]

    def encode(self, messages: Sequence[Message]) -> list[int]:
        """The messages as the chat template words them, up to the first token of the reply."""
        text = self.tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True)
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False)
        return ids

    def _sample(
        self, openings: Sequence[list[int]], seeds: Sequence[int], sampling: UsedSampling, batch_size: int
    ) -> list[SampledDialogue]:
        """The dialogues; where the device's memory does not hold so many at once, in smaller batches."""
        while True:
            try:
                return sample_dialogues(
                    self,
                    [DialoguePrompt(ids, []) for ids in openings],
                    max_new=sampling.max_tokens,
                    temperature=sampling.temperature,
                    top_p=sampling.top_p,
                    seeds=seeds,
                    batch_size=batch_size,
                )
            except torch.OutOfMemoryError as error:
                if batch_size == 1:
                    raise ModelError(
                        f"One reply of {sampling.max_tokens} tokens does not fit the memory of {self.device}. "
                        "Lower max_tokens, or take a smaller model."
                    ) from error
            torch.cuda.empty_cache()
            batch_size //= 2

    def _settle_sampling(self, request: Request) -> UsedSampling:
        given, own = request.used_sampling, self._defaults
        likeliest = not getattr(own, "do_sample", False)
        temperature = 0.0 if likeliest else _first(own.temperature, 1.0)
        return UsedSampling(
            temperature=_first(given.temperature, temperature),
            top_p=_first(given.top_p, own.top_p, 1.0),
            max_tokens=int(_first(given.max_tokens, own.max_new_tokens, DEFAULT_MAX_TOKENS)),
        )

    def _read_turn(self, prompt_tokens: int, dialogue: SampledDialogue) -> Reply:
        sampled = dialogue.turns[0].token_ids
        if not sampled:
            reason = f"the prompt's {prompt_tokens} tokens fill the model's context of {self.context}"
            return Reply(None, error=reason)
        text = self.tokenizer.decode(sampled, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        if not text:
            return Reply(None, prompt_tokens, len(sampled), error="the model answered with an empty message")
        return Reply(text, prompt_tokens, len(sampled))


def _find_marks(model: Model, tokenizer: Any, defaults: Any) -> Marks:
    given = getattr(defaults, "eos_token_id", None)
    ends = [tokenizer.eos_token_id, *(given if isinstance(given, list) else [given])]
    stop_ids = tuple(dict.fromkeys(int(end) for end in ends if end is not None))
    if not stop_ids:
        raise ModelError(
            f"Model `{model.name}` cannot be asked: neither the tokenizer nor the generation_config.json of {model.id} "
            "names an eos token, so no reply would end."
        )
    pad = tokenizer.pad_token_id
    return Marks(stop_ids[0], stop_ids, stop_ids[0] if pad is None else int(pad))


def _first(*values: float | None) -> float:
    return next(value for value in values if value is not None)
