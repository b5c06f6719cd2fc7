"""Sampling dialogues: the student writes every assistant turn, the user's turns are given.

Rollouts are token-in, token-out. What the student sampled is trained on as it was sampled; what it did not
sample (user turns, template, the end of a turn that ran out of tokens) has mask 0.

Every random number of a dialogue comes from its own seed and is used at a fixed place (turn, token), so a
dialogue does not depend on which others were sampled beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from exgrpo_runtime.device import autocast
from exgrpo_runtime.draws import Uniforms, choose_tokens
from exgrpo_runtime.kv_batch import Batch, join_batches, open_batch
from exgrpo_runtime.plans import DialoguePrompt

__all__ = ["DialoguePrompt", "SampledDialogue", "SampledTurn", "Speaker", "sample_dialogues"]

_DROP_BELOW = 0.6
"""Rows that ended a turn are set aside when the others are fewer than this share of all: copying them then
costs less than waiting with them."""

TOKENS_PER_PASS = 65_536
"""Padded tokens of openings that are read at once; it bounds the memory of activations."""


class Stops(Protocol):
    """Which tokens end a turn and which fill a batch up."""

    @property
    def eos_id(self) -> int:
        """The end-of-turn token."""

    @property
    def stop_ids(self) -> tuple[int, ...]:
        """Tokens that end an assistant turn when sampled."""

    @property
    def pad_id(self) -> int:
        """What shorter rows are padded with; it is masked."""


class Speaker(Protocol):
    """Who writes the assistant's turns: a student, or a teacher that runs here."""

    @property
    def model(self) -> Any:
        """The network."""

    @property
    def device(self) -> torch.device:
        """Where it is."""

    @property
    def dtype(self) -> torch.dtype:
        """Numbers that it computes in."""

    @property
    def context(self) -> int:
        """Positions, in tokens."""

    @property
    def chat(self) -> Stops:
        """Tokens with a meaning."""


@dataclass(frozen=True, slots=True)
class SampledTurn:
    """One assistant turn."""

    token_ids: list[int]
    """As sampled; the end-of-turn token is the last one unless the turn is truncated."""
    truncated: bool
    """Whether it ran into `max_new` or the end of the context. A turn that no longer fitted at all "
    "is empty."""


@dataclass(frozen=True, slots=True)
class SampledDialogue:
    """A dialogue as the student wrote it."""

    turns: tuple[SampledTurn, ...]
    """As many as the prompt asked for."""
    input_ids: list[int]
    """The opening."""
    completion_ids: list[int]
    """All after the opening. Never empty: a dialogue whose opening fills the context holds an "
    "untrained end token."""
    mask: list[int]
    """For each of `completion_ids`: 1 where the student sampled it."""


@dataclass(slots=True)
class _Row:
    """A dialogue under way."""

    prompt: DialoguePrompt
    place: int
    """Where it stood among the prompts."""
    seed: int
    slot: int = 0
    """Where it stood in its batch before any row left it."""
    completion: list[int] = field(default_factory=list)
    mask: list[int] = field(default_factory=list)
    turns: list[SampledTurn] = field(default_factory=list)
    sampled: list[int] = field(default_factory=list)
    """Tokens of the turn under way."""
    unread: list[int] = field(default_factory=list)
    """Tokens that the model has yet to read before it can go on."""
    limit: int = 0
    """Tokens that the turn under way may have."""

    @property
    def num_turns(self) -> int:
        return 1 + len(self.prompt.followups)

    @property
    def length(self) -> int:
        return len(self.prompt.opening) + len(self.completion)


@dataclass(frozen=True, slots=True)
class _Settings:
    max_new: int
    temperature: float
    top_p: float
    context: int
    eos_id: int
    stop_ids: frozenset[int]


