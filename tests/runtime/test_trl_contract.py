# ruff: noqa: E402 - the imports below need what is asked for first
from __future__ import annotations

import dataclasses

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

from exgrpo_artifact.errors import InternalError
from exgrpo_artifact.manifest import Lora, Optimizer
from exgrpo_runtime.student import Student, attach_lora, load_for_stage, load_student, save_student
from exgrpo_runtime.training import Example
from exgrpo_runtime.training_batch import TrainingBatch, align_prompts, check_batch
from exgrpo_runtime.trl_adapter import Callbacks, ExGrpoTrainer, build_config
from tests.runtime.factory import make_artifact, make_context, make_grpo

pytestmark = pytest.mark.train

PROMPTS = [[7, 8, 9], [7, 8, 9], [5, 6], [5, 6]]
COMPLETIONS = [[20, 21, 1, 30, 31, 22, 1], [23, 1], [24, 25, 26, 1], [1]]
MASKS = [[1, 1, 1, 0, 0, 1, 1], [1, 1], [0, 0, 1, 1], [0]]
ADVANTAGES = [0.75, -0.25, 1.5, 0.0]
BATCH = TrainingBatch(PROMPTS, COMPLETIONS, MASKS, ADVANTAGES)
AUX = [Example([5, 6, 7, 8, 9], [-100, -100, -100, 8, 9]), Example([9, 40, 41], [-100, -100, 41])]


def make_student(tmp_path, stage, lora=None) -> Student:
    """A student that is on disk, with its adapter if any."""
    artifact = make_artifact(stage, lora=lora)
    save_student(load_for_stage(make_context(tmp_path, artifact)), tmp_path / "start")
    student = load_student(tmp_path / "start", artifact.manifest.models["tiny"])
    attach_lora(student)
    return student


def make_trainer(
    tmp_path, stage=None, *, batch=BATCH, lora=None, aux=(), reports=None, micro=None, student=None
) -> ExGrpoTrainer:
    """A trainer whose rollouts are given."""
    stage = stage or make_grpo(items=2, group={"full": 2}, steps=1)
    student = student or make_student(tmp_path, stage, lora)
    config = build_config(stage, student, 16, 2, tmp_path / "trainer", 0)
    if micro:
        rows = stage.items * sum(stage.group.values())
        config = dataclasses.replace(
            config,
            per_device_train_batch_size=micro,
            gradient_accumulation_steps=rows // micro,
            steps_per_generation=rows // micro,
            generation_batch_size=None,
        )
    callbacks = Callbacks(
        lambda step: batch, lambda step: list(aux), (reports if reports is not None else []).append
    )
    return ExGrpoTrainer(student, stage, config, callbacks)


def copy_weights(trainer) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in trainer.model.named_parameters() if p.requires_grad}


def run_step(tmp_path, stage=None, **settings) -> tuple[dict[str, torch.Tensor], list]:
    """Weights after one training run, and what was reported."""
    reports: list = []
    trainer = make_trainer(tmp_path, stage, reports=reports, **settings)
    trainer.train()
    return copy_weights(trainer), reports


# --- what is trained --------------------------------------------------------------------------------------


@pytest.mark.parametrize("lora", [None, Lora(rank=4, alpha=8)])
def test_loss_depends_on_the_sampled_tokens_only(tmp_path, monkeypatch, lora):
    trainer = make_trainer(tmp_path, lora=lora)
    seen = {}
    original = trainer._get_per_token_logps_and_entropies

    def watch(*args, **kwargs):
        logps, entropies, aux = original(*args, **kwargs)
        if logps.requires_grad:
            logps.retain_grad()
            seen["logps"] = logps
        return logps, entropies, aux

    def keep_order(rows):
        return rows

    monkeypatch.setattr(trainer, "_get_per_token_logps_and_entropies", watch)
    monkeypatch.setattr("trl.trainer.grpo_trainer.shuffle_sequence_dict", keep_order)
    trainer.train()
    gradient = seen["logps"].grad
    aligned = align_prompts(BATCH)
    # Without a KL, rows without an advantage are not even read.
    assert len(gradient) == sum(advantage != 0 for advantage in ADVANTAGES)
    for row, mask in enumerate(aligned.masks[: len(gradient)]):
        padded = mask + [0] * (gradient.shape[1] - len(mask))
        assert (gradient[row] != 0).int().tolist() == padded


