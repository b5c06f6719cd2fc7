"""Evaluation: one scenario of a dialogue over a split, scored with one term of a reward.

Training and evaluation read an answer with the same reward graph, so they cannot disagree about what is
right. The group of a rollout is itself. A stage asks greedily and once; `exgrpo eval` may sample.
"""

from __future__ import annotations

import gc
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from exgrpo_artifact.errors import DataError
from exgrpo_artifact.evaluate import Rollout, collect_judgements, evaluate_reward
from exgrpo_artifact.graph import RewardGraph
from exgrpo_artifact.judgements import restrict_reward
from exgrpo_artifact.manifest import EvaluateStage
from exgrpo_runtime.chat import ChatFormat
from exgrpo_runtime.context import Bar, Context
from exgrpo_runtime.generate import DialoguePrompt, SampledDialogue, sample_dialogues
from exgrpo_runtime.intervals import score_interval
from exgrpo_runtime.judging import answer_judgements
from exgrpo_runtime.plans import (
    Plan,
    collect_turns,
    cut_probes,
    draw_probes,
    encode_prompt,
    make_rng,
    make_seed,
    plan_dialogue,
)
from exgrpo_runtime.probing.probe_index import read_probes
from exgrpo_runtime.records import Probe, Row
from exgrpo_runtime.run_dir import write_json
from exgrpo_runtime.student import Student, load_for_stage, load_student
from exgrpo_runtime.student_checks import require_room

INITIAL = "initial"
"""Name under which the student before any training is reported."""
ROWS_AT_ONCE = 128


@dataclass(frozen=True, slots=True)
class Completion:
    """One row's answer."""

    row: str
    """The row's uid."""
    user: str
    """The last user text."""
    completion: str
    """The last assistant turn."""
    score: float | None
    """Value of the term; None where it could not be scored."""
    is_truncated: bool
    """Whether a turn ran out of tokens."""
    sample: int = 0
    """Which of the row's answers."""


class Decoding(NamedTuple):
    """How answers are taken from the student."""

    samples: int = 1
    """Answers of each row."""
    temperature: float = 0.0
    """0: the likeliest token."""
    top_p: float = 1.0


GREEDY = Decoding()


class Accuracy(NamedTuple):
    """Line of accuracy.json."""

    after: str
    """`initial`, or the training stage that the student comes from."""
    n: int
    """Scored rows."""
    mean: float | None
    low: float | None
    high: float | None
    """95 % interval of the mean."""
    unscored: int
    """Rows without a score: the scenario cannot be formed, or the term failed or does not apply."""
    truncated: int


# --- the stage --------------------------------------------------------------------------------------------


def run_evaluate_stage(stage: EvaluateStage, context: Context) -> dict[str, Any]:
    """Evaluates the student before training and after each training stage finished so far.

    Writes accuracy.json (a list of `Accuracy`) and completions.jsonl.

    Raises:
        DataError: not one answer could be scored.
        ModelError: a student cannot be loaded.
    """
    completions: list[Completion] = []
    lines: list[Accuracy] = []
    with (context.work / "completions.jsonl").open("w", encoding="utf-8") as stream:
        for after, student in _load_students(context):
            completions = evaluate_student(student, stage, context, after=after)
            del student
            gc.collect()
            lines.append(summarise_completions(after, completions))
            for entry in completions:
                value = {
                    "after": after,
                    "row": entry.row,
                    "user": entry.user,
                    "completion": entry.completion,
                    "score": entry.score,
                }
                stream.write(json.dumps(value, ensure_ascii=False) + "\n")
    if lines and not any(line.n for line in lines):
        raise DataError(
            f"stage `{stage.name}`: `{stage.reward}.{stage.term}` has no value for any of the {len(completions)} answers in "
            f"scenario `{stage.scenario}`, so nothing was measured. Score a term that this scenario has."
        )
    accuracy = [line._asdict() for line in lines]
    write_json(context.work / "accuracy.json", accuracy)
    return {"scenario": stage.scenario, "term": f"{stage.reward}.{stage.term}", "accuracy": accuracy}


