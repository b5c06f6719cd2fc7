"""Supervised fine-tuning on the teacher's dialogues: the `sft` stage, through TRL's SFTTrainer.

Eq. 3 of the paper (arXiv 2603.19266): token negative log-likelihood of the teacher's turns, nothing else
carries loss. Invariant: an example is whole or left out and counted; none is cut to fit.
"""

from __future__ import annotations

import math
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from exgrpo_artifact.errors import DataError
from exgrpo_artifact.manifest import Dialogue, SftStage
from exgrpo_runtime.context import Bar, Context
from exgrpo_runtime.plans import draw_probes, encode_plan, make_rng, plan_dialogue
from exgrpo_runtime.probing.probe_index import read_probes
from exgrpo_runtime.quiet import hide_library_bars
from exgrpo_runtime.records import Probe, Row
from exgrpo_runtime.tracking import settle_tracking, tell_trackers

hide_library_bars()

import torch  # noqa: E402
from datasets import Dataset  # noqa: E402
from transformers import PrinterCallback, TrainerCallback  # noqa: E402
from trl import SFTConfig, SFTTrainer  # noqa: E402

from exgrpo_runtime.optimizers import build_optimizer  # noqa: E402
from exgrpo_runtime.student import Student, attach_lora, load_for_stage, save_student  # noqa: E402
from exgrpo_runtime.training import (  # noqa: E402
    Example,
    MetricsLog,
    choose_cheapest_micro_batch,
    collate_examples,
    count_tokens_per_pass,
    describe_trainer,
    hush_deprecations,
    trim_example,
    use_one_device,
)

NO_PROBE = "no-probe"
TOO_LONG = "too-long"
NO_TARGET = "no-target"
FULL_SCENARIO = "all"
"""Name of the plan with every sampled probe; no scenario of the spec is meant."""


class ExampleSet(NamedTuple):
    """Examples in the order they are trained in."""

    examples: list[Example]
    dropped: dict[str, int]
    """Reason -> rows (`no-probe`) or drawn dialogues (`too-long`, `no-target`) left out."""


def run_sft_stage(stage: SftStage, context: Context) -> dict[str, Any]:
    """Trains the student on the teacher's dialogues and writes it to `work/student`.

    Returns:
        `examples`, `steps`, `loss_first` and `loss_last` (mean over the first and last tenth of the steps,
        nats per target token), `dropped` (reason -> count), `tokens` (seen in all), `seconds`.

    Raises:
        DataError: no example is left to train on.
        ModelError: the student cannot be loaded or trained.
    """
    started = time.monotonic()
    student = load_for_stage(context)
    example_set = build_examples(stage, context, student)
    model = attach_lora(student)
    steps = math.ceil(len(example_set.examples) / stage.batch)
    log = MetricsLog(context.work / "metrics.jsonl")
    scratch_dir = context.work / "trainer"
    try:
        with hush_deprecations(), context.progress.track(stage.name, steps) as bar:
            reporter = _StepReporter(stage, example_set.examples, log, bar)
            config = _build_config(stage, student, example_set.examples, scratch_dir, context.manifest.seed)
            settle_tracking(config, context.tracking, context.manifest.task, stage.name)
            trainer = _SupervisedTrainer(
                stage,
                model=model,
                args=config,
                train_dataset=_build_dataset(example_set.examples),
                data_collator=partial(collate_examples, pad_id=student.chat.pad_id),
                processing_class=student.tokenizer,
                callbacks=[reporter],
            )
            tell_trackers(trainer, log)
            trainer.train()
    finally:
        log.close()
    save_student(student, context.work / "student")
    shutil.rmtree(scratch_dir, ignore_errors=True)
    losses = [line["loss"] for line in log.lines]
    tenth = max(1, len(losses) // 10)
    return {
        "examples": len(example_set.examples),
        "steps": steps,
        "loss_first": math.fsum(losses[:tenth]) / tenth,
        "loss_last": math.fsum(losses[-tenth:]) / tenth,
        "dropped": example_set.dropped,
        "tokens": sum(len(example.input_ids) for example in example_set.examples),
        "seconds": round(time.monotonic() - started, 3),
    }


# --- examples ---------------------------------------------------------------------------------------------


def build_examples(stage: SftStage, context: Context, student: Student) -> ExampleSet:
    """Every example of the stage, its probes drawn anew in each pass over the rows.

    The dialogue with the largest share of `mix` goes through its rows `epochs` times; the others are seen in
    proportion to their shares, each going through its rows as often as that takes.

    Raises:
        DataError: no example is left.
    """
    dropped: Counter[str] = Counter()
    usable = {name: _find_usable_rows(stage, context, name, dropped) for name in stage.mix}
    largest = max(stage.mix, key=lambda name: stage.mix[name])
    total = len(usable[largest]) * stage.epochs / stage.mix[largest]
    placed: list[tuple[float, Example]] = []
    for name, share in stage.mix.items():
        count = round(total * share)
        if not usable[name]:
            raise DataError(_explain_nothing(stage, f"dialogue `{name}` has no row left", dropped))
        rng = make_rng(context.manifest.seed, stage.name, name, "order")
        for place, example in enumerate(_draw_examples(stage, context, student, name, usable[name], count)):
            if isinstance(example, str):
                dropped[example] += 1
            else:
                placed.append(((place + rng.random()) / count, example))
    if not placed:
        raise DataError(_explain_nothing(stage, "no dialogue is left to learn from", dropped))
    placed.sort(key=lambda pair: pair[0])
    return ExampleSet(_sort_steps([example for _, example in placed], stage.batch), dict(dropped))


def _sort_steps(examples: list[Example], batch: int) -> list[Example]:
    """The examples with those of each step sorted by length, for micro-batches with little padding."""
    return [
        example
        for start in range(0, len(examples), batch)
        for example in sorted(examples[start : start + batch], key=lambda example: len(example.input_ids))
    ]


def _explain_nothing(stage: SftStage, what: str, dropped: Counter[str]) -> str:
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(dropped.items()))
    return f"stage `{stage.name}`: {what}" + (f" ({reasons})." if reasons else ": the split has no row.")


