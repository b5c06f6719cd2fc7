"""Drawing tokens: which one a distribution gives for a number in [0, 1).

The numbers of a dialogue come from its own seed, and each stands at a fixed place (turn, token). Shapes: `B` rows,
`V` tokens of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


class Uniforms:
    """Numbers in [0, 1) for every row and place of a batch."""

    def __init__(self, seeds: Sequence[int], num_turns: int, max_new: int, device: torch.device) -> None:
        self._max_new = max_new
        drawn = [np.random.Generator(np.random.Philox(seed)).random(num_turns * max_new) for seed in seeds]
        self._numbers = torch.from_numpy(np.stack(drawn)).to(device)

    def take_turn(self, rows: Sequence[int], turn: int) -> Tensor:
        """The numbers of these rows in one turn, shape `(len(rows), max_new)`."""
        places = torch.tensor(rows, device=self._numbers.device)
        return self._numbers[places, turn * self._max_new : (turn + 1) * self._max_new]


def choose_tokens(logits_BV: Tensor, uniforms_B: Tensor | None, temperature: float, top_p: float) -> Tensor:
    """A token for each row: where `uniforms_B` falls in the cumulative distribution; without them the likeliest."""
    if uniforms_B is None:
        return logits_BV.argmax(-1)
    probabilities_BV = (logits_BV.float() / temperature).softmax(-1)
    if top_p < 1:
        probabilities_BV = keep_nucleus(probabilities_BV, top_p)
    # In double precision: over a vocabulary of 150 000 tokens the error of a float32 sum reaches rare tokens.
    cumulative_BV = probabilities_BV.cumsum(-1, dtype=torch.float64)
    wanted_B1 = (uniforms_B * cumulative_BV[:, -1])[:, None]
    chosen_B = torch.searchsorted(cumulative_BV, wanted_B1, right=True)[:, 0]
    return chosen_B.clamp(max=logits_BV.shape[-1] - 1)


def keep_nucleus(probabilities_BV: Tensor, top_p: float) -> Tensor:
    """The likeliest tokens that together reach `top_p`; the others at 0 (Holtzman et al., 2020, section 3.1)."""
    sorted_BV, order_BV = probabilities_BV.sort(-1, descending=True)
    before_BV = sorted_BV.cumsum(-1) - sorted_BV
    kept_BV = torch.where(before_BV < top_p, sorted_BV, 0.0)
    return torch.zeros_like(probabilities_BV).scatter(-1, order_BV, kept_BV)
