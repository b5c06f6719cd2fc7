"""The rollouts of one step as tokens, in the form that the trainer takes, and what it must not be given.

TRL accepts several wrong batches without a word: too few rows, a mask shorter than its tokens. `check_batch`
does not.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from exgrpo_artifact.errors import InternalError


class TrainingBatch(NamedTuple):
    """Rollouts of one step, the rows of a group next to each other; all four of equal length."""

    prompt_ids: list[list[int]]
    completion_ids: list[list[int]]
    masks: list[list[int]]
    """1 where a token was sampled and is trained, else 0; as long as its completion."""
    advantages: list[float]


def align_prompts(batch: TrainingBatch) -> TrainingBatch:
    """The batch with prompts of one length; what is cut off a prompt opens its completion, untrained.

    TRL pads prompts on the left and lets the model count positions from the padding on, where sampling
    counted from the first token. Prompts of one length need no padding; nor do short prompts with long
    completions widen the rows.
    """
    shortest = min(len(prompt) for prompt in batch.prompt_ids)
    cut = [prompt[shortest:] for prompt in batch.prompt_ids]
    return TrainingBatch(
        [prompt[:shortest] for prompt in batch.prompt_ids],
        [[*tail, *ids] for tail, ids in zip(cut, batch.completion_ids, strict=True)],
        [[*([0] * len(tail)), *mask] for tail, mask in zip(cut, batch.masks, strict=True)],
        batch.advantages,
    )


def check_batch(batch: TrainingBatch, num_rows: int) -> None:
    """Refuses what TRL would take silently and train wrongly on.

    Raises:
        InternalError: the batch is not `num_rows` whole rollouts.
    """
    if {len(column) for column in batch} != {num_rows}:
        raise InternalError(f"A step needs {num_rows} rollouts; the sampler gave {[len(c) for c in batch]}.")
    for row, (prompt, ids, mask) in enumerate(zip(*batch[:3], strict=True)):
        if not prompt or not ids:
            raise InternalError(f"Rollout {row} has an empty prompt or completion.")
        if len(mask) != len(ids) or not set(mask) <= {0, 1}:
            raise InternalError(f"Rollout {row} has {len(ids)} tokens and a mask of {len(mask)}.")
    if not all(math.isfinite(advantage) for advantage in batch.advantages):
        raise InternalError("An advantage is not finite.")
