# ruff: noqa: E402 - the imports below need what is asked for first
from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")
pytest.importorskip("transformers")

from accelerate import Accelerator
from transformers import LlamaConfig, LlamaForCausalLM, get_scheduler

from exgrpo_artifact.errors import ModelError
from exgrpo_artifact.manifest import Optimizer as OptimizerSpec
from exgrpo_runtime.optimizers import SCHEDULES, MuonAdamW, build_optimizer, split_params

pytestmark = pytest.mark.train


def make_model(tied: bool = False) -> LlamaForCausalLM:
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=32,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            tie_word_embeddings=tied,
        )
    )


def take_step(model, optimizer) -> None:
    ids = torch.arange(12).view(2, 6)
    model(input_ids=ids, labels=ids).loss.backward()
    optimizer.step()
    optimizer.zero_grad()


def measure_moves(model, optimizer) -> dict[str, float]:
    """Root mean square of the change that one step makes, by part of the model."""
    before = {part: [p.detach().clone() for p in params] for part, params in split_params(model).items()}
    take_step(model, optimizer)
    moves = {}
    for part, params in split_params(model).items():
        diffs = [(p - old).detach().flatten() for p, old in zip(params, before[part], strict=True)]
        if diffs:
            moves[part] = float(torch.cat(diffs).pow(2).mean().sqrt())
    return moves


@pytest.mark.parametrize("tied", [False, True])
def test_parts_cover_every_parameter_once(tied):
    model = make_model(tied)
    parts = split_params(model)
    assert sum(map(len, parts.values())) == len(list(model.parameters()))
    assert len(parts["edge"]) == (1 if tied else 2)
    assert len(parts["hidden"]) == 7
    assert all(p.ndim == 1 for p in parts["other"])


def test_muon_uses_lr_for_hidden_and_embed_lr_for_the_rest():
    model = make_model()
    moves = measure_moves(model, build_optimizer(model, OptimizerSpec(name="muon", lr=0.0, embed_lr=1e-2)))
    assert moves["hidden"] == 0.0
    assert moves["edge"] > 1e-3
    assert moves["other"] > 1e-3
    model = make_model()
    moves = measure_moves(model, build_optimizer(model, OptimizerSpec(name="muon", lr=1e-2, embed_lr=0.0)))
    # match_rms_adamw: an update of RMS 0.2 times the learning rate.
    assert moves["hidden"] == pytest.approx(2e-3, rel=0.3)
    assert moves["edge"] == 0.0
    assert moves["other"] == 0.0


@pytest.mark.parametrize("name", ["muon", "adamw"])
def test_schedule_reaches_every_parameter_after_prepare(name):
    model = make_model()
    spec = OptimizerSpec(name=name, lr=1e-2, embed_lr=1e-2, schedule="linear", warmup_steps=0)
    optimizer = build_optimizer(model, spec)
    model, prepared = Accelerator(cpu=True).prepare(model, optimizer)
    scheduler = get_scheduler(SCHEDULES["linear"], prepared, num_warmup_steps=0, num_training_steps=4)
    first = measure_moves(model, prepared)
    for _ in range(4):
        scheduler.step()
    assert [group["lr"] for group in prepared.param_groups] == [0.0] * len(prepared.param_groups)
    last = measure_moves(model, prepared)
    assert all(move > 1e-4 for move in first.values())
    assert last == {"hidden": 0.0, "edge": 0.0, "other": 0.0}


def test_state_dict_round_trip_continues_the_same_run():
    spec = OptimizerSpec(name="muon", lr=1e-2, embed_lr=1e-2, weight_decay=0.1)
    whole, half = make_model(), make_model()
    one = build_optimizer(whole, spec)
    for _ in range(4):
        take_step(whole, one)
    before = build_optimizer(half, spec)
    for _ in range(2):
        take_step(half, before)
    after = build_optimizer(half, spec)
    after.load_state_dict(before.state_dict())
    for _ in range(2):
        take_step(half, after)
    for expected, actual in zip(whole.parameters(), half.parameters(), strict=True):
        torch.testing.assert_close(actual, expected, rtol=0, atol=0)


def test_muon_without_one_of_the_two_parts_still_steps():
    model = make_model()
    for param in split_params(model)["edge"] + split_params(model)["other"]:
        param.requires_grad_(False)
    optimizer = build_optimizer(model, OptimizerSpec(name="muon", lr=1e-2))
    assert isinstance(optimizer, MuonAdamW)
    assert measure_moves(model, optimizer)["hidden"] > 0


def test_weight_decay_leaves_norms_alone():
    for name in ("adamw", "muon"):
        model = make_model()
        optimizer = build_optimizer(model, OptimizerSpec(name=name, lr=1e-3, weight_decay=0.5))
        norms = {id(p) for p in split_params(model)["other"]}
        for group in optimizer.param_groups:
            assert group["weight_decay"] == (0.0 if {id(p) for p in group["params"]} & norms else 0.5)


def test_a_model_with_nothing_to_train_is_refused():
    model = make_model().requires_grad_(False)
    with pytest.raises(ModelError, match="no trainable parameter"):
        build_optimizer(model, OptimizerSpec(lr=1e-3))
