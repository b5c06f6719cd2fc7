"""Optimizers that a stage may name, each one torch `Optimizer` that a trainer can prepare and schedule.

`muon` is two algorithms behind one interface: Muon (Jordan 2024; torch.optim.Muon) on the hidden matrices and
AdamW on embeddings, head, norms and biases. Invariant: the inner optimizers always work on the group dicts
and the state of the outer one, so that whoever rewrites those (a scheduler, a state-dict round trip) reaches
them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from exgrpo_artifact.errors import ModelError
from exgrpo_artifact.manifest import Optimizer as OptimizerSpec

ADAM_BETAS = (0.9, 0.95)
"""Stages last hundreds of steps, not hundreds of thousands: a second moment over 20 steps follows them."""

SCHEDULES = {"constant": "constant_with_warmup", "linear": "linear", "cosine": "cosine"}
"""Schedule of a spec -> its name in transformers."""

ParamGroup = dict[str, Any]


class MuonAdamW(torch.optim.Optimizer):
    """Muon for groups with `algorithm` "muon", AdamW for those with "adamw".

    Muon's update has the RMS of AdamW's (`match_rms_adamw`), so its learning rate reads on AdamW's scale.
    """

    def __init__(self, groups: list[ParamGroup], weight_decay: float) -> None:
        super().__init__(groups, {"weight_decay": weight_decay})
        muon = [group for group in self.param_groups if group["algorithm"] == "muon"]
        adamw = [group for group in self.param_groups if group["algorithm"] == "adamw"]
        self._inner: dict[str, torch.optim.Optimizer] = {}
        if muon:
            self._inner["muon"] = torch.optim.Muon(
                muon, adjust_lr_fn="match_rms_adamw", weight_decay=weight_decay
            )
        if adamw:
            self._inner["adamw"] = torch.optim.AdamW(adamw, betas=ADAM_BETAS, weight_decay=weight_decay)
        # The inner constructors copy the group dicts and fill in their defaults: take over the result.
        self.param_groups = [group for inner in self._inner.values() for group in inner.param_groups]
        self._link()

    def _link(self) -> None:
        """Makes the inner optimizers share group dicts and state with this one, by identity."""
        for algorithm, inner in self._inner.items():
            inner.param_groups = [group for group in self.param_groups if group["algorithm"] == algorithm]
            inner.state = self.state

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update of every group at its own current learning rate."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        # `accelerate.prepare` loads the state dict back, which replaces `param_groups` and `state`. Without
        # this the inner optimizers would go on with the old dicts and never see the schedule.
        self._link()
        for inner in self._inner.values():
            inner.step()
        return loss


def _list_edge_params(model: nn.Module) -> set[int]:
    """Ids of the parameters of input embeddings and output head."""
    modules = [getattr(model, name)() for name in ("get_input_embeddings", "get_output_embeddings")]
    return {id(param) for module in modules if module is not None for param in module.parameters()}


def split_params(model: nn.Module) -> dict[str, list[nn.Parameter]]:
    """Trainable parameters by part.

    `hidden`: 2-D, inside the layers; `edge`: embeddings and head; `other`: what is not 2-D (norms, biases).
    """
    edge_ids = _list_edge_params(model)
    parts: dict[str, list[nn.Parameter]] = {"hidden": [], "edge": [], "other": []}
    for param in model.parameters():
        if not param.requires_grad:
            continue
        if id(param) in edge_ids:
            parts["edge"].append(param)
        else:
            parts["hidden" if param.ndim == 2 else "other"].append(param)
    return parts


def build_optimizer(model: nn.Module, spec: OptimizerSpec) -> torch.optim.Optimizer:
    """The optimizer that `spec` names over the trainable parameters of `model`.

    Weight decay applies to matrices only, never to norms and biases.

    Raises:
        ModelError: the model has no trainable parameter.
    """
    parts = split_params(model)
    if not any(parts.values()):
        raise ModelError("The student has no trainable parameter: its LoRA targets match none of its layers.")
    if spec.name == "adamw":
        decayed = [*parts["hidden"], *parts["edge"]]
        groups = _drop_empty(
            [
                {"params": decayed, "weight_decay": spec.weight_decay},
                {"params": parts["other"], "weight_decay": 0.0},
            ]
        )
        return torch.optim.AdamW(groups, lr=spec.lr, betas=ADAM_BETAS, fused=_can_fuse(decayed))
    edge = {"algorithm": "adamw", "lr": spec.embed_lr}
    groups = _drop_empty(
        [
            {"params": parts["hidden"], "algorithm": "muon", "lr": spec.lr},
            {"params": parts["edge"], **edge},
            {"params": parts["other"], **edge, "weight_decay": 0.0},
        ]
    )
    return MuonAdamW(groups, spec.weight_decay)


def _drop_empty(groups: list[ParamGroup]) -> list[ParamGroup]:
    return [group for group in groups if group["params"]]


def _can_fuse(params: Iterable[nn.Parameter]) -> bool:
    """Whether torch has a fused AdamW kernel for these parameters."""
    return all(param.device.type in ("cpu", "cuda") and param.is_floating_point() for param in params)
