"""From questions to what the teacher stated for each rule: asked, read, and sent back once where it could not be read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from exgrpo_artifact.manifest import Probes
from exgrpo_runtime.data.convert import Misfit
from exgrpo_runtime.probing.questions import Question
from exgrpo_runtime.probing.repair import build_repair
from exgrpo_runtime.probing.replies import MALFORMED, Fields, parse_replies, parse_reply
from exgrpo_runtime.teachers.asking import Asker
from exgrpo_runtime.teachers.teacher import Reply

TEACHER_FAILED = "teacher-failed"
CUT_OFF = "length"
"""What endpoints call a reply that ended at `max_tokens`."""

Ask = Callable[[str, Sequence[Question]], Sequence[Reply]]
Statements = dict[str, Fields | Misfit]
"""Rule -> what the reply states for it, or why nothing."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one question."""

    question: Question
    statements: Statements
    repaired: frozenset[str] = frozenset()
    """Rules whose statement, good or not, is that of the repair."""


def read_answers(
    questions: Sequence[Question],
    declaration: Probes,
    asker: Asker,
    on_reply: Callable[[Reply], None] = lambda _: None,
) -> list[Answer]:
    """The answers in the order of the questions, those that could not be read asked for once more.

    Args:
        questions: to one teacher.
        declaration: what they are asked for.
        asker: who asks.
        on_reply: called once for each question, as its first reply is there.

    Raises:
        TeacherError: the teacher cannot be used at all.
        DiskError: a reply could not be stored.
    """
    replies = asker.ask_all([question.request for question in questions], on_reply)
    first = [_read(*pair, declaration) for pair in zip(questions, replies, strict=True)]
    problems = [_describe_problem(statements) for statements in first]
    broken = [place for place, problem in enumerate(problems) if problem]
    requests = [
        build_repair(questions[place].request, replies[place].text or "", problems[place]) for place in broken
    ]
    repairs = dict(zip(broken, asker.ask_all(requests) if requests else [], strict=True))
    return [
        Answer(question, statements)
        if place not in repairs
        else _mend(question, statements, _read(question, repairs[place], declaration))
        for place, (question, statements) in enumerate(zip(questions, first, strict=True))
    ]


def _read(question: Question, reply: Reply, declaration: Probes) -> Statements:
    names = [rule.name for rule in question.rules]
    if reply.text is None:
        return dict.fromkeys(names, Misfit(TEACHER_FAILED, reply.error or ""))
    if declaration.ask == "together":
        statements = parse_replies(reply.text, declaration.yields, names)
    else:
        statements = {names[0]: parse_reply(reply.text, declaration.yields)}
    return {rule: _tell_cut(one, reply) for rule, one in statements.items()}


def _tell_cut(statement: Fields | Misfit, reply: Reply) -> Fields | Misfit:
    """Says of a malformed reply that it ran into its limit, which is then what to mend: by fewer words, or a higher `max_tokens`."""
    if isinstance(statement, Misfit) and reply.finish_reason == CUT_OFF:
        return Misfit(statement.reason, f"{statement.detail}; it was cut off at its limit of tokens")
    return statement


def _describe_problem(statements: Statements) -> str:
    """What is to be mended; empty where nothing is."""
    misfits = [one for one in statements.values() if isinstance(one, Misfit) and one.reason == MALFORMED]
    return "; ".join(dict.fromkeys(misfit.detail for misfit in misfits))


def _mend(question: Question, first: Statements, second: Mapping[str, Fields | Misfit]) -> Answer:
    """What could be read at first stays, since it was paid for; the rest is the repair's."""
    merged: Statements = {}
    repaired: set[str] = set()
    for rule, statement in first.items():
        merged[rule] = statement
        if isinstance(statement, Misfit):
            repaired.add(rule)
            merged[rule] = _replace(statement, second[rule])
    return Answer(question, merged, frozenset(repaired))


def _replace(before: Misfit, after: Fields | Misfit) -> Fields | Misfit:
    if not isinstance(after, Misfit):
        return after
    if after.reason == TEACHER_FAILED:
        return Misfit(TEACHER_FAILED, f"{before.detail}; asking to mend it failed: {after.detail}")
    return Misfit(after.reason, f"{after.detail} (when asked to mend this: {before.detail})")