def test_gradient_is_the_advantage_over_the_number_of_trained_tokens(tmp_path, monkeypatch):
    trainer = make_trainer(tmp_path)
    monkeypatch.setattr("trl.trainer.grpo_trainer.shuffle_sequence_dict", lambda rows: rows)
    trainer.model.train()
    trainer.current_gradient_accumulation_steps = 1
    prompts = [{"prompt": place} for place in ("0", "0", "1", "1")]
    inputs = trainer._prepare_inputs(prompts)
    assert inputs["advantages"].tolist() == ADVANTAGES[:3]
    logps: list[torch.Tensor] = []
    original = trainer._get_per_token_logps_and_entropies

    def watch(*args, **kwargs):
        output = original(*args, **kwargs)
        output[0].retain_grad()
        logps.append(output[0])
        return output

    monkeypatch.setattr(trainer, "_get_per_token_logps_and_entropies", watch)
    trainer.compute_loss(trainer.model, inputs).backward()
    num_trained = sum(map(sum, MASKS))
    aligned = align_prompts(BATCH)
    for row, (mask, advantage) in enumerate(zip(aligned.masks[:3], ADVANTAGES[:3], strict=True)):
        expected = [-advantage * bit / num_trained for bit in mask]
        assert logps[0].grad[row, : len(mask)].tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("loss", ["dapo", "bnpo", "grpo", "dr_grpo"])
def test_micro_batches_change_nothing(tmp_path, loss):
    stage = make_grpo(items=2, group={"full": 2}, steps=2, loss=loss, aux=0.3, kl=0.05)
    whole, reports = run_step(tmp_path / "whole", stage, aux=AUX)
    parts, part_reports = run_step(tmp_path / "parts", stage, aux=AUX, micro=1)
    for name in whole:
        torch.testing.assert_close(parts[name], whole[name], rtol=1e-4, atol=2e-6)
    assert part_reports[0].aux_loss == pytest.approx(reports[0].aux_loss, rel=1e-5)
    assert part_reports[-1].loss == pytest.approx(reports[-1].loss, rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("micro", [None, 2])
@pytest.mark.parametrize("loss", ["dapo", "grpo", "dr_grpo"])
def test_leaving_out_rows_without_advantage_changes_nothing(tmp_path, monkeypatch, loss, micro):
    batch = BATCH._replace(advantages=[0.0, -0.25, 0.0, 0.0])
    stage = make_grpo(group={"full": 2}, steps=2, loss=loss)
    part, _ = run_step(tmp_path / "part", stage, batch=batch, micro=micro)
    monkeypatch.setattr(ExGrpoTrainer, "_drop_silent_rows", lambda self, output: output)
    whole, _ = run_step(tmp_path / "whole", stage, batch=batch, micro=micro)
    for name in whole:
        torch.testing.assert_close(part[name], whole[name], rtol=1e-4, atol=2e-6)


def test_aligned_prompts_hold_the_same_tokens():
    aligned = align_prompts(BATCH)
    assert {len(prompt) for prompt in aligned.prompt_ids} == {2}
    for row in range(4):
        assert aligned.prompt_ids[row] + aligned.completion_ids[row] == PROMPTS[row] + COMPLETIONS[row]
        assert len(aligned.masks[row]) == len(aligned.completion_ids[row])
        assert sum(aligned.masks[row]) == sum(MASKS[row])
    check_batch(aligned, 4)


def test_log_probabilities_are_those_of_the_unpadded_dialogue(tmp_path):
    trainer = make_trainer(tmp_path)
    trainer.model.train()
    inputs = trainer._generate_and_score_completions([{"prompt": place} for place in ("0", "0", "1", "1")])
    ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], dim=1)
    attention = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], dim=1)
    width = inputs["completion_ids"].shape[1]
    logps, _, _ = trainer._get_per_token_logps_and_entropies(trainer.model, ids, attention, width)
    for row in range(3):
        tokens = PROMPTS[row] + COMPLETIONS[row]
        alone = trainer.model(input_ids=torch.tensor([tokens])).logits[0].log_softmax(-1).detach()
        expected = [float(alone[place - 1, tokens[place]]) for place in range(2, len(tokens))]
        assert logps[row, : len(expected)].tolist() == pytest.approx(expected, abs=1e-4)


