# ruff: noqa: E402 - the imports below need what is asked for first
"""Equations 7 and 8 through the trainer, on recorded rollouts, against numbers worked out by hand.

Nine trained tokens in three rollouts with advantages 0.75, -0.25 and 1.5; the fourth has none. Old and reference
log-probabilities are set beside the model's own, so that every ratio and every log-ratio to the reference is a number
of this page and the loss does not depend on the weights.
"""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

from tests.runtime.factory import make_grpo
from tests.runtime.test_trl_contract import ADVANTAGES, AUX, BATCH, MASKS, make_trainer, run_step

pytestmark = pytest.mark.train

RATIOS = [[1.5, 0.7, 1.1, 1.0, 1.3], [0.7, 1.5], [1.25, 1.4], []]
"""pi / pi_old of each rollout's trained tokens."""
SURROGATES = [
    # min(1.5 * .75, 1.28 * .75), min(.7 * .75, .8 * .75), 1.1 * .75, .75, 1.28 * .75
    [0.96, 0.525, 0.825, 0.75, 0.96],
    # min(.7 * -.25, .8 * -.25), min(1.5 * -.25, 1.28 * -.25)
    [-0.2, -0.375],
    # 1.25 * 1.5, 1.28 * 1.5
    [1.875, 1.92],
    [],
]
"""min(ratio * A, clip(ratio, 0.8, 1.28) * A): sums 4.02, -0.575 and 3.795."""
SLOPES = [
    # -ratio * A where the ratio is not clipped away, else 0
    [0.0, -0.525, -0.825, -0.75, 0.0],
    [0.0, 0.375],
    [-1.875, 0.0],
    [],
]
"""Of the surrogate's negative in the token's log-probability."""
DRIFTS = [0.1, -0.2, 0.0, 0.3]
"""log(pi_ref / pi) of each rollout's tokens; k3 = exp(d) - d - 1: 0.005170918, 0.018730753, 0."""
CLIPS = {"clip": 0.2, "clip_high": 0.28}

LOSSES = {
    # A token's k3 is multiplied by its ratio: the ratios sum to 5.6 and to 2.2.
    # (-7.24 + .05 * (5.6 * .005170918 + 2.2 * .018730753)) / 9
    "dapo": -0.8040546400,
    "bnpo": -0.8040546400,
    # ((-4.02 / 5 + .05 * 5.6 / 5 * .005170918) + (.575 / 2 + .05 * 2.2 / 2 * .018730753) - 3.795 / 2 + 0) / 4
    "grpo": -0.6031700593,
    # (-7.24 + .0035082399) / (4 rollouts * 2 turns * 6 tokens)
    "dr_grpo": -0.1507602450,
}
PLAIN_K3 = {
    # Each token's k3 once: 5 * .005170918 + 2 * .018730753 = .063316096.
    # (-7.24 + .05 * .063316096) / 9
    "dapo": -0.8040926883,
    # ((-4.02 / 5 + .05 * .005170918) + (.575 / 2 + .05 * .018730753) - 3.795 / 2 + 0) / 4
    "grpo": -0.6032012291,
}
WITHOUT_KL = {
    "dapo": -7.24 / 9,
    "bnpo": -7.24 / 9,
    "grpo": (-0.804 + 0.2875 - 1.8975) / 4,
    "dr_grpo": -7.24 / 48,
}


def record(tmp_path, monkeypatch, stage, aux=()):
    """A trainer in double precision with its step's inputs and the log-probabilities that its loss is taken of."""
    trainer = make_trainer(tmp_path, stage, aux=aux)
    monkeypatch.setattr("trl.trainer.grpo_trainer.shuffle_sequence_dict", lambda rows: rows)
    trainer.model.double()
    trainer.model.train()
    trainer.current_gradient_accumulation_steps = 1
    inputs = trainer._prepare_inputs([{"prompt": place} for place in ("0", "0", "1", "1")])
    seen: list[torch.Tensor] = []
    original = trainer._get_per_token_logps_and_entropies

    def watch(*args, **kwargs):
        output = original(*args, **kwargs)
        if output[0].requires_grad:
            output[0].retain_grad()
        seen.append(output[0])
        return output

    monkeypatch.setattr(trainer, "_get_per_token_logps_and_entropies", watch)
    trainer._compute_loss(trainer.model, inputs)
    inputs["old_per_token_logps"] = seen[-1].detach() - spread(
        inputs, [[math.log(r) for r in rs] for rs in RATIOS]
    )
    if stage.kl:
        drifts = [[DRIFTS[row]] * len(ratios) for row, ratios in enumerate(RATIOS)]
        inputs["ref_per_token_logps"] = seen[-1].detach() + spread(inputs, drifts)
    return trainer, inputs, seen


