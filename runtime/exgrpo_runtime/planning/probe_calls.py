"""What a probe stage asks: its questions and the repairs of malformed replies; its filters are planned in `filter_calls`.

The questions are those that the stage builds (`probing.questions`), so the count is exact; what comes after a reply is not known
before the reply is, and is given as a range.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from exgrpo_artifact.manifest import Model, ProbeStage
from exgrpo_artifact.storage import Artifact
from exgrpo_runtime.planning.calls import MALFORMED, REPAIR_TOKENS, Calls, count_calls, expect_reply
from exgrpo_runtime.planning.filter_calls import (
    FilterPlanner,
    Stream,
    scale_asked,
    scale_count,
    start_stream,
)
from exgrpo_runtime.planning.held import HeldReplies, ReplyLengths
from exgrpo_runtime.planning.ranges import NOTHING, Range, add_up, exactly
from exgrpo_runtime.planning.rehearsal import rehearse
from exgrpo_runtime.planning.tokens import Counters
from exgrpo_runtime.probing.questions import build_questions
from exgrpo_runtime.records import Row
from exgrpo_runtime.teachers.teacher import Message, Request
from exgrpo_runtime.templates import TemplateSet

PROBES, REPAIRS = "probes", "repairs"
"""What a stage's first calls are for."""
SAMPLED_ROWS = 200
"""Rows whose prompts are counted with a tokenizer, evenly spread over the split; the others are taken by their length."""


BLOCK = 2000
"""Questions that are looked for in the store at once; their texts are not kept."""


@dataclass(slots=True)
class _Questions:
    """All questions of a stage, summed up. Sizes are UTF-8 bytes of prompts."""

    seen: set[int] = field(default_factory=set)
    """The beginnings of all keys: equal questions are asked once."""
    num_held: int = 0
    left_size: int = 0
    """Of the questions that are not stored."""
    counted_size: int = 0
    counted_tokens: int = 0
    """Of the stored questions whose tokens the endpoint counted."""
    lengths: ReplyLengths = field(default_factory=ReplyLengths)
    probes: int = 0
    """That come of it if every reply can be read."""
    num_asked: int = 0
    """Questions, equal ones each by itself."""
    rows: int = 0
    """With a question."""
    sampled: list[tuple[Message, ...]] = field(default_factory=list)
    sampled_size: int = 0

    @property
    def num_planned(self) -> int:
        return len(self.seen)


class ProbePlan(NamedTuple):
    """A probe stage's calls, and how their prompts were measured."""

    calls: list[Calls]
    measured: str


def plan_probe_stage(
    artifact: Artifact,
    templates: TemplateSet,
    stage: ProbeStage,
    rows: Sequence[Row],
    counters: Counters,
    held: HeldReplies,
) -> ProbePlan:
    """The calls of the stage over these rows.

    Raises:
        ArtifactError: a prompt cannot be rendered for a row.
        DiskError: the store cannot be read.
    """
    manifest = artifact.manifest
    declaration = manifest.probes[stage.probes]
    teacher = manifest.models[declaration.teacher]
    asked = _read_questions(artifact, templates, stage, rows, held)
    prompt, measured = _measure_prompt(asked, teacher, counters)
    share = asked.probes / max(1, asked.num_asked)
    completion = expect_reply("probe", teacher, asked.lengths, share)
    left = asked.num_planned - asked.num_held
    probes = count_calls(
        stage.name,
        PROBES,
        teacher,
        exactly(asked.num_planned),
        prompt=prompt,
        completion=completion,
        held=asked.num_held,
    )
    rehearsal = rehearse(artifact, templates, stage, rows, held, asked.num_held) if asked.num_held else None
    malformed = MALFORMED
    if rehearsal is not None and rehearsal.num_questions:
        malformed = rehearsal.repairs.num / rehearsal.num_questions
    known = scale_asked(rehearsal.repairs, rehearsal.scale, asked.num_held) if rehearsal else (NOTHING, 0)
    repairs = count_calls(
        stage.name,
        REPAIRS,
        teacher,
        Range(0, malformed * left, left).plus(known[0]),
        prompt=add_up([prompt, completion, exactly(REPAIR_TOKENS)]),
        completion=completion,
        held=known[1],
    )
    one_probe = completion.times(exactly(1 / max(1.0, share)))
    filters = FilterPlanner(artifact, templates, stage.name, declaration, rows, counters, one_probe)
    part = left / max(1, asked.num_planned)
    fresh = start_stream(asked.probes * part, asked.rows * part, rehearsal)
    stored = start_stream(asked.probes * (1 - part), asked.rows * (1 - part), rehearsal)
    if rehearsal is not None:
        stored = Stream(
            scale_count(rehearsal.num_probes, rehearsal.scale, stored.probes),
            scale_count(rehearsal.num_rows, rehearsal.scale, stored.rows),
        )
    return ProbePlan([probes, repairs, *filters.plan(fresh, stored, rehearsal)], measured)


# --- questions ----------------------------------------------------------------------------------------------


def _read_questions(
    artifact: Artifact, templates: TemplateSet, stage: ProbeStage, rows: Sequence[Row], held: HeldReplies
) -> _Questions:
    asked = _Questions()
    step = max(1, -(-len(rows) // SAMPLED_ROWS))
    sampled = {row.uid for row in rows[::step]}
    block: dict[str, Request] = {}
    last = None
    for question in build_questions(artifact, templates, stage, rows):
        request = question.request
        asked.num_asked += 1
        asked.probes += len(question.rules)
        asked.rows += question.row.uid != last
        last = question.row.uid
        if last in sampled:
            asked.sampled.append(request.messages)
            asked.sampled_size += _measure_size(request)
        block[request.key] = request
        if len(block) >= BLOCK:
            _sum_up(asked, block, held)
            block = {}
    _sum_up(asked, block, held)
    return asked


def _sum_up(asked: _Questions, block: Mapping[str, Request], held: HeldReplies) -> None:
    fresh = {key: request for key, request in block.items() if int(key[:16], 16) not in asked.seen}
    asked.seen.update(int(key[:16], 16) for key in fresh)
    stored = held.find(list(fresh.values()))
    asked.num_held += len(stored)
    asked.left_size += sum(_measure_size(request) for key, request in fresh.items() if key not in stored)
    for key, one in stored.items():
        asked.lengths.add(one.completion_tokens)
        if one.prompt_tokens:
            asked.counted_tokens += one.prompt_tokens
            asked.counted_size += _measure_size(fresh[key])


def _measure_size(request: Request) -> int:
    return sum(len(message["content"].encode("utf-8", "replace")) for message in request.messages)


def _measure_prompt(asked: _Questions, teacher: Model, counters: Counters) -> tuple[Range, str]:
    """Tokens of the prompt of one question that is not stored, and how they were counted."""
    left = asked.num_planned - asked.num_held
    if not left:
        return NOTHING, "nothing is left to ask"
    mean = asked.left_size / left
    if asked.counted_size:
        each = exactly(mean * asked.counted_tokens / asked.counted_size)
        return each, f"prompts as the endpoint counted those that are stored ({asked.num_held:,})"
    counter = counters.get(teacher)
    total = add_up(counter.count(messages) for messages in asked.sampled)
    each = total.times(exactly(mean / max(1, asked.sampled_size)))
    rows = f"{len(asked.sampled):,} of {asked.num_asked:,} prompts, evenly spread, the others by their length"
    if counter.name is None:
        return each, f"an estimate by bytes alone ({rows}); --tokenizer PATH counts"
    return each, f"prompts counted with {counter.name} ({rows})"
