"""Dialogues that a model works on at once, with what it remembers of them.

Two kinds with one interface. `KeyValueBatch` keeps keys and values across turns and can drop and join
dialogues at any time; it holds for models whose every layer attends to all earlier tokens. `RefillBatch`
works with any causal model: it reads the whole dialogue again at the start of each turn.

Shapes: `B` dialogues of the batch, `C` new tokens of each, `L` cache slots, `V` tokens of the vocabulary.
    Invariant: a dialogue's logits do not depend on the others in its batch, up to the order of
    floating-point sums.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Protocol

from exgrpo_runtime.quiet import silence_libraries

silence_libraries()

import torch  # noqa: E402
from torch import Tensor  # noqa: E402
from transformers import DynamicCache  # noqa: E402
from transformers.cache_utils import DynamicLayer  # noqa: E402

_SPARE_SLOTS = 64
"""Slots that a cache gets beyond half as many again, so that it seldom has to move."""


class Batch(Protocol):
    """Dialogues under way, in rows."""

    can_drop_rows: bool
    """Whether `select` in the middle of a turn costs less than it saves."""

    def feed(self, chunks: Sequence[Sequence[int]]) -> Tensor:
        """Reads `chunks[b]` (any length but none empty) in each row; logits `(B, V)` of the token to come."""

    def step(self, tokens_B: Tensor, active_B: Tensor) -> Tensor:
        """Reads one token in each row; rows that are not active are left as they were. Logits `(B, V)`."""

    def select(self, rows: Sequence[int]) -> Batch:
        """A batch of these rows, in this order; a row may be taken more than once."""


def open_batch(model: Any, pad_id: int, device: torch.device) -> Batch:
    """An empty batch of the kind that the model allows; its first `feed` sets the rows."""
    if keeps_plain_cache(model):
        return KeyValueBatch(model, pad_id, device)
    return RefillBatch(model, pad_id, device)


def keeps_plain_cache(model: Any) -> bool:
    """Whether each layer keeps keys and values of all tokens and takes a ready-made attention mask."""
    config = model.config.get_text_config(decoder=True)
    if getattr(config, "_attn_implementation", None) != "sdpa" or getattr(config, "num_kv_shared_layers", 0):
        return False
    layers = DynamicCache(config=config).layers
    return bool(layers) and all(type(layer) is DynamicLayer for layer in layers)


def find_cache_name(model: Any) -> str:
    """What the model's `forward` calls its cache: `cache` from transformers 5.24 on, `past_key_values` before.

    Asked of the model and not of the library: code that comes with a checkpoint may still use the old name.
    """
    adapted = hasattr(model, "get_base_model")
    kind: Any = type(model.get_base_model() if adapted else model)
    return _read_cache_name(kind.forward)


@cache
def _read_cache_name(forward: Callable[..., Any]) -> str:
    return "cache" if "cache" in inspect.signature(forward).parameters else "past_key_values"


def join_batches(batches: Sequence[Batch]) -> Batch:
    """One batch with the rows of all, in order. All must be of one kind."""
    first, *others = batches
    if not others:
        return first
    if isinstance(first, KeyValueBatch):
        return first.join([batch for batch in others if isinstance(batch, KeyValueBatch)])
    if isinstance(first, RefillBatch):
        return first.join([batch for batch in others if isinstance(batch, RefillBatch)])
    raise TypeError(type(first).__name__)


# --- keys and values kept ---------------------------------------------------------------------------------


class _RoomyLayer(DynamicLayer):
    """A cache layer with slots to spare: a token is written in place, where the base class copies all."""

    def __init__(self) -> None:
        super().__init__()
        self._room: tuple[Tensor, Tensor] | None = None
        self._used = 0

    @classmethod
    def hold(cls, keys: Tensor, values: Tensor) -> _RoomyLayer:
        """A layer with these contents, shape `(B, heads, L, width)`."""
        layer = cls()
        layer.update(keys, values)
        return layer

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        start, end = self._used, self._used + key_states.shape[-2]
        if self._room is None or end > self._room[0].shape[-2]:
            self._room = (self._widen(key_states, 0, end), self._widen(value_states, 1, end))
        keys, values = self._room
        keys[:, :, start:end] = key_states
        values[:, :, start:end] = value_states
        self._used = end
        self.keys, self.values = keys[:, :, :end], values[:, :, :end]
        self.dtype, self.device, self.is_initialized = keys.dtype, keys.device, True
        return self.keys, self.values

    def _widen(self, states: Tensor, part: int, end: int) -> Tensor:
        rows, heads, _, width = states.shape
        room = states.new_empty(rows, heads, end + end // 2 + _SPARE_SLOTS, width)
        if self._room is not None:
            room[:, :, : self._used] = self._room[part][:, :, : self._used]
        return room


class KeyValueBatch:
    """Dialogues with their keys and values, padded on the left; slots that hold no token are masked."""

    can_drop_rows = True

    def __init__(self, model: Any, pad_id: int, device: torch.device) -> None:
        self._model, self._pad_id, self._device = model, pad_id, device
        self._cache_name = find_cache_name(model)
        self._layers: list[_RoomyLayer] = []
        self._mask_BL = torch.zeros(0, 0, dtype=torch.bool, device=device)
        """Room of the mask; the first `_length` slots are in use."""
        self._length = 0
        self._counts_B = torch.zeros(0, dtype=torch.long, device=device)
        """Tokens that each row holds: the position of its next one."""

    def feed(self, chunks: Sequence[Sequence[int]]) -> Tensor:
        """See `Batch`."""
        width = max(len(chunk) for chunk in chunks)
        padded = [[self._pad_id] * (width - len(chunk)) + list(chunk) for chunk in chunks]
        tokens_BC = torch.tensor(padded, device=self._device)
        starts_B = torch.tensor([width - len(chunk) for chunk in chunks], device=self._device)
        places_C = torch.arange(width, device=self._device)
        valid_BC = places_C >= starts_B[:, None]
        if not self._layers:
            self._counts_B = torch.zeros(len(chunks), dtype=torch.long, device=self._device)
            self._mask_BL = torch.zeros(len(chunks), 0, dtype=torch.bool, device=self._device)
        positions_BC = (self._counts_B[:, None] + places_C - starts_B[:, None]).clamp(min=0)
        self._extend_mask(valid_BC)
        slots_L = torch.arange(self._length, device=self._device)
        own_C = self._length - width + places_C
        allowed_BCL = self._mask_BL[:, None, : self._length] & (slots_L <= own_C[:, None])
        # A padded place sees itself: a row of the mask with nothing allowed gives NaN in some kernels.
        allowed_BCL |= slots_L == own_C[:, None]
        self._counts_B = self._counts_B + valid_BC.sum(1)
        return self._forward(tokens_BC, positions_BC, allowed_BCL)

    def step(self, tokens_B: Tensor, active_B: Tensor) -> Tensor:
        """See `Batch`."""
        self._extend_mask(active_B[:, None])
        positions_B = self._counts_B
        self._counts_B = positions_B + active_B
        return self._forward(tokens_B[:, None], positions_B[:, None], self._mask_BL[:, None, : self._length])

    def select(self, rows: Sequence[int]) -> KeyValueBatch:
        """See `Batch`. Slots that no row needs are closed up."""
        rows_B = torch.tensor(list(rows), device=self._device)
        valid_BL = self._mask_BL[rows_B, : self._length]
        counts_B = self._counts_B[rows_B]
        length = int(counts_B.max())
        # Stable: empty slots go to the left, tokens keep their order.
        order_BL = valid_BL.to(torch.uint8).argsort(dim=1, stable=True)[:, -length:]
        index = order_BL[:, None, :, None]

        def take(states: Tensor) -> Tensor:
            return states[rows_B].gather(2, index.expand(-1, states.shape[1], -1, states.shape[3]))

        layers = [(take(layer.keys), take(layer.values)) for layer in self._layers]
        return self._make(layers, valid_BL.gather(1, order_BL), counts_B)

    def join(self, others: Sequence[KeyValueBatch]) -> KeyValueBatch:
        """One batch with the rows of this one, then of the others."""
        batches = [self, *others]
        length = max(batch._length for batch in batches)

        def stack(parts: list[Tensor]) -> Tensor:
            # Zeros, not whatever the memory held: a masked NaN still spreads through a product with 0.
            return torch.cat([torch.nn.functional.pad(p, (0, 0, length - p.shape[2], 0)) for p in parts])

        layers = [
            (stack([b._layers[i].keys for b in batches]), stack([b._layers[i].values for b in batches]))
            for i in range(len(self._layers))
        ]
        masks = [
            torch.nn.functional.pad(b._mask_BL[:, : b._length], (length - b._length, 0)) for b in batches
        ]
        return self._make(layers, torch.cat(masks), torch.cat([b._counts_B for b in batches]))

    def _make(self, layers: list[tuple[Tensor, Tensor]], mask_BL: Tensor, counts_B: Tensor) -> KeyValueBatch:
        made = KeyValueBatch(self._model, self._pad_id, self._device)
        made._layers = [_RoomyLayer.hold(keys, values) for keys, values in layers]
        made._mask_BL, made._length, made._counts_B = mask_BL, mask_BL.shape[1], counts_B
        return made

    def _extend_mask(self, valid_BC: Tensor) -> None:
        end = self._length + valid_BC.shape[1]
        if end > self._mask_BL.shape[1]:
            room = torch.zeros(
                valid_BC.shape[0], end + end // 2 + _SPARE_SLOTS, dtype=torch.bool, device=self._device
            )
            room[:, : self._length] = self._mask_BL[:, : self._length]
            self._mask_BL = room
        self._mask_BL[:, self._length : end] = valid_BC
        self._length = end

    def _forward(self, tokens_BC: Tensor, positions_BC: Tensor, allowed_BCL: Tensor) -> Tensor:
        kept = DynamicCache()
        if not self._layers:
            config = self._model.config.get_text_config(decoder=True)
            self._layers = [_RoomyLayer() for _ in DynamicCache(config=config).layers]
        kept.layers = self._layers
        output = self._model(
            input_ids=tokens_BC,
            attention_mask=allowed_BCL[:, None],
            position_ids=positions_BC,
            use_cache=True,
            logits_to_keep=1,
            **{self._cache_name: kept},
        )
        logits_BV: Tensor = output.logits[:, -1]
        return logits_BV


# --- read again at each turn ------------------------------------------------------------------------------


class RefillBatch:
    """Dialogues as token ids; the model's own cache serves within one turn only."""

    can_drop_rows = False

    def __init__(self, model: Any, pad_id: int, device: torch.device) -> None:
        self._model, self._pad_id, self._device = model, pad_id, device
        self._cache_name = find_cache_name(model)
        self._texts: list[list[int]] = []
        self._cache: Any = None
        self._mask_BL = torch.zeros(0, 0, dtype=torch.long, device=device)
        self._counts_B = torch.zeros(0, dtype=torch.long, device=device)

    def feed(self, chunks: Sequence[Sequence[int]]) -> Tensor:
        """See `Batch`."""
        texts = self._texts or [[] for _ in chunks]
        self._texts = [text + list(chunk) for text, chunk in zip(texts, chunks, strict=True)]
        width = max(map(len, self._texts))
        tokens_BL = torch.tensor(
            [[self._pad_id] * (width - len(text)) + text for text in self._texts], device=self._device
        )
        self._counts_B = torch.tensor([len(text) for text in self._texts], device=self._device)
        places_L = torch.arange(width, device=self._device)
        positions_BL = places_L - (width - self._counts_B)[:, None]
        self._mask_BL = (positions_BL >= 0).long()
        self._cache = None
        return self._forward(tokens_BL, positions_BL.clamp(min=0))

    def step(self, tokens_B: Tensor, active_B: Tensor) -> Tensor:
        """See `Batch`."""
        for text, token, is_active in zip(self._texts, tokens_B.tolist(), active_B.tolist(), strict=True):
            if is_active:
                text.append(token)
        positions_B = self._counts_B
        self._counts_B = positions_B + active_B
        self._mask_BL = torch.cat([self._mask_BL, active_B[:, None].long()], dim=1)
        return self._forward(tokens_B[:, None], positions_B[:, None])

    def select(self, rows: Sequence[int]) -> RefillBatch:
        """See `Batch`. The rows can be fed, not stepped: the cache stays behind."""
        return self._make([list(self._texts[row]) for row in rows])

    def join(self, others: Sequence[RefillBatch]) -> RefillBatch:
        """One batch with the rows of this one, then of the others; to be fed, not stepped."""
        return self._make([list(text) for batch in (self, *others) for text in batch._texts])

    def _make(self, texts: list[list[int]]) -> RefillBatch:
        made = RefillBatch(self._model, self._pad_id, self._device)
        made._texts = texts
        return made

    def _forward(self, tokens_BC: Tensor, positions_BC: Tensor) -> Tensor:
        output = self._model(
            input_ids=tokens_BC,
            attention_mask=self._mask_BL,
            position_ids=positions_BC,
            use_cache=True,
            logits_to_keep=1,
            **{self._cache_name: self._cache},
        )
        # What a class of the library calls it, which is not always what the model's code does.
        self._cache = output.cache if hasattr(output, "cache") else output.past_key_values
        logits_BV: Tensor = output.logits[:, -1]
        return logits_BV
