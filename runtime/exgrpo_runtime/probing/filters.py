"""Conditions of `keep` filters over probes, with the calls that reach outside answered in batches.

Eq. 1 is `agrees`: shown the probe with its rationale and answer, the teacher still reaches the gold answer.
Eq. 2 is `solved`; a spec states the paper's prose (not all right, at least so many), not its printed second
clause.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from exgrpo_artifact.answers import answer_matches
from exgrpo_artifact.errors import UndecidedError
from exgrpo_artifact.evaluate import evaluate_arguments, evaluate_graph, find_external_nodes
from exgrpo_artifact.graph import Graph, Node
from exgrpo_artifact.manifest import AnswerSpec, Sampling, read_answer_spec
from exgrpo_artifact.values import NOT_APPLICABLE, Failed, Value
from exgrpo_runtime.context import Context
from exgrpo_runtime.probing.solving import (
    Conversation,
    RowProbes,
    Solve,
    count_solved,
    find_max_new,
    find_solving_dialogue,
)
from exgrpo_runtime.records import Probe, Row
from exgrpo_runtime.teachers.asking import Asker
from exgrpo_runtime.teachers.judge import ask_judges
from exgrpo_runtime.teachers.teacher import Message, Reply, Request


class Outcome(NamedTuple):
    """A condition's value for one subject."""

    value: Value
    seen: dict[str, Value]
    """What the calls that reach outside gave, by function."""


class Subject(NamedTuple):
    """What a condition is about: a probe, or a row with the probes left."""

    row: Row
    probe: Probe | None
    probes: Sequence[Probe]


@dataclass(slots=True)
class Conditions:
    """Evaluates conditions for one probe stage.

    Args:
        context: of the stage.
        probes: name of the `probes` declaration.
        asker: who reaches the teachers.
        solve: the student as it stands; None: loaded when first needed.
    """

    context: Context
    probes: str
    asker: Asker
    solve: Solve | None = None

    def evaluate(self, name: str, condition: Graph, subjects: Sequence[Subject]) -> list[Outcome]:
        """The condition for each subject.

        Raises:
            TeacherError: a teacher cannot be used at all.
            ModelError: the student cannot be loaded.
        """
        external: list[dict[str, Value]] = [{} for _ in subjects]
        nodes = find_external_nodes(condition)
        for node in nodes:
            calls: list[tuple[int, list[Value]]] = []
            for index, subject in enumerate(subjects):
                environment = _build_environment(subject)
                arguments = evaluate_arguments(condition, node.id, external=external[index], **environment)
                missing = _find_missing(arguments)
                if missing is None:
                    calls.append((index, arguments))
                else:
                    external[index][node.id] = missing
            values = self._call(name, node, [(subjects[index], arguments) for index, arguments in calls])
            for (index, _), value in zip(calls, values, strict=True):
                external[index][node.id] = value
        return [
            Outcome(
                evaluate_graph(condition, external=values, **_build_environment(subject)),
                {str(node.params["fn"]): values[node.id] for node in nodes},
            )
            for subject, values in zip(subjects, external, strict=True)
        ]

    def _call(self, name: str, node: Node, calls: Sequence[tuple[Subject, list[Value]]]) -> list[Value]:
        fn = node.params["fn"]
        if fn == "solved":
            return self._count_solved(name, node, calls)
        with self.context.progress.track(name, len(calls)) as bar:
            if fn == "agrees":
                return self._check_agreement(node, calls, bar.advance)
            judged = [(fn, node.params, arguments) for _, arguments in calls]
            values = ask_judges(judged, self.context, self.asker)
            bar.advance(len(calls))
            return values

    def _check_agreement(
        self, node: Node, calls: Sequence[tuple[Subject, list[Value]]], advance: Callable[[], None]
    ) -> list[Value]:
        model = self.context.manifest.models[node.params["model"]]
        spec = read_answer_spec(node.params["answer"])
        requests = []
        for _, (texts, _) in calls:
            shown = texts if isinstance(texts, list) else [texts]
            content = "\n\n".join(str(text) for text in shown)
            requests.append(Request(model, (Message(role="user", content=content),)))
        replies = self.asker.ask_all(requests, lambda _: advance())
        return [_compare(reply, gold, spec) for reply, (_, (_, gold)) in zip(replies, calls, strict=True)]

    def _count_solved(
        self, name: str, node: Node, calls: Sequence[tuple[Subject, list[Value]]]
    ) -> list[Value]:
        manifest = self.context.manifest
        try:
            dialogue = find_solving_dialogue(manifest, self.probes, node.params.get("dialogue"))
        except ValueError as error:
            return [Failed(str(error)) for _ in calls]
        groups = [
            RowProbes(subject.row, probes if isinstance(probes, list) else [])
            for subject, (probes, *_) in calls
        ]
        solve = self._find_solver(node.params["model"], find_max_new(manifest, dialogue.name))
        with self.context.progress.track(name, sum(len(group.probes) for group in groups)) as bar:
            counts = count_solved(groups, dialogue, self.context.templates, solve)
            bar.advance(sum(len(group.probes) for group in groups), solved=sum(filter(None, counts)))
        return [Failed("a request to the model failed") if count is None else count for count in counts]

    def _find_solver(self, model: str, max_new: int) -> Solve:
        if model != self.context.manifest.student:
            return self._build_teacher_solver(model)
        if self.solve is None:
            self.solve = _build_student_solver(self.context, max_new)
        return self.solve

    def _build_teacher_solver(self, name: str) -> Solve:
        model = self.context.manifest.models[name]
        greedy = Sampling(temperature=0.0, max_tokens=model.sampling.max_tokens)

        def solve(conversations: list[Conversation]) -> list[str | None]:
            requests = [Request(model, tuple(conversation), greedy) for conversation in conversations]
            return [reply.text for reply in self.asker.ask_all(requests)]

        return solve


def _build_student_solver(context: Context, max_new: int) -> Solve:
    # torch and transformers take seconds to import, and a stage without `solved` needs neither.
    from exgrpo_runtime.evaluation import answer_messages
    from exgrpo_runtime.student import load_for_stage

    student = load_for_stage(context)
    return lambda conversations: answer_messages(student, conversations, max_new)


def _compare(reply: Reply, gold: Value, spec: AnswerSpec) -> Value:
    if reply.text is None:
        return Failed(f"the teacher failed: {reply.error}")
    if not isinstance(gold, str | int | float):
        return Failed("`agrees` compares with a text or a number")
    try:
        return int(answer_matches(reply.text, gold, spec))
    except UndecidedError as error:
        return Failed(str(error))


def _build_environment(subject: Subject) -> dict[str, Any]:
    return {
        "item": subject.row.fields,
        "probe": None if subject.probe is None else subject.probe.fields,
        "probes": [probe.fields for probe in subject.probes],
    }


def _find_missing(arguments: Sequence[Value]) -> Value | None:
    """The first argument that is failed or not-applicable, also in a list; then nobody needs to be asked."""
    flat = [part for value in arguments for part in (value if isinstance(value, list) else [value])]
    return next((part for part in flat if part is NOT_APPLICABLE or isinstance(part, Failed)), None)