def sample_dialogues(
    student: Speaker,
    prompts: Sequence[DialoguePrompt],
    *,
    max_new: int,
    temperature: float = 1.0,
    top_p: float = 1.0,
    seeds: Sequence[int] | None = None,
    batch_size: int = 128,
) -> list[SampledDialogue]:
    """Dialogues in the order of `prompts`.

    Args:
        student: its model is used as it stands, in evaluation mode.
        prompts: what the user says.
        max_new: tokens per assistant turn, at least 1.
        temperature: 0 takes the likeliest token.
        top_p: share of the probability, after the temperature, that is sampled from.
        seeds: one per dialogue, at least 0; needed unless `temperature` is 0.
        batch_size: dialogues worked on at once, at most.
    """
    if temperature == 0:
        seeds = [0] * len(prompts)
    elif seeds is None or len(seeds) != len(prompts):
        raise ValueError("sampling needs one seed per dialogue")
    settings = _Settings(
        max_new, temperature, top_p, student.context, student.chat.eos_id, frozenset(student.chat.stop_ids)
    )
    rows = [
        _Row(prompt, place, seed) for place, (prompt, seed) in enumerate(zip(prompts, seeds, strict=True))
    ]
    # Like lengths pad little; equal openings stand side by side and are read once.
    rows.sort(key=lambda row: (len(row.prompt.opening), row.prompt.opening))
    with _inference(student):
        for chunk in _split_rows(rows, batch_size):
            _sample_batch(student, chunk, settings)
    rows.sort(key=lambda row: row.place)
    return [SampledDialogue(tuple(r.turns), r.prompt.opening, r.completion, r.mask) for r in rows]


def _split_rows(rows: list[_Row], batch_size: int) -> Iterator[list[_Row]]:
    """The rows in batches that are read in one pass each. `rows` are in order of length."""
    start, distinct = 0, 0
    for end, row in enumerate(rows):
        is_new = end == start or row.prompt.opening != rows[end - 1].prompt.opening
        tokens = (distinct + is_new) * len(row.prompt.opening)
        if end > start and (end - start == batch_size or tokens > TOKENS_PER_PASS):
            yield rows[start:end]
            start, distinct, is_new = end, 0, True
        distinct += is_new
    if rows:
        yield rows[start:]


@contextmanager
def _inference(student: Speaker) -> Iterator[None]:
    """Evaluation mode, and training mode again afterwards."""
    # Not inference_mode: a buffer that a model makes on its way would then be unusable in training.
    was_training = student.model.training
    student.model.eval()
    try:
        with torch.no_grad(), autocast(student.device, student.dtype):
            yield
    finally:
        student.model.train(was_training)


# --- one batch --------------------------------------------------------------------------------------------


def _sample_batch(student: Speaker, rows: list[_Row], settings: _Settings) -> None:
    """Fills in `turns`, `completion` and `mask` of each row."""
    num_turns = max((row.num_turns for row in rows), default=0)
    uniforms = None
    if settings.temperature > 0:
        uniforms = Uniforms([row.seed for row in rows], num_turns, settings.max_new, student.device)
    for slot, row in enumerate(rows):
        row.slot = slot
    rows = [row for row in rows if _open_first_turn(row, settings)]
    batch: Batch | None = None
    for turn in range(num_turns):
        if not rows:
            return
        if batch is None:
            batch, logits = _read_openings(student, rows)
        else:
            logits = batch.feed([row.unread for row in rows])
        for row in rows:
            row.sampled, row.unread = [], []
        rows, batch = _sample_turn(batch, rows, logits, turn, uniforms, settings)


def _read_openings(student: Speaker, rows: list[_Row]) -> tuple[Batch, Tensor]:
    """A batch that has read the openings; each distinct one once."""
    distinct: list[list[int]] = []
    index: list[int] = []
    for row in rows:
        if not distinct or distinct[-1] != row.prompt.opening:
            distinct.append(row.prompt.opening)
        index.append(len(distinct) - 1)
    batch = open_batch(student.model, student.chat.pad_id, student.device)
    if not batch.can_drop_rows:
        return batch, batch.feed([row.prompt.opening for row in rows])
    logits = batch.feed(distinct)
    if len(distinct) == len(rows):
        return batch, logits
    return batch.select(index), logits[torch.tensor(index, device=logits.device)]


