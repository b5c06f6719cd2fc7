"""TRL's GRPOTrainer with rollouts, advantages and an auxiliary loss of our own.

The only module that knows GRPOTrainer. It uses `rollout_func` with `env_mask`, post-processes
`_generate_and_score_completions` and extends `compute_loss`; nothing of TRL is copied. TRL accepts several
wrong answers of a rollout function without a word (too few rows, a short mask), so every answer is checked
here.

Invariant: one call of `sample` per optimizer step, and its advantages are what the loss sees.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from exgrpo_artifact.errors import InternalError
from exgrpo_artifact.manifest import GrpoStage
from exgrpo_runtime.quiet import hide_library_bars

hide_library_bars()

import torch  # noqa: E402
from datasets import Dataset  # noqa: E402
from transformers import PrinterCallback, TrainerCallback  # noqa: E402
from trl import GRPOConfig, GRPOTrainer  # noqa: E402

from exgrpo_runtime.optimizers import build_optimizer  # noqa: E402
from exgrpo_runtime.student import Student  # noqa: E402
from exgrpo_runtime.training import (  # noqa: E402
    Example,
    choose_micro_batch,
    collate_examples,
    count_tokens_per_pass,
    describe_trainer,
    split_by_length,
    use_one_device,
)
from exgrpo_runtime.training_batch import TrainingBatch, align_prompts, check_batch  # noqa: E402


class StepFigures(NamedTuple):
    """What the trainer measured in one optimizer step."""

    step: int
    """From 1."""
    loss: float
    learning_rate: float
    kl: float | None
    """Mean k3 estimate over the trained tokens, nats; None where the reference is not asked."""
    clip_fraction: float
    aux_loss: float | None
    grad_norm: float


class Callbacks(NamedTuple):
    """What the trainer asks for and reports to."""

    sample: Callable[[int], TrainingBatch]
    """Rollouts of the step (from 0) with the model as it is now."""
    draw_aux: Callable[[int], Sequence[Example]]
    """Dialogues of the auxiliary loss in the step (from 0)."""
    report: Callable[[StepFigures], None]


def build_config(
    stage: GrpoStage, student: Student, longest: int, num_turns: int, work: Path, seed: int
) -> GRPOConfig:
    """TRL's settings for a stage: one optimizer step per step of the stage, on-policy.

    Args:
        stage: the stage.
        student: the model that is trained.
        longest: tokens of the longest rollout to expect, for the division into micro-batches.
        num_turns: assistant turns of the longest dialogue.
        work: a directory that the trainer may write to.
        seed: of the trainer's own draws.
    """
    group = sum(stage.group.values())
    rows = stage.items * group
    micro = choose_micro_batch(rows, longest, count_tokens_per_pass(student))
    config = GRPOConfig(
        **describe_trainer(student, stage.optimizer, work, seed),
        max_steps=stage.steps,
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=rows // micro,
        steps_per_generation=rows // micro,
        num_generations=group,
        beta=stage.kl,
        epsilon=stage.clip,
        epsilon_high=stage.clip_high,
        use_bias_correction_kl=stage.kl_gradient == "unbiased",
        # One process and one generation per step: `bnpo` over the whole step is what `dapo` computes, and
        # unlike TRL's bnpo it does not depend on the micro-batches.
        loss_type="dapo" if stage.loss == "bnpo" else stage.loss,
        scale_rewards="none",
        temperature=stage.temperature,
        top_p=stage.top_p,
        # Only dr_grpo reads it: the constant that its sum of token losses is divided by.
        max_completion_length=stage.max_new * num_turns,
        disable_dropout=True,
        shuffle_dataset=False,
        log_completions=False,
    )
    return use_one_device(config)


class ExGrpoTrainer(GRPOTrainer):
    """GRPO whose rollouts, scores and advantages come from `Callbacks`."""

    optimizer: torch.optim.Optimizer | None

    def __init__(self, student: Student, stage: GrpoStage, config: GRPOConfig, callbacks: Callbacks) -> None:
        self._stage = stage
        self.callbacks = callbacks
        self._aux_chunks: list[list[Example]] = []
        self._aux_sum: torch.Tensor | None = None
        self._num_aux_targets = 0
        self._pad_id = student.chat.pad_id
        questions = [str(place) for place in range(stage.steps * stage.items)]
        super().__init__(
            model=student.model,
            reward_funcs=[pass_advantage],
            args=config,
            train_dataset=Dataset.from_dict({"prompt": questions}),
            processing_class=student.tokenizer,
            callbacks=[_StepReporter(self)],
            rollout_func=_roll_out,
        )
        self.remove_callback(PrinterCallback)
        self._check_reference()

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """The optimizer that the spec names."""
        if self.optimizer is None:
            self.optimizer = build_optimizer(self.model if model is None else model, self._stage.optimizer)
        return self.optimizer

    def take_rollouts(self, prompts: Sequence[str]) -> TrainingBatch:
        """The step's rollouts, checked; `prompts` are its questions' places, each repeated over its group."""
        group = self.num_generations
        step = self.state.global_step
        first = step * self._stage.items
        expected = [str(first + i // group) for i in range(self._stage.items * group)]
        if list(prompts) != expected:
            raise InternalError(f"TRL asked for other questions in step {step} than the stage planned.")
        batch = self.callbacks.sample(step)
        check_batch(batch, len(expected))
        return batch

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        output: dict[str, Any] = super()._generate_and_score_completions(inputs)
        advantages = torch.tensor([row["advantage"] for row in inputs], device=output["advantages"].device)
        num_trained = sum(row["num_trained"] for row in inputs)
        mask = output["completion_mask"] * output["tool_mask"]
        if advantages.shape != output["advantages"].shape or int(mask.sum()) != num_trained:
            raise InternalError("TRL changed which rollouts or tokens are trained.")
        output["advantages"] = advantages
        return output if self.beta else self._drop_silent_rows(output)

    def _drop_silent_rows(self, output: dict[str, Any]) -> dict[str, Any]:
        """The rows whose advantage is not 0, which alone have a gradient where no KL is asked for.

        Sums over tokens do not change. Where the loss is a mean over rows, the advantages make up for their
        number.
        """
        advantages = output["advantages"]
        total, chunks = len(advantages), self.args.steps_per_generation
        # Stable: rows with an advantage first. Every micro-batch gets as many rows as the next, and at least
        # one.
        order = (advantages == 0).to(torch.uint8).argsort(stable=True)
        kept = max(1, math.ceil(int((advantages != 0).sum()) / chunks)) * chunks
        rows = {name: value[order[:kept]] for name, value in output.items() if value.ndim > 0}
        longest = int(rows["completion_mask"].sum(1).max())
        for name in ("completion_ids", "completion_mask", "tool_mask"):
            rows[name] = rows[name][:, :longest]
        if self.loss_type in ("grpo", "dr_grpo"):
            rows["advantages"] = rows["advantages"] * (kept / total)
        return {**output, **rows}

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        *rest: Any,
        compute_aux_loss: bool = False,
        **settings: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        """TRL's, over parts of like length instead of all rows at the width of the longest.

        Dialogues of one step differ in length by a factor of five; most of the width would be padding. Rows
        that are padded on the left are left to TRL, and so are mixtures of experts, whose loss is of the
        whole batch.
        """
        forward = super()._get_per_token_logps_and_entropies
        if compute_aux_loss or not bool(attention_mask[:, 0].all()):
            return forward(
                model,
                input_ids,
                attention_mask,
                logits_to_keep,
                *rest,
                compute_aux_loss=compute_aux_loss,
                **settings,
            )
        lengths = attention_mask.sum(1).tolist()
        parts = split_by_length(lengths, input_ids.device)
        num_before = input_ids.shape[1] - logits_to_keep
        all_logps: list[torch.Tensor] = []
        all_entropies: list[torch.Tensor] = []
        for part in parts:
            width = lengths[part[-1]]
            ids, mask = input_ids[part, :width], attention_mask[part, :width]
            logps, entropies, _ = forward(model, ids, mask, width - num_before, *rest, **settings)
            all_logps.append(logps)
            all_entropies += [] if entropies is None else [entropies]
        places = torch.tensor([row for part in parts for row in part], device=input_ids.device).argsort()
        joined = _join_rows(all_logps, logits_to_keep, places)
        return joined, _join_rows(all_entropies, logits_to_keep, places) if all_entropies else None, None

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """TRL's policy loss plus `aux` times Eq. 8, each micro-batch adding its share of the step's mean."""
        loss = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        if self._stage.aux == 0.0:
            return loss
        micro = self._step % self.args.gradient_accumulation_steps
        if micro == 0:
            self._draw_aux()
        share = self._sum_aux(model, self._aux_chunks[micro])
        if share is None:
            return loss
        share = share / self._num_aux_targets
        self._aux_sum = share.detach() if self._aux_sum is None else self._aux_sum + share.detach()
        return loss + self._stage.aux * share

    def _draw_aux(self) -> None:
        examples = list(self.callbacks.draw_aux(self.state.global_step))
        size = self.args.gradient_accumulation_steps
        self._aux_chunks = [examples[start::size] for start in range(size)]
        self._num_aux_targets = sum(example.num_targets for example in examples)
        self._aux_sum = None

    def _sum_aux(self, model: Any, examples: Sequence[Example]) -> torch.Tensor | None:
        """Summed negative log-likelihood of the targets, nats, at temperature 1; None without an example."""
        if not examples:
            return None
        batch = {
            name: value.to(self.model.device)
            for name, value in collate_examples(examples, self._pad_id).items()
        }
        labels = batch.pop("labels")[:, 1:]
        # Without `fused_lm_head`, whose log-probabilities are divided by the sampling temperature.
        with self.accelerator.autocast():
            logits = model(**batch, use_cache=False).logits[:, :-1]
        wanted = labels != -100
        return torch.nn.functional.cross_entropy(logits[wanted].float(), labels[wanted], reduction="sum")

    def take_aux_loss(self) -> float | None:
        """Mean auxiliary loss of the last step, nats per token; None where there was none."""
        return None if self._aux_sum is None else float(self._aux_sum)

    def _check_reference(self) -> None:
        """The KL is against the model at the start of the stage, which TRL loads by the model's path."""
        if self.ref_model is None:
            return
        reference = dict(self.ref_model.named_parameters())
        for name, param in self.model.named_parameters():
            if not torch.equal(reference[name], param):
                raise InternalError(
                    f"The reference model is not the student at the start of the stage: {name}."
                )

    def _send_telemetry(self) -> None:
        """Nothing: training reports to nobody."""


