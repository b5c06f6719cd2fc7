"""Teachers of a few thousand parameters, saved as ordinary transformers folders with a chat template."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from exgrpo_runtime.plans import IGNORED
from exgrpo_runtime.student import Student, create_student, save_student
from tests.support.tiny_student import TEXTS, make_model, make_student


def save_random_teacher(directory: Path, *, seed: int = 0) -> Path:
    """A teacher that talks junk."""
    save_student(make_student(seed=seed, sharpness=3.0), directory)
    return directory


def save_trained_teacher(directory: Path, reply: str, prompts: Sequence[str]) -> Path:
    """A teacher that has learned to answer anything like `prompts` with `reply`."""
    # A reply of a few tokens, so that a minute's training of a real model takes a second here.
    student = create_student(make_model(layers=1, vocab=400, context=2048), [*TEXTS, *[reply] * 200], 0)
    _teach_reply(student, reply, prompts)
    save_student(student, directory)
    return directory


def _teach_reply(student: Student, reply: str, prompts: Sequence[str], *, steps: int = 80) -> None:
    optimizer = torch.optim.AdamW(student.model.parameters(), lr=1e-2)
    answer = student.chat.encode_answer(reply)
    for step in range(steps):
        opening = student.chat.encode_opening(None, prompts[step % len(prompts)])
        ids = torch.tensor([opening + answer])
        labels = ids.clone()
        labels[:, : len(opening)] = IGNORED
        loss = student.model(input_ids=ids, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    if loss.item() > 0.05:
        raise AssertionError(f"the tiny teacher did not learn its reply: loss {loss.item():.2f}")