def spread(inputs, values) -> torch.Tensor:
    """Values of the trained tokens at their places, 0 elsewhere."""
    places = (inputs["completion_mask"] * inputs["tool_mask"]).bool()
    out = torch.zeros(places.shape, dtype=torch.float64)
    for row, own in enumerate(values[: len(places)]):
        out[row, places[row]] = torch.tensor(own, dtype=torch.float64)
    return out


@pytest.mark.parametrize("loss", LOSSES)
def test_the_clipped_surrogate_and_the_k3_kl_by_hand(tmp_path, monkeypatch, loss):
    stage = make_grpo(group={"full": 2}, loss=loss, kl=0.05, **CLIPS)
    trainer, inputs, _ = record(tmp_path, monkeypatch, stage)
    assert float(trainer.compute_loss(trainer.model, inputs)) == pytest.approx(LOSSES[loss], abs=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
def test_without_a_kl_the_rows_left_out_leave_the_loss_as_it_is_by_hand(tmp_path, monkeypatch, loss):
    stage = make_grpo(group={"full": 2}, loss=loss, **CLIPS)
    trainer, inputs, _ = record(tmp_path, monkeypatch, stage)
    assert len(inputs["advantages"]) == 3
    assert float(trainer.compute_loss(trainer.model, inputs)) == pytest.approx(WITHOUT_KL[loss], abs=1e-6)


@pytest.mark.parametrize("loss", PLAIN_K3)
def test_the_plain_k3_by_hand(tmp_path, monkeypatch, loss):
    stage = make_grpo(group={"full": 2}, loss=loss, kl=0.05, kl_gradient="k3", **CLIPS)
    trainer, inputs, _ = record(tmp_path, monkeypatch, stage)
    assert float(trainer.compute_loss(trainer.model, inputs)) == pytest.approx(PLAIN_K3[loss], abs=1e-6)


@pytest.mark.parametrize(("kl_gradient", "expected"), [("unbiased", -0.1), ("k3", 1 - math.exp(0.1))])
def test_the_kl_s_gradient_on_policy_by_hand(tmp_path, monkeypatch, kl_gradient, expected):
    # d(ratio * k3) = k3 + (1 - exp(d)) = -d at ratio 1; d(k3) = 1 - exp(d). The reference is likelier by d = 0.1.
    stage = make_grpo(group={"full": 2}, kl=0.05, kl_gradient=kl_gradient)
    trainer, inputs, seen = record(tmp_path, monkeypatch, stage)
    del inputs["old_per_token_logps"]
    inputs["advantages"] = torch.zeros(4)
    trainer.compute_loss(trainer.model, inputs).backward()
    places = (inputs["completion_mask"] * inputs["tool_mask"])[0].bool()
    assert (seen[-1].grad[0, places] * 9 / 0.05).tolist() == pytest.approx([expected] * 5, abs=1e-6)


def test_a_token_that_is_clipped_away_has_no_gradient(tmp_path, monkeypatch):
    trainer, inputs, seen = record(tmp_path, monkeypatch, make_grpo(group={"full": 2}, **CLIPS))
    trainer.compute_loss(trainer.model, inputs).backward()
    expected = spread(inputs, [[slope / 9 for slope in slopes] for slopes in SLOPES])
    torch.testing.assert_close(seen[-1].grad, expected, atol=1e-6, rtol=0, check_dtype=False)


def test_the_auxiliary_loss_is_added_with_its_weight(tmp_path, monkeypatch):
    stage = make_grpo(group={"full": 2}, kl=0.05, aux=0.3, **CLIPS)
    trainer, inputs, _ = record(tmp_path, monkeypatch, stage, AUX)
    total, count = 0.0, 0
    for example in AUX:
        with torch.no_grad():
            [logits] = trainer.model(input_ids=torch.tensor([example.input_ids])).logits.tolist()
        for place, label in enumerate(example.labels):
            if label != -100:
                total += math.log(math.fsum(map(math.exp, logits[place - 1]))) - logits[place - 1][label]
                count += 1
    loss = float(trainer.compute_loss(trainer.model, inputs))
    assert loss == pytest.approx(LOSSES["dapo"] + 0.3 * total / count, abs=1e-6)


def test_a_step_is_on_policy_so_its_loss_is_the_advantages_over_the_trained_tokens(tmp_path):
    # Every ratio is 1 and the reference is the student: -(5 * .75 - 2 * .25 + 2 * 1.5) / 9.
    stage = make_grpo(group={"full": 2}, steps=1, kl=0.05, **CLIPS)
    _, [report] = run_step(tmp_path, stage)
    assert [sum(mask) for mask in MASKS] == [5, 2, 2, 0]
    assert BATCH.advantages == ADVANTAGES
    assert report.loss == pytest.approx(-6.25 / 9, abs=1e-6)
    assert report.kl == pytest.approx(0.0, abs=1e-9)
    assert report.clip_fraction == 0
