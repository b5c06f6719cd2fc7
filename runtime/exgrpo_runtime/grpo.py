"""The `grpo` stage: ExGRPO over probe dialogues (section 4 of arXiv 2603.19266).

The policy loss and the KL are TRL's; the rollouts, the reward, the advantages and the auxiliary loss are
ours. Departures from the paper:

1. Eq. 8 is a mean over target tokens, not a sum, so its weight does not depend on the lengths of dialogues.
2. A scenario may be its own baseline; see exgrpo_runtime.advantages.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from exgrpo_artifact.errors import DataError, ModelError
from exgrpo_artifact.manifest import GrpoStage
from exgrpo_runtime.advantages import has_signal
from exgrpo_runtime.context import Bar, Context
from exgrpo_runtime.grpo_metrics import (
    RolloutsLog,
    describe_step,
    find_right_term,
    join_figures,
    measure_signal,
    summarize_stage,
)
from exgrpo_runtime.plans import draw_probes, encode_prompt, make_rng, plan_dialogue
from exgrpo_runtime.probing.probe_index import read_probes
from exgrpo_runtime.rollout_plans import Question, count_positions, plan_group
from exgrpo_runtime.rollouts import Member, SampledRollout, sample_groups
from exgrpo_runtime.scoring import ScoredGroup, build_batch, find_changes, score_groups, weigh_groups
from exgrpo_runtime.sft import draw_example
from exgrpo_runtime.student import Student, attach_lora, load_for_stage, load_student, save_student
from exgrpo_runtime.tracking import settle_tracking, tell_trackers
from exgrpo_runtime.training import Example, MetricsLog, hush_deprecations
from exgrpo_runtime.training_batch import TrainingBatch
from exgrpo_runtime.trl_adapter import Callbacks, ExGrpoTrainer, StepFigures, build_config

ROWS_MEASURED = 64
"""Rows whose longest possible dialogue decides how a step is divided into passes."""


def run_grpo_stage(stage: GrpoStage, context: Context) -> dict[str, Any]:
    """Trains the student by ExGRPO and writes it to `work/student`.

    Also writes `work/metrics.jsonl` (a line per step) and `work/rollouts.jsonl` (rollouts to read).

    Returns:
        `steps`, `seconds`, `first` and `last` (mean total and terms over the first and last tenth of the
        steps), `terms` (term -> share of groups in which it `fired`, `changed` an advantage), `rows`, counts
        of rollouts, tokens, truncated turns, voids and drops, `signal` (the success rate, and whether it left the
        range in which over half of the groups teach something; None where no such range is known).

    Raises:
        DataError: no row has what the dialogue needs.
        ModelError: the student cannot be loaded or trained.
    """
    started = time.monotonic()
    rows = _find_rows(stage, context)
    student = _load_saved_student(context)
    attach_lora(student)
    log = MetricsLog(context.work / "metrics.jsonl")
    rollouts = RolloutsLog(context.work / "rollouts.jsonl", stage, context.artifact.rewards[stage.reward])
    work = context.work / "trainer"
    try:
        with hush_deprecations(), context.progress.track(stage.name, stage.steps) as bar:
            run = _StageRun(stage, context, student, rows, log, rollouts, bar)
            longest, num_turns = run.measure_dialogues()
            config = build_config(stage, student, longest, num_turns, work, context.manifest.seed)
            settle_tracking(config, context.tracking, context.manifest.task, stage.name)
            trainer = ExGrpoTrainer(student, stage, config, Callbacks(run.sample, run.draw_aux, run.report))
            tell_trackers(trainer, log)
            trainer.train()
    finally:
        log.close()
        rollouts.close()
    save_student(student, context.work / "student")
    for leftover in (work, _get_start_dir(context)):
        shutil.rmtree(leftover, ignore_errors=True)
    summary = {
        **summarize_stage(log.lines, time.monotonic() - started),
        "signal": measure_signal(stage, log.lines),
    }
    num_split = len(context.rows[context.manifest.dialogues[stage.dialogue].dataset][stage.split])
    return {**summary, "rows": len(rows), "rows_without_probe": num_split - len(rows)}


# --- before the first step --------------------------------------------------------------------------------


def _get_start_dir(context: Context) -> Path:
    return context.work / "start"


def _load_saved_student(context: Context) -> Student:
    """The student of the last stage, or a new one that is on disk too.

    TRL loads the reference of the KL from the folder that the policy came from. A policy that came from
    nowhere, or from the hub at some revision, has no such folder.
    """
    student = load_for_stage(context)
    if context.student_dir is not None:
        return student
    save_student(student, _get_start_dir(context))
    return load_student(_get_start_dir(context), context.manifest.models[context.manifest.student])


def _find_rows(stage: GrpoStage, context: Context) -> list[Question]:
    """The split's rows with their probes; where the dialogue asks probes, those that have one to ask."""
    dialogue = context.manifest.dialogues[stage.dialogue]
    probes = read_probes(context, dialogue)
    found: list[Question] = []
    for row in context.rows[dialogue.dataset][stage.split]:
        own = probes.get(row.uid, [])
        if dialogue.loop is None or any(not probe.reveals for probe in own):
            found.append(Question(row, own, 0, 0))
    if not found:
        raise DataError(
            f"stage `{stage.name}`: no row of split `{stage.split}` has a probe to ask before the question. "
            "Look at the probe stage's rejections."
        )
    return found


