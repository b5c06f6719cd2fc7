"""The probe stage: Explanatory Inversion (arXiv 2603.19266, section 3), one probe for each row and rule.

Rows and rules in, `probes.jsonl` and `rejections.jsonl` out; the order is the rows' and the rules', whatever
order replies arrive in.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exgrpo_artifact.errors import DataError
from exgrpo_artifact.manifest import Keep, Model, Probes, ProbeStage
from exgrpo_artifact.values import NOT_APPLICABLE, Failed
from exgrpo_runtime.context import Context
from exgrpo_runtime.data.convert import Misfit
from exgrpo_runtime.probing.filters import Conditions, Outcome, Subject
from exgrpo_runtime.probing.funnel import NO_PROBES, Funnel
from exgrpo_runtime.probing.leaks import STATES_ANSWER, find_stated_secret
from exgrpo_runtime.probing.questions import Question, build_questions, is_true
from exgrpo_runtime.probing.replies import parse_reply
from exgrpo_runtime.probing.solving import Solve
from exgrpo_runtime.records import Probe, Rejection, Row
from exgrpo_runtime.teachers.asking import Asker
from exgrpo_runtime.teachers.budget import Budget
from exgrpo_runtime.teachers.teacher import Reply, Teacher, open_teacher

TEACHER_FAILED = "teacher-failed"
FILTER_FAILED = "filter-failed"

ProbesByRow = dict[str, list[Probe]]


def run_probe_stage(
    stage: ProbeStage,
    context: Context,
    *,
    solve: Solve | None = None,
    open_model: Callable[[Model], Teacher] = open_teacher,
    given: Mapping[str, Reply] | None = None,
) -> dict[str, Any]:
    """Asks for the probes, filters them and writes what is left.

    Args:
        stage: the stage.
        context: where it runs.
        solve: who answers for the student in `solved`; None: the student as the last training stage left it.
        open_model: how a model becomes a teacher.
        given: by key, failures of requests that others have sent for this run.

    Returns:
        Rows, requests (asked, from_store, failed_requests, tokens, budget) and the funnel by rule, reason, row.

    Raises:
        DataError: no row, or no probe survived; the text has the counts by reason.
        TeacherError: the teacher cannot be used at all.
    """
    declaration = context.manifest.probes[stage.probes]
    rows = context.rows[declaration.dataset][stage.split]
    run = _Run(
        stage,
        declaration,
        context,
        Asker(context.store, open_model, given=given or {}),
        Funnel(declaration.rules),
    )
    probes = run.ask_probes(rows)
    conditions = Conditions(context, declaration.name, run.asker, solve)
    for keep in declaration.keeps:
        probes = run.apply_filter(keep, conditions, rows, probes)
    kept = [probe for row in rows for probe in probes.get(row.uid, [])]
    _write_lines(context.work / "probes.jsonl", (probe.to_json() for probe in kept))
    _write_lines(
        context.work / "rejections.jsonl", (rejection.to_json() for rejection in run.funnel.rejections)
    )
    if not kept:
        raise DataError(run.describe_failure(len(rows)))
    return {"rows": len(rows), **run.describe_requests(), **run.funnel.summarise(kept)}


@dataclass(slots=True)
class _Run:
    """One probe stage under way."""

    stage: ProbeStage
    declaration: Probes
    context: Context
    asker: Asker
    funnel: Funnel

    def ask_probes(self, rows: Sequence[Row]) -> ProbesByRow:
        """Row uid -> the probes that could be read and state no answer; every row is there."""
        questions = [question for row in rows for question in self._list_questions(row)]
        with self.context.progress.track(self.stage.name, len(questions)) as bar:

            def advance(_: Reply) -> None:
                failed = self.asker.tally.failed
                bar.advance(**({"failed": failed} if failed else {}))

            replies = self.asker.ask_all([question.request for question in questions], advance)
        probes: ProbesByRow = {row.uid: [] for row in rows}
        for question, reply in zip(questions, replies, strict=True):
            if reply.text is None:
                self._reject(question.row, question.rules[0].name, TEACHER_FAILED, reply.error or "")
                continue
            probe = self._read_probe(question, reply.text)
            if probe is not None:
                probes[question.row.uid].append(probe)
        for row in rows:
            if not probes[row.uid]:
                self.funnel.drop_row(NO_PROBES)
        return probes

    def apply_filter(
        self, keep: Keep, conditions: Conditions, rows: Sequence[Row], probes: ProbesByRow
    ) -> ProbesByRow:
        """The probes that meet the filter; where it is about rows, all or none of a row's."""
        left = [row for row in rows if probes[row.uid]]
        if keep.subject == "probe":
            subjects = [Subject(row, probe, probes[row.uid]) for row in left for probe in probes[row.uid]]
        else:
            subjects = [Subject(row, None, probes[row.uid]) for row in left]
        kept: ProbesByRow = {row.uid: [] for row in rows}
        outcomes = conditions.evaluate(keep.name, keep.condition, subjects)
        for subject, outcome in zip(subjects, outcomes, strict=True):
            judged = [subject.probe] if subject.probe is not None else list(subject.probes)
            misfit = _find_misfit(keep, outcome)
            if misfit is None:
                kept[subject.row.uid] += judged
                continue
            for probe in judged:
                self._reject(subject.row, probe.rule, misfit.reason, misfit.detail)
        for row in left:
            if not kept[row.uid]:
                self.funnel.drop_row(keep.name if keep.subject == "item" else NO_PROBES)
        return kept

    def describe_requests(self) -> dict[str, Any]:
        """What asking has come to: counts, tokens and the teacher's budget, earlier runs included in the last."""
        figures = self.asker.tally.to_json()
        figures["failed_requests"] = figures.pop("failed")
        teacher = self.context.manifest.models[self.declaration.teacher]
        return {**figures, "budget": Budget(teacher, self.context.store.sum_usage(teacher.name)).to_json()}

    def describe_failure(self, num_rows: int) -> str:
        """Why nothing is left, with the counts and one example."""
        text = f"no probe survived stage `{self.stage.name}` of {num_rows} rows: {self.funnel.describe_losses()}."
        if self.funnel.rejections:
            first = self.funnel.rejections[0]
            text += f" The first: row {first.row}, rule `{first.rule}`, {first.reason}: {first.detail}."
        return text + " Replies are stored, so nothing is paid for twice."

    def _list_questions(self, row: Row) -> list[Question]:
        context = self.context
        questions = list(build_questions(context.artifact, context.templates, self.stage, [row]))
        asked = [rule.name for question in questions for rule in question.rules]
        for name in self.declaration.rules:
            if name not in asked:
                self.funnel.skip(name)
        for name in asked:
            self.funnel.ask(name)
        return questions

    def _read_probe(self, question: Question, text: str) -> Probe | None:
        row, rule = question.row, question.rules[0]
        fields = parse_reply(text, self.declaration.yields)
        if isinstance(fields, Misfit):
            self._reject(row, rule.name, fields.reason, fields.detail)
            return None
        if not rule.reveals:
            dataset = self.context.manifest.datasets[self.declaration.dataset]
            stated = find_stated_secret(dataset, row.fields, fields, self.declaration.yields)
            if stated is not None:
                detail = f"it states `{stated}`, which the question does not"
                self._reject(row, rule.name, STATES_ANSWER, detail)
                return None
        return Probe(row.uid, rule.name, fields, bool(rule.reveals))

    def _reject(self, row: Row, rule: str, reason: str, detail: str) -> None:
        self.funnel.reject(Rejection(self.stage.name, row.uid, rule, reason, detail))


def _find_misfit(keep: Keep, outcome: Outcome) -> Misfit | None:
    value, seen = outcome
    if is_true(value):
        return None
    if isinstance(value, Failed):
        return Misfit(FILTER_FAILED, f"`{keep.name}`: {value.reason}")
    found = ", ".join(f"{fn} gave {given}" for fn, given in seen.items() if isinstance(given, int | float))
    state = "not applicable" if value is NOT_APPLICABLE else "not met"
    return Misfit(keep.name, f"the condition is {state}" + (f": {found}" if found else ""))


def _write_lines(path: Path, values: Iterable[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        stream.writelines(json.dumps(value, ensure_ascii=False) + "\n" for value in values)
