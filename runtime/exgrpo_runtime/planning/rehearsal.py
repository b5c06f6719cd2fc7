"""A probe stage gone through with what the store holds: which repairs and filter requests it comes to, and which are stored too.

The code is the stage's own; only the asker is another: it looks into the store and sends nothing. At the first filter that needs a
reply that is not stored, or the student, nobody can say what is left, and the rehearsal ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from exgrpo_artifact.evaluate import find_external_nodes
from exgrpo_artifact.manifest import Keep, Probes, ProbeStage
from exgrpo_artifact.record import replace
from exgrpo_artifact.storage import Artifact
from exgrpo_runtime.context import Context, SilentProgress
from exgrpo_runtime.planning.held import HeldReplies, ReplyLengths
from exgrpo_runtime.probing.block import Block
from exgrpo_runtime.probing.filters import Conditions
from exgrpo_runtime.probing.funnel import Funnel
from exgrpo_runtime.probing.questions import Question, build_questions
from exgrpo_runtime.probing.reading import read_answers
from exgrpo_runtime.records import Row
from exgrpo_runtime.teachers.asking import Asker
from exgrpo_runtime.teachers.store import ReplyStore
from exgrpo_runtime.teachers.teacher import Reply, Request
from exgrpo_runtime.templates import TemplateSet

_MISSING = Reply(None, error="not asked yet", is_unsent=True)
MOST_ROWS = 300
"""Rows that are rehearsed, evenly spread; of more, the others are taken to be like them."""


@dataclass(slots=True)
class Asked:
    """Requests of one purpose to one model."""

    num: int = 0
    num_held: int = 0
    lengths: ReplyLengths = field(default_factory=ReplyLengths)


@dataclass(slots=True)
class Step:
    """What one filter came to."""

    asked: dict[str, Asked]
    """Model -> requests."""
    num_probes: int
    num_rows: int
    """That it was applied to."""
    left_probes: int | None = None
    left_rows: int | None = None
    """That it let pass; None where that cannot be told yet."""


@dataclass(slots=True)
class Rehearsal:
    """What is known of the questions whose replies are stored."""

    scale: float
    """Stored questions for each one that was rehearsed; 1 where all were."""
    num_questions: int
    """That were rehearsed."""
    num_due: int
    """Probes that they come to if every reply can be read and states no answer."""
    num_probes: int
    num_rows: int
    """With a probe after reading, in the rows that were rehearsed."""
    repairs: Asked
    steps: dict[str, Step]
    """Filter -> what it came to, for the filters that it got as far as."""


def rehearse(
    artifact: Artifact,
    templates: TemplateSet,
    stage: ProbeStage,
    rows: Sequence[Row],
    held: HeldReplies,
    num_held: int,
) -> Rehearsal:
    """Goes through the stage with the stored replies.

    Args:
        artifact: the task.
        templates: its own.
        stage: of it.
        rows: that it works on.
        held: the store.
        num_held: of the stage's questions, so many are stored.

    Raises:
        DiskError: the store cannot be read.
    """
    declaration = artifact.manifest.probes[stage.probes]
    step = max(1, -(-len(rows) // MOST_ROWS))
    chosen = list(rows[::step])
    questions = _list_stored(build_questions(artifact, templates, stage, chosen), held)
    # Nothing is kept in it: a context has a store, and this one leaves no file.
    with ReplyStore(Path(":memory:")) as nothing:
        asker = _Rehearser(nothing, held=held)
        context = Context(
            artifact=artifact,
            templates=templates,
            work=Path(),
            rows={},
            stage_dirs={},
            store=nothing,
            progress=SilentProgress(),
            student_dir=None,
        )
        block = Block(stage.name, artifact.manifest, declaration, chosen, Funnel(declaration.rules))
        asker.begin(questions)
        block.take_answers(read_answers(questions, declaration, asker))
        repairs = asker.finish().get(declaration.teacher, Asked())
        num_probes, num_rows = _count(block)
        conditions = Conditions(context, declaration.name, asker, solve=lambda asked: [None] * len(asked))
        steps = _apply_filters(block, declaration, conditions, asker, artifact.manifest.student)
    num_questions = len({question.request.key for question in questions})
    scale = max(1.0, num_held / max(1, num_questions))
    num_due = sum(len(question.rules) for question in questions)
    return Rehearsal(scale, num_questions, num_due, num_probes, num_rows, repairs, steps)


@dataclass(slots=True)
class _Rehearser(Asker):
    """Answers from the store, and counts what is asked, each request once."""

    held: HeldReplies = field(kw_only=True)
    _asked: dict[str, Asked] = field(default_factory=dict, init=False)
    _seen: set[str] = field(default_factory=set, init=False)

    def begin(self, questions: Sequence[Question]) -> None:
        """Starts counting; the questions themselves are counted elsewhere."""
        self._seen = {question.request.key for question in questions}

    def finish(self) -> dict[str, Asked]:
        """Model -> what it was asked since the last call."""
        found, self._asked = self._asked, {}
        return found

    def ask_all(
        self, requests: Sequence[Request], on_reply: Callable[[Reply], None] = lambda _: None
    ) -> list[Reply]:
        """The stored replies; for the others one that was not sent."""
        stored = self.held.find_replies(requests)
        for request in requests:
            if request.key in self._seen:
                continue
            self._seen.add(request.key)
            asked = self._asked.setdefault(request.model.name, Asked())
            asked.num += 1
            if request.key in stored:
                asked.num_held += 1
                asked.lengths.add(stored[request.key].completion_tokens)
        replies = [stored.get(request.key, _MISSING) for request in requests]
        for reply in replies:
            on_reply(reply)
        return replies


def _list_stored(questions: Iterator[Question], held: HeldReplies) -> list[Question]:
    every = list(questions)
    stored = held.find([question.request for question in every])
    return [question for question in every if question.request.key in stored]


def _apply_filters(
    block: Block, declaration: Probes, conditions: Conditions, asker: _Rehearser, student: str
) -> dict[str, Step]:
    steps: dict[str, Step] = {}
    per_rule = declaration.per_rule
    for keep in declaration.keeps:
        if _needs_model_here(keep, student):
            break
        is_about_rows = keep.subject == "item"
        block.declaration = replace(declaration, keeps=(keep,), per_rule=per_rule if is_about_rows else None)
        per_rule = None if is_about_rows else per_rule
        num_probes, num_rows = _count(block)
        block.apply_filters(conditions)
        step = Step(asker.finish(), num_probes, num_rows)
        steps[keep.name] = step
        if any(asked.num_held < asked.num for asked in step.asked.values()):
            break
        step.left_probes, step.left_rows = _count(block)
    return steps


def _needs_model_here(keep: Keep, student: str) -> bool:
    """Whether a filter asks the student, or a model of embeddings, which no plan loads."""
    nodes = find_external_nodes(keep.condition)
    return any(node.params["fn"] == "similarity" or node.params.get("model") == student for node in nodes)


def _count(block: Block) -> tuple[int, int]:
    """Probes that are left, and rows that have any."""
    left = [len(probes) for probes in block.probes.values() if probes]
    return sum(left), len(left)