def _join_rows(pieces: Sequence[torch.Tensor], width: int, places: torch.Tensor) -> torch.Tensor:
    """The pieces' rows at `places`, widened with the 0 that TRL gives padding."""
    return torch.cat([torch.nn.functional.pad(piece, (0, width - piece.shape[1])) for piece in pieces])[
        places
    ]


def pass_advantage(advantage: list[float], **_: Any) -> list[float]:
    """TRL's reward slot gets the finished advantages; what TRL makes of them is replaced afterwards."""
    return advantage


def _roll_out(prompts: Sequence[str], trainer: ExGrpoTrainer) -> Mapping[str, Any]:
    batch = align_prompts(trainer.take_rollouts(prompts))
    return {
        "prompt_ids": batch.prompt_ids,
        "completion_ids": batch.completion_ids,
        "logprobs": None,
        "env_mask": batch.masks,
        "advantage": batch.advantages,
        "num_trained": [sum(mask) for mask in batch.masks],
    }


class _StepReporter(TrainerCallback):
    """Turns TRL's log of each step into `StepFigures`."""

    def __init__(self, trainer: ExGrpoTrainer) -> None:
        self._trainer = trainer

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any
    ) -> None:
        """Reports a training step; the summary at the end of training has no `loss`."""
        del args, control
        if not logs or "loss" not in logs:
            return
        trainer = self._trainer
        figures = StepFigures(
            step=state.global_step,
            loss=logs["loss"],
            learning_rate=logs["learning_rate"],
            kl=logs.get("kl"),
            clip_fraction=logs.get("clip_ratio/region_mean") or 0.0,
            aux_loss=trainer.take_aux_loss(),
            grad_norm=logs["grad_norm"],
        )
        trainer.callbacks.report(figures)
