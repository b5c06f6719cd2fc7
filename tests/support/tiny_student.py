"""Students of a few thousand parameters, made in a fraction of a second."""

from __future__ import annotations

from typing import Any

import torch

from exgrpo_artifact.manifest import Lora, Model, Scratch
from exgrpo_runtime.student import Student, create_student

TEXTS = [
    f"{name} has {number} apples and buys {number % 7 + 2} more. How many apples does {name} have? "
    f"{number}+{number % 7 + 2}={number + number % 7 + 2}. The answer is {number + number % 7 + 2}."
    for name in ("Tom", "Ana", "Ravi", "Mei")
    for number in range(2, 30)
]

CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def make_model(**changes: Any) -> Model:
    """A scratch declaration; `changes` to its size, or `lora`."""
    lora: Lora | None = changes.pop("lora", None)
    size = {"layers": 2, "width": 32, "heads": 2, "vocab": 320, "context": 256} | changes
    return Model(name="tiny", kind="scratch", scratch=Scratch(**size), lora=lora)


def make_student(*, seed: int = 0, sharpness: float = 1.0, **changes: Any) -> Student:
    """A student with random weights; `sharpness` above 1 makes its distribution peaked, as after training."""
    student = create_student(make_model(**changes), TEXTS, seed)
    with torch.no_grad():
        # As drawn, the layers hardly add to the embedding of the last token: what came before would not matter.
        for layer in student.model.model.layers:
            for weight in layer.parameters():
                if weight.ndim == 2:
                    weight.mul_(12)
        student.model.model.norm.weight.mul_(sharpness)
    return student


def make_chatml_tokenizer() -> Any:
    """A tokenizer whose template has headers of plain words, as most instruction-tuned models do."""
    from exgrpo_runtime.tokenizer import train_tokenizer

    tokenizer = train_tokenizer(TEXTS, 400, 256)
    tokenizer.add_tokens(["<|im_start|>", "<|im_end|>"], special_tokens=True)
    tokenizer.eos_token = "<|im_end|>"
    tokenizer.chat_template = CHATML
    return tokenizer