# --- the steps --------------------------------------------------------------------------------------------


class _StageRun:
    """What the trainer calls back, and what has been seen so far."""

    def __init__(
        self,
        stage: GrpoStage,
        context: Context,
        student: Student,
        rows: Sequence[Question],
        log: MetricsLog,
        rollouts: RolloutsLog,
        bar: Bar,
    ) -> None:
        self._stage, self._context, self._student, self._rows = stage, context, student, rows
        self._log, self._rollouts, self._bar = log, rollouts, bar
        self._reward = context.artifact.rewards[stage.reward]
        self._dialogue = context.manifest.dialogues[stage.dialogue]
        self._right_term = find_right_term(context.manifest, stage, self._reward)
        self._questions: list[Question] = []
        self._step: dict[str, Any] = {}
        self._tokens = 0
        self._seconds: dict[str, float] = {}
        self._began = 0.0
        self._orders: dict[int, list[int]] = {}

    def measure_dialogues(self) -> tuple[int, int]:
        """(tokens, assistant turns) of the longest dialogue that some of the rows can give."""
        longest, num_turns = 1, 1
        for question in self._rows[:ROWS_MEASURED]:
            rng = make_rng(self._context.manifest.seed, self._stage.name, "measure", question.row.uid)
            drawn = draw_probes(self._dialogue.loop, question.probes, for_rollout=True, rng=rng)
            plan = plan_dialogue(self._dialogue, question.row, drawn, self._context.templates, "")
            positions = count_positions(encode_prompt(plan, self._student.chat), self._stage.max_new)
            longest, num_turns = max(longest, positions), max(num_turns, len(plan.turns))
        return min(longest, self._student.context), num_turns

    def sample(self, step: int) -> TrainingBatch:
        """Plans, samples and scores the step's groups."""
        self._began = time.monotonic()
        self._seconds, self._tokens = {"sampling": 0.0, "scoring": 0.0}, 0
        self._questions = self._choose_questions(step)
        groups, advantages, num_resampled = self._sample_until_signal()
        started = time.monotonic()
        changes = find_changes(self._reward, self._stage, groups)
        self._step = describe_step(
            groups, advantages, changes, self._reward.result, self._right_term, num_resampled
        )
        self._rollouts.write_step(step + 1, groups, advantages)
        self._seconds["scoring"] += time.monotonic() - started
        return build_batch(self._stage, groups, advantages, self._student.chat.eos_id)

    def _sample_until_signal(self) -> tuple[list[ScoredGroup], list[list[float]], int]:
        """The step's groups, their advantages, and how many groups without an advantage gave way to new ones.

        The rollouts of such a group are sampled anew at most `resample` times, with the same question and probes.
        """
        groups = self._sample_questions(self._questions)
        num_resampled = 0
        for attempt in range(1, self._stage.resample + 1):
            advantages = self._weigh(groups)
            silent = [i for i, each in enumerate(advantages) if groups[i].sampled and not has_signal(each)]
            if not silent:
                break
            num_resampled += len(silent)
            asked = [self._questions[i]._replace(attempt=attempt) for i in silent]
            for i, group in zip(silent, self._sample_questions(asked), strict=True):
                groups[i] = group
        return groups, self._weigh(groups), num_resampled

    def _weigh(self, groups: Sequence[ScoredGroup]) -> list[list[float]]:
        return weigh_groups(self._stage, groups, [group.scores for group in groups])

    def _sample_questions(self, questions: Sequence[Question]) -> list[ScoredGroup]:
        started = time.monotonic()
        planned = [plan_group(self._stage, self._context, self._student, q) for q in questions]
        members = sample_groups(self._stage, self._student, planned)
        self._require_rollouts(members)
        sampled = time.monotonic()
        groups = score_groups(self._context, self._stage, questions, members)
        self._tokens += sum(_count_new_tokens(group) for group in groups)
        self._seconds["sampling"] += sampled - started
        self._seconds["scoring"] += time.monotonic() - sampled
        return groups

    def draw_aux(self, step: int) -> list[Example]:
        """`aux_batch` dialogues in the teacher's words about the step's questions.

        The loss is on the turns about probes; where the dialogue has no loop, on its closing turns.
        """
        loop = self._dialogue.loop
        turns = None if loop is None else [exchange.name for exchange in loop.exchanges]
        examples = []
        for i in range(self._stage.aux_batch):
            question = self._questions[i % len(self._questions)]
            rng = make_rng(self._context.manifest.seed, self._stage.name, "aux", step, i)
            example = draw_example(
                self._context, self._student, self._dialogue, question.row, question.probes, turns, rng
            )
            if example.input_ids and len(example.input_ids) <= self._student.context:
                examples.append(example)
        return examples

    def report(self, figures: StepFigures) -> None:
        """Writes the metrics line of the step that has just ended."""
        self._seconds["all"] = time.monotonic() - self._began
        line = join_figures(figures, self._tokens, self._seconds, self._step)
        self._log.write(line)
        shown = {name: scenario["total"] for name, scenario in line["scenarios"].items()}
        shown["signal"] = 1 - line["groups_without_signal"] / line["groups"]
        if line["right_punished"]:
            shown["right_punished"] = line["right_punished"]
        self._bar.advance(1, **shown, kl=figures.kl if figures.kl is not None else "-")

    def _choose_questions(self, step: int) -> list[Question]:
        """The step's questions: the rows in a new order in each pass, without a gap between steps."""
        chosen = []
        for place in range(step * self._stage.items, (step + 1) * self._stage.items):
            epoch, position = divmod(place, len(self._rows))
            if epoch not in self._orders:
                order = list(range(len(self._rows)))
                make_rng(self._context.manifest.seed, self._stage.name, "order", epoch).shuffle(order)
                self._orders[epoch] = order
            row = self._rows[self._orders[epoch][position]]
            chosen.append(row._replace(place=place, epoch=epoch))
        return chosen

    def _require_rollouts(self, members: Sequence[Sequence[Member]]) -> None:
        if any(isinstance(member, SampledRollout) for group in members for member in group):
            return
        raise ModelError(
            f"stage `{self._stage.name}`: no dialogue of a step fits the student's context of "
            f"{self._student.context} tokens with max_new = {self._stage.max_new} per turn. "
            "Lower max_new, sample fewer probes, or give the student a longer context."
        )


def _count_new_tokens(group: ScoredGroup) -> int:
    return sum(sum(member.mask) for member in group.sampled)
