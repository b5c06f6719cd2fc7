"""The tokenizer of a scratch student: byte-level BPE trained on the task's own texts.

Digits stand alone, so that a small student sees numbers digit by digit. Merges may cross spaces, so that
the fixed words of a dialogue shrink to a token or two. Every role opens with one special token; `<|end|>`
closes a turn.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from exgrpo_artifact.errors import ModelError
from exgrpo_runtime.quiet import silence_libraries

silence_libraries()

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers  # noqa: E402
from transformers import PreTrainedTokenizerFast  # noqa: E402

END = "<|end|>"
PAD = "<|pad|>"
ROLES = ("system", "user", "assistant")
SPECIAL_TOKENS = (PAD, END, *(f"<|{role}|>" for role in ROLES))

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)

MIN_VOCAB = 256 + len(SPECIAL_TOKENS)
MAX_CHARACTERS = 8_000_000
"""Texts beyond this many characters teach a byte-pair vocabulary nothing new and cost start-up time."""
MAX_TOKEN_CHARACTERS = 24
"""Longest merge. Without a bound, whole repeated sentences would become single tokens."""


def train_tokenizer(texts: Iterable[str], vocab: int, context: int) -> Any:
    """A transformers tokenizer with at most `vocab` tokens, the same for the same texts in the same order.

    Raises:
        ModelError: `vocab` is too small for 256 bytes and the special tokens.
    """
    if vocab < MIN_VOCAB:
        raise ModelError(
            f"A scratch student with vocab = {vocab} cannot be built: its tokenizer needs {MIN_VOCAB} tokens "
            f"for the 256 bytes and {len(SPECIAL_TOKENS)} special tokens alone. Set vocab to that or more."
        )
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        max_token_length=MAX_TOKEN_CHARACTERS,
        show_progress=False,
    )
    backend.train_from_iterator(_limit(texts), trainer=trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=[f"<|{role}|>" for role in ROLES],
        chat_template=CHAT_TEMPLATE,
        model_max_length=context,
        clean_up_tokenization_spaces=False,
        padding_side="left",
    )


def _limit(texts: Iterable[str]) -> Iterable[str]:
    total = 0
    for text in texts:
        total += len(text)
        if total > MAX_CHARACTERS:
            return
        yield text