def _sample_turn(
    batch: Batch, rows: list[_Row], logits: Tensor, turn: int, uniforms: Uniforms | None, settings: _Settings
) -> tuple[list[_Row], Batch | None]:
    """One turn of every row, then the rows that go on and a batch of just them."""
    aside: list[tuple[list[_Row], Batch]] = []
    alive = [True] * len(rows)
    drawn = _take_turn(uniforms, rows, turn)
    for step in range(settings.max_new):
        tokens = choose_tokens(
            logits, None if drawn is None else drawn[:, step], settings.temperature, settings.top_p
        )
        for i, token in enumerate(tokens.tolist()):
            if alive[i]:
                rows[i].sampled.append(token)
                alive[i] = token not in settings.stop_ids and len(rows[i].sampled) < rows[i].limit
        num_alive = sum(alive)
        if not num_alive:
            break
        if batch.can_drop_rows and num_alive < _DROP_BELOW * len(rows):
            _set_aside(aside, batch, [row for i, row in enumerate(rows) if not alive[i]], rows, settings)
            kept = [i for i, is_alive in enumerate(alive) if is_alive]
            batch, rows, alive = batch.select(kept), [rows[i] for i in kept], [True] * num_alive
            tokens, drawn = tokens[kept], _take_turn(uniforms, rows, turn)
        logits = batch.step(tokens, torch.tensor(alive, device=tokens.device))
    _set_aside(aside, batch, rows, rows, settings)
    if not aside:
        return [], None
    return [row for part, _ in aside for row in part], join_batches([part for _, part in aside])


def _take_turn(uniforms: Uniforms | None, rows: list[_Row], turn: int) -> Tensor | None:
    return None if uniforms is None else uniforms.take_turn([row.slot for row in rows], turn)


def _set_aside(
    aside: list[tuple[list[_Row], Batch]],
    batch: Batch,
    ended: list[_Row],
    rows: list[_Row],
    settings: _Settings,
) -> None:
    """Closes the turns of `ended`, and keeps what the batch remembers of those that have another turn."""
    going_on = [row for row in ended if _close_turn(row, settings)]
    if not going_on:
        return
    places = {id(row): i for i, row in enumerate(rows)}
    whole = len(going_on) == len(rows) and batch.can_drop_rows is False
    aside.append((going_on, batch if whole else batch.select([places[id(row)] for row in going_on])))


# --- one row ----------------------------------------------------------------------------------------------


def _open_first_turn(row: _Row, settings: _Settings) -> bool:
    """Whether there is room for an answer; a row without one gets empty turns and a lone end token."""
    # One place is kept for the end token of a turn that is cut off.
    row.limit = min(settings.max_new, settings.context - row.length - 1)
    if row.limit > 0:
        return True
    row.completion, row.mask = [settings.eos_id], [0]
    row.turns = [SampledTurn([], True)] * row.num_turns
    return False


def _close_turn(row: _Row, settings: _Settings) -> bool:
    """Books the turn under way and opens the next; False where there is none or no room for it."""
    truncated = row.sampled[-1] not in settings.stop_ids
    row.turns.append(SampledTurn(row.sampled, truncated))
    # The last sampled token was never read: its logits were not needed.
    row.unread = row.sampled[-1:]
    row.completion += row.sampled
    row.mask += [1] * len(row.sampled)
    if truncated:
        _add_given(row, [settings.eos_id])
    if len(row.turns) == row.num_turns:
        return False
    followup = row.prompt.followups[len(row.turns) - 1]
    row.limit = min(settings.max_new, settings.context - row.length - len(followup) - 1)
    if row.limit <= 0:
        row.turns += [SampledTurn([], True)] * (row.num_turns - len(row.turns))
        return False
    _add_given(row, followup)
    return True


def _add_given(row: _Row, tokens: list[int]) -> None:
    row.unread = row.unread + tokens
    row.completion += tokens
    row.mask += [0] * len(tokens)