def evaluate_student(
    student: Student,
    stage: EvaluateStage,
    context: Context,
    *,
    after: str = INITIAL,
    decoding: Decoding = GREEDY,
) -> list[Completion]:
    """The answers of each row of the stage's split with their scores, in order; those of a row stand together.

    Raises:
        ModelError: not one of the dialogues fits the student's context.
    """
    rows = context.rows[stage.dataset][stage.split]
    probes = read_probes(context, context.manifest.dialogues[stage.dialogue])
    plans = [_plan_row(stage, context, row, probes.get(row.uid, [])) for row in rows]
    prompts = (encode_prompt(plan, student.chat) for plan in plans if plan is not None)
    require_room(stage.name, prompts, student.context, 1)
    reward = restrict_reward(context.artifact.rewards[stage.reward], stage.term)
    found: list[Completion] = []
    with context.progress.track(f"{stage.name}: after {after}", len(rows)) as bar:
        step = max(1, ROWS_AT_ONCE // decoding.samples)
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            questions = [
                _Question(row, plan, sample)
                for row, plan in zip(part, plans[start : start + step], strict=True)
                for sample in range(decoding.samples)
            ]
            answers = _answer_plans(student, stage, context, questions, decoding)
            found += _score_answers(stage, context, reward, questions, answers)
            _report(bar, found, len(part))
    return found


def summarise_completions(after: str, completions: Sequence[Completion]) -> Accuracy:
    """Mean and interval over the rows that have a score."""
    scores = [entry.score for entry in completions if entry.score is not None]
    interval = score_interval(scores)
    return Accuracy(
        after,
        len(scores),
        math.fsum(scores) / len(scores) if scores else None,
        interval.low if interval else None,
        interval.high if interval else None,
        len(completions) - len(scores),
        sum(entry.is_truncated for entry in completions),
    )


def _load_students(context: Context) -> Iterator[tuple[str, Student]]:
    """(name, student) of the initial student and of each finished training stage, in order, one at a time."""
    manifest = context.manifest
    yield INITIAL, load_for_stage(replace(context, student_dir=None))
    for stage in manifest.stages:
        if stage.kind in ("sft", "grpo") and stage.name in context.stage_dirs:
            directory = context.stage_dirs[stage.name] / "student"
            yield stage.name, load_student(directory, manifest.models[manifest.student])


def _report(bar: Bar, found: Sequence[Completion], amount: int) -> None:
    scores = [entry.score for entry in found if entry.score is not None]
    bar.advance(amount, mean=f"{math.fsum(scores) / len(scores):.3f}" if scores else "-")


# --- one batch of rows ------------------------------------------------------------------------------------


class _Question(NamedTuple):
    """One answer that is wanted."""

    row: Row
    plan: Plan | None
    """None where the scenario cannot be formed."""
    sample: int

    def make_seed(self, stage: EvaluateStage, context: Context) -> int:
        """Of the draws of the answer and of its reward; that of a first answer does not depend on how many are taken."""
        parts = (self.sample,) if self.sample else ()
        return make_seed(context.manifest.seed, stage.name, self.row.uid, *parts)


class _Answer(NamedTuple):
    """A sampled dialogue, read."""

    texts: list[str]
    num_tokens: int
    is_truncated: bool


def _plan_row(stage: EvaluateStage, context: Context, row: Row, probes: Sequence[Probe]) -> Plan | None:
    """The row's dialogue, the same for every student; None where the scenario cannot be formed."""
    dialogue = context.manifest.dialogues[stage.dialogue]
    rng = make_rng(context.manifest.seed, stage.name, row.uid)
    drawn = draw_probes(dialogue.loop, probes, for_rollout=True, rng=rng)
    count = cut_probes(dialogue.scenarios[stage.scenario], len(drawn), rng)
    if count is None:
        return None
    return plan_dialogue(dialogue, row, drawn[:count], context.templates, stage.scenario)


def _answer_plans(
    student: Student,
    stage: EvaluateStage,
    context: Context,
    questions: Sequence[_Question],
    decoding: Decoding,
) -> list[_Answer | None]:
    asked = [(question, question.plan) for question in questions if question.plan is not None]
    dialogues = iter(
        sample_dialogues(
            student,
            [encode_prompt(plan, student.chat) for _, plan in asked],
            max_new=stage.max_new,
            temperature=decoding.temperature,
            top_p=decoding.top_p,
            seeds=[question.make_seed(stage, context) for question, _ in asked],
        )
    )
    return [
        None if question.plan is None else _read_dialogue(student.chat, next(dialogues))
        for question in questions
    ]


def _read_dialogue(chat: ChatFormat, dialogue: SampledDialogue) -> _Answer:
    texts = [chat.decode(turn.token_ids) for turn in dialogue.turns]
    return _Answer(texts, sum(dialogue.mask), any(turn.truncated for turn in dialogue.turns))


def _score_answers(
    stage: EvaluateStage,
    context: Context,
    reward: RewardGraph,
    questions: Sequence[_Question],
    answers: Sequence[_Answer | None],
) -> list[Completion]:
    completions: list[Completion] = []
    for question, answer in zip(questions, answers, strict=True):
        row, plan, sample = question
        if plan is None or answer is None:
            completions.append(Completion(row.uid, "", "", None, False, sample))
            continue
        score = _score_answer(stage, context, reward, question, plan, answer)
        last = plan.turns[-1].user
        completions.append(Completion(row.uid, last, answer.texts[-1], score, answer.is_truncated, sample))
    return completions


def _score_answer(
    stage: EvaluateStage,
    context: Context,
    reward: RewardGraph,
    question: _Question,
    plan: Plan,
    answer: _Answer,
) -> float | None:
    fields = question.row.fields
    rollout = Rollout(
        scenario=stage.scenario,
        turns=collect_turns(context.manifest.dialogues[stage.dialogue], plan, answer.texts),
        tokens=answer.num_tokens,
        num_turns=len(answer.texts),
        seed=question.make_seed(stage, context),
    )
    wanted = collect_judgements(reward, fields, [rollout])
    judgements = answer_judgements(wanted, context) if wanted else {}
    return evaluate_reward(reward, fields, [rollout], judgements).terms[stage.term][0]


# --- plain questions --------------------------------------------------------------------------------------


def answer_messages(
    student: Student, conversations: Sequence[Sequence[dict[str, str]]], max_new: int
) -> list[str]:
    """The greedy answer to each conversation, which ends with a user message.

    Args:
        student: who is asked.
        conversations: messages with `role` (system first, if at all; then user and assistant in turn) and
            `content`.
        max_new: tokens of an answer.
    """
    prompts = [DialoguePrompt(_encode_messages(student.chat, messages), []) for messages in conversations]
    dialogues = sample_dialogues(student, prompts, max_new=max_new, temperature=0)
    return [student.chat.decode(dialogue.turns[0].token_ids) for dialogue in dialogues]


def _encode_messages(chat: ChatFormat, messages: Sequence[dict[str, str]]) -> list[int]:
    has_system = messages[0]["role"] == "system"
    system = messages[0]["content"] if has_system else None
    first, *rest = messages[1:] if has_system else messages
    expected = ["assistant" if i % 2 == 0 else "user" for i in range(len(rest))]
    if first["role"] != "user" or [message["role"] for message in rest] != expected or len(rest) % 2:
        raise ValueError("a conversation is user and assistant in turn, and ends with the user")
    ids = chat.encode_opening(system, first["content"])
    for message in rest:
        is_answer = message["role"] == "assistant"
        ids += (chat.encode_answer if is_answer else chat.encode_followup)(message["content"])
    return ids
