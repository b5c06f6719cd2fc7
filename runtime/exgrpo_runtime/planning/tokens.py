"""How many tokens a prompt has: by the model's own tokenizer where it is at hand, else estimated from its bytes.

Nothing is downloaded. A tokenizer that was named on the command line counts for every model that has none of its own here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from exgrpo_artifact.errors import MissingDependencyError, ModelError
from exgrpo_artifact.manifest import Model
from exgrpo_runtime.planning.ranges import Range, exactly

BYTES_PER_TOKEN = Range(5, 4, 3)
"""UTF-8 bytes of a token where no tokenizer is at hand: English prose has 4 to 5, numbers and code fewer."""
WRAPPING = 8
"""Tokens that a chat template puts around a message, where it is not at hand."""

Messages = Sequence[Mapping[str, str]]


class TokenCounter(Protocol):
    """Counts the tokens of prompts."""

    name: str | None
    """Folder of the tokenizer; None for an estimate."""

    def count(self, messages: Messages) -> Range:
        """Tokens of the messages, chat template included."""


class ByteCounter:
    """An estimate by length alone."""

    name: str | None = None

    def count(self, messages: Messages) -> Range:
        """Tokens at 5, 4 and 3 bytes each, and what a template adds."""
        size = sum(len(message["content"].encode("utf-8", "replace")) for message in messages)
        added = WRAPPING * len(messages)
        low, expected, worst = BYTES_PER_TOKEN
        return Range(size / low + added, size / expected + added, size / (worst or expected) + added)


class TokenizerCounter:
    """Exact for the tokenizer in a folder.

    Raises:
        ModelError: the folder holds none.
        MissingDependencyError: transformers is not installed.
    """

    def __init__(self, folder: Path) -> None:
        self.name: str | None = str(folder)
        self._tokenizer = _load_tokenizer(folder)
        self._has_template = bool(getattr(self._tokenizer, "chat_template", None))

    def count(self, messages: Messages) -> Range:
        """Tokens of the templated messages; without a template those of the texts, and what a template usually adds."""
        if self._has_template:
            text = self._tokenizer.apply_chat_template(
                [dict(message) for message in messages], tokenize=False, add_generation_prompt=True
            )
            return exactly(self._count_text(text))
        texts = sum(self._count_text(message["content"]) for message in messages)
        return exactly(texts + WRAPPING * len(messages))

    def _count_text(self, text: str) -> int:
        return len(self._tokenizer.encode(text, add_special_tokens=False))


class Counters:
    """The counter of each model.

    Args:
        folder: of the tokenizer that was named, if one was.
    """

    def __init__(self, folder: Path | None) -> None:
        self._given: TokenCounter = ByteCounter() if folder is None else TokenizerCounter(folder)
        self._own: dict[str, TokenCounter] = {}

    def get(self, model: Model) -> TokenCounter:
        """The counter for a model: its own tokenizer where its folder is on this machine, else the one that was named."""
        if model.kind != "hf" or not Path(str(model.id)).is_dir():
            return self._given
        if model.name not in self._own:
            self._own[model.name] = TokenizerCounter(Path(str(model.id)))
        return self._own[model.name]


def _load_tokenizer(folder: Path) -> Any:
    if not folder.is_dir():
        raise ModelError(
            f"{folder} is no folder; --tokenizer names the folder of a downloaded model or tokenizer."
        )
    try:
        from exgrpo_runtime.quiet import silence_libraries

        silence_libraries()
        from transformers import AutoTokenizer
    except ImportError as error:
        raise MissingDependencyError(
            "Counting tokens with a tokenizer needs transformers. Install it with: pip install 'exgrpo[train]'"
        ) from error
    try:
        return AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:  # the library raises whatever its readers raise
        raise ModelError(f"{folder} holds no tokenizer that can be loaded: {error}") from error
