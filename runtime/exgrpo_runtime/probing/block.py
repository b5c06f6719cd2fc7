"""One block of rows on its way from questions to the probes that are kept. Nothing here knows of other blocks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from exgrpo_artifact.manifest import Keep, Manifest, Probes
from exgrpo_artifact.values import NOT_APPLICABLE, Failed
from exgrpo_runtime.data.convert import Misfit
from exgrpo_runtime.probing.calls import Subject
from exgrpo_runtime.probing.filters import Conditions, Outcome
from exgrpo_runtime.probing.funnel import NO_PROBES, Funnel
from exgrpo_runtime.probing.leaks import STATES_ANSWER, find_stated_secret
from exgrpo_runtime.probing.questions import Question, is_true
from exgrpo_runtime.probing.reading import Answer
from exgrpo_runtime.probing.replies import Fields
from exgrpo_runtime.records import Probe, Rejection, Row

FILTER_FAILED = "filter-failed"
SURPLUS = "surplus"
"""A probe beyond the `per_rule` of its row and rule."""


@dataclass(slots=True)
class Block:
    """Rows with what is left of their probes. Rejections are kept by row, so that their order is that of the rows."""

    stage: str
    manifest: Manifest
    declaration: Probes
    rows: Sequence[Row]
    funnel: Funnel
    probes: dict[str, list[Probe]] = field(init=False)
    rejections: dict[str, list[Rejection]] = field(init=False)

    def __post_init__(self) -> None:
        self.probes = {row.uid: [] for row in self.rows}
        self.rejections = {row.uid: [] for row in self.rows}

    def count_questions(self, questions: Sequence[Question]) -> None:
        """Counts what is asked, and what is not because a rule does not apply to a row."""
        asked = Counter((question.row.uid, rule.name) for question in questions for rule in question.rules)
        for row in self.rows:
            for rule in self.declaration.rules:
                if (row.uid, rule) not in asked:
                    self.funnel.skip(rule)
        for (_, rule), count in asked.items():
            for _ in range(count):
                self.funnel.ask(rule)

    def take_answers(self, answers: Sequence[Answer]) -> None:
        """The probes that could be read and state no answer, in the order rows x rules x samples."""
        places = {rule: place for place, rule in enumerate(self.declaration.rules)}
        for answer in answers:
            question = answer.question
            for name, statement in answer.statements.items():
                if name in answer.repaired:
                    self.funnel.repair(name, is_mended=not isinstance(statement, Misfit))
                if isinstance(statement, Misfit):
                    self._reject(question.row.uid, name, question.sample, statement)
                else:
                    self._take(question, name, statement)
        for row in self.rows:
            self.probes[row.uid].sort(key=lambda probe: (places[probe.rule], probe.sample))
            if not self.probes[row.uid]:
                self.funnel.drop_row(NO_PROBES)

    def _take(self, question: Question, name: str, fields: Fields) -> None:
        row, rule = question.row, self.manifest.rules[name]
        if not rule.reveals:
            dataset = self.manifest.datasets[self.declaration.dataset]
            stated = find_stated_secret(dataset, row.fields, fields, self.declaration.yields)
            if stated is not None:
                detail = f"it states `{stated}`, which the question does not"
                self._reject(row.uid, name, question.sample, Misfit(STATES_ANSWER, detail))
                return
        self.probes[row.uid].append(Probe(row.uid, name, fields, bool(rule.reveals), question.sample))

    def apply_filters(self, conditions: Conditions) -> None:
        """Every `keep` in order, each over what the one before left; `per_rule` before the first that is about rows."""
        is_capped = False
        for keep in self.declaration.keeps:
            if keep.subject == "item" and not is_capped:
                self._cap()
                is_capped = True
            self._apply(keep, conditions)
        if not is_capped:
            self._cap()
        for row in self.rows:
            self.funnel.keep(self.probes[row.uid])

    def _apply(self, keep: Keep, conditions: Conditions) -> None:
        left = [row for row in self.rows if self.probes[row.uid]]
        if keep.subject == "probe":
            subjects = [
                Subject(row, probe, self.probes[row.uid]) for row in left for probe in self.probes[row.uid]
            ]
        else:
            subjects = [Subject(row, None, self.probes[row.uid]) for row in left]
        outcomes = conditions.evaluate(keep.name, keep.condition, subjects)
        for row in left:
            self.probes[row.uid] = []
        for subject, outcome in zip(subjects, outcomes, strict=True):
            judged = [subject.probe] if subject.probe is not None else list(subject.probes)
            misfit = _find_misfit(keep, outcome)
            if misfit is None:
                self.probes[subject.row.uid] += judged
                continue
            for probe in judged:
                self._reject(probe.row, probe.rule, probe.sample, misfit)
        for row in left:
            if not self.probes[row.uid]:
                self.funnel.drop_row(keep.name if keep.subject == "item" else NO_PROBES)

    def _cap(self) -> None:
        most = self.declaration.per_rule
        if most is None:
            return
        for row in self.rows:
            seen, kept = Counter[str](), []
            for probe in self.probes[row.uid]:
                seen[probe.rule] += 1
                if seen[probe.rule] <= most:
                    kept.append(probe)
                    continue
                detail = f"{most} of rule `{probe.rule}` {'is' if most == 1 else 'are'} kept already"
                self._reject(probe.row, probe.rule, probe.sample, Misfit(SURPLUS, detail))
            self.probes[row.uid] = kept

    def _reject(self, row: str, rule: str, sample: int, misfit: Misfit) -> None:
        rejection = Rejection(self.stage, row, rule, misfit.reason, misfit.detail, sample)
        self.rejections[row].append(rejection)
        self.funnel.reject(rejection)


def _find_misfit(keep: Keep, outcome: Outcome) -> Misfit | None:
    value = outcome.value
    if is_true(value):
        return None
    if isinstance(value, Failed):
        return Misfit(FILTER_FAILED, f"`{keep.name}`: {value.reason}")
    state = "not applicable" if value is NOT_APPLICABLE else "not met"
    found = ", ".join(outcome.notes)
    return Misfit(keep.name, f"the condition is {state}" + (f": {found}" if found else ""))
