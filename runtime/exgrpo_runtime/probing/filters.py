"""Conditions of `keep` filters over probes: what reaches outside is answered first, for all subjects at once.

Calls that ask models go out in one batch, whatever function and model they belong to. Eq. 2 is `solved`; a spec states the paper's
prose (not all right, at least so many), not its printed second clause.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from exgrpo_artifact.evaluate import evaluate_arguments, evaluate_graph, find_external_nodes
from exgrpo_artifact.graph import Graph, Node
from exgrpo_artifact.manifest import Sampling
from exgrpo_artifact.values import NOT_APPLICABLE, Failed, Value
from exgrpo_runtime.context import Context
from exgrpo_runtime.probing.agreement import build_query
from exgrpo_runtime.probing.calls import Call, Subject, Told, group_calls, name_kind
from exgrpo_runtime.probing.comparing import compare_meanings, find_duplicates
from exgrpo_runtime.probing.solving import (
    Conversation,
    RowProbes,
    Solve,
    count_solved,
    find_max_new,
    find_solving_dialogue,
)
from exgrpo_runtime.teachers.asking import Asker
from exgrpo_runtime.teachers.teacher import Request


class Outcome(NamedTuple):
    """A condition's value for one subject."""

    value: Value
    notes: tuple[str, ...]
    """What the calls that reach outside gave, in words."""


@dataclass(slots=True)
class Conditions:
    """Evaluates conditions for one probe stage.

    Args:
        context: of the stage.
        probes: name of the `probes` declaration.
        asker: who reaches the teachers.
        solve: the student as it stands; None: loaded when first needed.
        where: what bars say after the filter's name.
    """

    context: Context
    probes: str
    asker: Asker
    solve: Solve | None = None
    where: str = ""

    def evaluate(self, name: str, condition: Graph, subjects: Sequence[Subject]) -> list[Outcome]:
        """The condition for each subject; subjects of one row stand together, in the order of its probes.

        Raises:
            TeacherError: a teacher cannot be used at all.
            ModelError: the student, or a model of embeddings, cannot be loaded.
        """
        external: list[dict[str, Value]] = [{} for _ in subjects]
        notes: list[dict[str, str]] = [{} for _ in subjects]
        left = list(find_external_nodes(condition))
        while left:
            ready = [node for node in left if not _find_below(condition, node) & {one.id for one in left}]
            left = [node for node in left if node not in ready]
            calls = self._list_calls(condition, ready, subjects, external)
            for call, told in zip(calls, self._answer(name, calls, subjects), strict=True):
                external[call.subject][call.node.id] = told.value
                if told.note:
                    notes[call.subject][call.node.id] = told.note
        return [
            Outcome(
                evaluate_graph(condition, external=values, **_build_environment(subject)),
                tuple(notes[index].values()),
            )
            for index, (subject, values) in enumerate(zip(subjects, external, strict=True))
        ]

    def _list_calls(
        self,
        condition: Graph,
        nodes: Sequence[Node],
        subjects: Sequence[Subject],
        external: Sequence[dict[str, Value]],
    ) -> list[Call]:
        """The calls that there is something to ask about; the others have their value at once."""
        calls: list[Call] = []
        for node in nodes:
            for index, subject in enumerate(subjects):
                environment = _build_environment(subject)
                arguments = evaluate_arguments(condition, node.id, external=external[index], **environment)
                missing = _find_missing(arguments)
                if missing is None:
                    calls.append(Call(index, node, arguments))
                else:
                    external[index][node.id] = missing
        return calls

    def _answer(self, name: str, calls: Sequence[Call], subjects: Sequence[Subject]) -> list[Told]:
        told: dict[int, Told] = {}
        for kind, places in group_calls(calls, name_kind).items():
            some = [calls[place] for place in places]
            if kind == "solved":
                answers = self._count_solved(name, some, subjects)
            elif kind == "duplicate":
                answers = find_duplicates(some, subjects)
            elif kind == "similarity":
                answers = compare_meanings(some)
            else:
                answers = self._ask(name, some)
            told.update(zip(places, answers, strict=True))
        return [told[place] for place in range(len(calls))]

    def _ask(self, name: str, calls: Sequence[Call]) -> list[Told]:
        queries = [build_query(node, arguments, self.context) for _, node, arguments in calls]
        requests = [request for query in queries for request in query.requests]
        with self.context.progress.track(name + self.where, len(requests)) as bar:
            replies = iter(self.asker.ask_all(requests, lambda _: bar.advance()))
        return [query.read([next(replies) for _ in query.requests]) for query in queries]

    # --- Eq. 2 ----------------------------------------------------------------------------------------------

    def _count_solved(self, name: str, calls: Sequence[Call], subjects: Sequence[Subject]) -> list[Told]:
        told: list[Told] = []
        for node in dict.fromkeys(node.id for _, node, _ in calls):
            some = [call for call in calls if call[1].id == node]
            told += self._count_solved_by(name, some, subjects)
        return told

    def _count_solved_by(self, name: str, calls: Sequence[Call], subjects: Sequence[Subject]) -> list[Told]:
        manifest, params = self.context.manifest, calls[0][1].params
        try:
            dialogue = find_solving_dialogue(manifest, self.probes, params.get("dialogue"))
        except ValueError as error:
            return [Told(Failed(str(error))) for _ in calls]
        groups = [
            RowProbes(subjects[index].row, probes if isinstance(probes, list) else [])
            for index, _, (probes, *_) in calls
        ]
        solve = self._find_solver(params["model"], find_max_new(manifest, dialogue.name))
        num_probes = sum(len(group.probes) for group in groups)
        with self.context.progress.track(name + self.where, num_probes) as bar:
            counts = count_solved(groups, dialogue, self.context.templates, solve)
            bar.advance(num_probes, solved=sum(filter(None, counts)))
        failed = Told(Failed("a request to the model failed"))
        return [failed if count is None else Told(count, f"solved gave {count}") for count in counts]

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


def _find_below(graph: Graph, node: Node) -> set[str]:
    """Ids of all nodes that a node's arguments need."""
    nodes = {one.id: one for one in graph.nodes}
    below: set[str] = set()
    waiting = list(node.args)
    while waiting:
        name = waiting.pop()
        if name not in below:
            below.add(name)
            waiting += nodes[name].args
    return below


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