def test_parts_of_like_length_give_what_the_whole_batch_gives(tmp_path, monkeypatch):
    trainer = make_trainer(tmp_path)
    long = TrainingBatch(
        PROMPTS, [ids * 20 if row == 2 else ids for row, ids in enumerate(COMPLETIONS)], [[]] * 4, ADVANTAGES
    )
    rows = [prompt[-2:] + ids for prompt, ids in zip(PROMPTS, long.completion_ids, strict=True)]
    width = max(map(len, rows))
    ids = torch.tensor([row + [0] * (width - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    monkeypatch.setattr("exgrpo_runtime.training.PASS_TOKENS", {"cpu": 1})
    forward = trainer._get_per_token_logps_and_entropies
    parts = forward(trainer.model, ids, mask, width - 2, compute_entropy=True)
    whole = super(ExGrpoTrainer, trainer)._get_per_token_logps_and_entropies(
        trainer.model, ids, mask, width - 2, compute_entropy=True
    )
    for part, expected in zip(parts[:2], whole[:2], strict=True):
        torch.testing.assert_close(part, expected, rtol=1e-5, atol=1e-5)
    assert whole[1].abs().sum() > 0


def test_bnpo_is_the_sum_over_all_trained_tokens_of_the_step(tmp_path):
    dapo, _ = run_step(tmp_path / "dapo", make_grpo(group={"full": 2}, steps=1, loss="dapo"))
    bnpo, _ = run_step(tmp_path / "bnpo", make_grpo(group={"full": 2}, steps=1, loss="bnpo"))
    for name in dapo:
        assert torch.equal(dapo[name], bnpo[name])


def test_rollouts_without_advantage_move_nothing(tmp_path):
    still = BATCH._replace(advantages=[0.0] * 4)
    trainer = make_trainer(tmp_path, batch=still)
    before = copy_weights(trainer)
    trainer.train()
    for name, weight in copy_weights(trainer).items():
        assert torch.equal(weight, before[name])


# --- the auxiliary loss -----------------------------------------------------------------------------------


def test_auxiliary_loss_is_the_mean_over_target_tokens(tmp_path):
    stage = make_grpo(group={"full": 2}, steps=1, aux=0.3, temperature=0.5)
    reports: list = []
    trainer = make_trainer(tmp_path, stage, aux=AUX, reports=reports)
    total, count = 0.0, 0
    with torch.no_grad():
        for example in AUX:
            logits = trainer.model(input_ids=torch.tensor([example.input_ids])).logits[0].log_softmax(-1)
            for place, label in enumerate(example.labels):
                if label != -100:
                    total -= float(logits[place - 1, label])
                    count += 1
    trainer.train()
    assert count == 3
    assert reports[0].aux_loss == pytest.approx(total / count, rel=1e-5)


def test_auxiliary_loss_adds_its_weight_times_the_mean(tmp_path):
    still = BATCH._replace(advantages=[0.0] * 4)
    stage = make_grpo(group={"full": 2}, steps=1, aux=0.25)
    _, [report] = run_step(tmp_path, stage, batch=still, aux=AUX)
    assert report.loss == pytest.approx(0.25 * report.aux_loss, rel=1e-5)


# --- the reference ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("lora", [None, Lora(rank=4, alpha=8)])
def test_kl_is_to_the_student_at_the_start_of_the_stage(tmp_path, lora):
    stage = make_grpo(group={"full": 2}, steps=3, kl=0.1)
    _, reports = run_step(tmp_path, stage, lora=lora)
    assert reports[0].kl == pytest.approx(0.0, abs=1e-9)
    assert reports[1].kl > 1e-9
    assert reports[2].kl > reports[1].kl / 10


@pytest.mark.parametrize("kl", [0.0, 0.1])
def test_the_saved_student_is_the_trained_policy(tmp_path, kl):
    stage = make_grpo(group={"full": 2}, steps=3, kl=kl, optimizer=Optimizer(lr=0.05))
    lora = Lora(rank=4, alpha=8)
    student = make_student(tmp_path, stage, lora)
    trainer = make_trainer(tmp_path, stage, student=student)
    ids = torch.tensor([PROMPTS[0] + COMPLETIONS[0]])
    start = trainer.model(input_ids=ids).logits.detach()
    trainer.train()
    end = trainer.model.eval()(input_ids=ids).logits.detach()
    assert (end - start).abs().max() > 1e-3
    save_student(student, tmp_path / "saved")
    saved = load_student(tmp_path / "saved", make_artifact(stage, lora=lora).manifest.models["tiny"])
    with torch.no_grad():
        torch.testing.assert_close(saved.model(input_ids=ids).logits, end, rtol=1e-4, atol=1e-5)


def test_a_student_changed_in_memory_is_refused_as_its_own_reference(tmp_path):
    stage = make_grpo(group={"full": 2}, steps=1, kl=0.1)
    student = make_student(tmp_path, stage)
    with torch.no_grad():
        next(student.model.parameters()).add_(1.0)
    config = build_config(stage, student, 16, 2, tmp_path / "trainer", 0)
    with pytest.raises(InternalError, match="reference model"):
        ExGrpoTrainer(student, stage, config, Callbacks(lambda _: BATCH, lambda _: [], lambda _: None))


# --- what TRL would take silently -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("batch", "complaint"),
    [
        (TrainingBatch(*(column[:2] for column in BATCH)), "4 rollouts"),
        (BATCH._replace(masks=[[1, 1], *MASKS[1:]]), "mask of 2"),
        (BATCH._replace(completion_ids=[[], *COMPLETIONS[1:]], masks=[[], *MASKS[1:]]), "empty"),
        (BATCH._replace(prompt_ids=[[], *PROMPTS[1:]]), "empty"),
        (BATCH._replace(advantages=[float("nan"), 0, 0, 0]), "not finite"),
        (BATCH._replace(masks=[[2, 1, 1, 0, 0, 1, 1], *MASKS[1:]]), "mask"),
    ],
)
def test_wrong_batches_are_refused(batch, complaint):
    with pytest.raises(InternalError, match=complaint):
        check_batch(batch, 4)


def test_a_short_mask_is_refused_inside_training(tmp_path):
    with pytest.raises(InternalError, match="mask of 1"):
        make_trainer(tmp_path, batch=BATCH._replace(masks=[[1], *MASKS[1:]])).train()


def test_each_step_asks_for_its_own_questions_once(tmp_path):
    asked: list[int] = []
    stage = make_grpo(items=2, group={"full": 2}, steps=3)
    trainer = make_trainer(tmp_path, stage, micro=2)
    trainer.callbacks = trainer.callbacks._replace(sample=lambda step: asked.append(step) or BATCH)
    trainer.train()
    assert asked == [0, 1, 2]


def test_other_prompts_than_planned_are_refused(tmp_path):
    trainer = make_trainer(tmp_path)
    with pytest.raises(InternalError, match="other questions"):
        trainer.take_rollouts(["0", "1", "0", "1"])