def _find_usable_rows(
    stage: SftStage, context: Context, name: str, dropped: Counter[str]
) -> list[tuple[Row, Sequence[Probe]]]:
    """Rows with their probes; where the dialogue asks probes, rows without any are counted instead."""
    dialogue = context.manifest.dialogues[name]
    probes = read_probes(context, dialogue)
    rows: list[tuple[Row, Sequence[Probe]]] = [
        (row, probes.get(row.uid, [])) for row in context.rows[dialogue.dataset][stage.split]
    ]
    if dialogue.loop is None:
        return rows
    kept = [(row, found) for row, found in rows if found]
    if len(kept) < len(rows):
        dropped[NO_PROBE] += len(rows) - len(kept)
    return kept


def _draw_examples(
    stage: SftStage,
    context: Context,
    student: Student,
    name: str,
    rows: list[tuple[Row, Sequence[Probe]]],
    count: int,
) -> list[Example | str]:
    """`count` examples in order, the reason in its place where one is left out."""
    seed, dialogue = context.manifest.seed, context.manifest.dialogues[name]
    examples: list[Example | str] = []
    for epoch in range(math.ceil(count / len(rows)) if rows else 0):
        order = list(range(len(rows)))
        make_rng(seed, stage.name, name, "epoch", epoch).shuffle(order)
        for place in order[: count - epoch * len(rows)]:
            row, probes = rows[place]
            rng = make_rng(seed, stage.name, name, row.uid, epoch)
            example = draw_example(context, student, dialogue, row, probes, stage.turns, rng)
            if not example.input_ids:
                examples.append(NO_TARGET)
            else:
                examples.append(example if len(example.input_ids) <= student.context else TOO_LONG)
    return examples


def draw_example(
    context: Context,
    student: Student,
    dialogue: Dialogue,
    row: Row,
    probes: Sequence[Probe],
    turns: Sequence[str] | None,
    rng: Random,
) -> Example:
    """One dialogue in the teacher's words; its probes, drawn anew, may be ones that state the answer."""
    drawn = draw_probes(dialogue.loop, probes, for_rollout=False, rng=rng)
    plan = plan_dialogue(dialogue, row, drawn, context.templates, FULL_SCENARIO)
    return trim_example(Example(*encode_plan(plan, student.chat, turns)))


# --- training ---------------------------------------------------------------------------------------------


def _build_dataset(examples: Sequence[Example]) -> Dataset:
    return Dataset.from_dict(
        {
            "input_ids": [example.input_ids for example in examples],
            "labels": [example.labels for example in examples],
        }
    )


def _build_config(
    stage: SftStage, student: Student, examples: Sequence[Example], work: Path, seed: int
) -> SFTConfig:
    batch = min(stage.batch, len(examples))
    lengths = [len(example.input_ids) for example in examples]
    micro = choose_cheapest_micro_batch(lengths, batch, count_tokens_per_pass(student), student.device)
    config = SFTConfig(
        **describe_trainer(student, stage.optimizer, work, seed),
        num_train_epochs=1,
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=batch // micro,
        # The examples are in order already, pass by pass.
        train_sampling_strategy="sequential",
        shuffle_dataset=False,
        dataset_kwargs={"skip_prepare_dataset": True},
        max_length=None,
        packing=False,
    )
    return use_one_device(config)


class _SupervisedTrainer(SFTTrainer):
    """SFTTrainer with the optimizer that the spec names."""

    optimizer: torch.optim.Optimizer | None

    def __init__(self, stage: SftStage, **settings: Any) -> None:
        self._stage = stage
        super().__init__(**settings)
        self.remove_callback(PrinterCallback)

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """The optimizer that the spec names."""
        if self.optimizer is None:
            self.optimizer = build_optimizer(self.model if model is None else model, self._stage.optimizer)
        return self.optimizer

    def _send_telemetry(self) -> None:
        """Nothing: training reports to nobody."""


class _StepReporter(TrainerCallback):
    """One metrics line and one tick of the bar per optimizer step."""

    def __init__(self, stage: SftStage, examples: Sequence[Example], log: MetricsLog, bar: Bar) -> None:
        self._batch, self._examples, self._log, self._bar = stage.batch, examples, log, bar
        self._began = time.monotonic()

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Starts the clock of the first step."""
        del args, state, control
        self._began = time.monotonic()

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any
    ) -> None:
        """Reports a step; the summary at the end of training has no `loss`."""
        del args, control
        if not logs or "loss" not in logs:
            return
        now = time.monotonic()
        seconds, self._began = now - self._began, now
        first = (state.global_step - 1) * self._batch
        tokens = sum(len(example.input_ids) for example in self._examples[first : first + self._batch])
        speed = tokens / max(seconds, 1e-9)
        self._log.write(
            {
                "step": state.global_step,
                "loss": logs["loss"],
                "lr": logs["learning_rate"],
                "token_accuracy": logs["mean_token_accuracy"],
                "grad_norm": logs["grad_norm"],
                "tokens": tokens,
                "tokens_per_s": speed,
                "seconds": seconds,
            }
        )
        self._bar.advance(1, loss=logs["loss"], tokens_per_s=round(speed))
