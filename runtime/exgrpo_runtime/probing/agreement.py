"""Filters by what models answer: `agrees` (Eq. 1), `majority`, and judges, each as the requests it takes and how replies are read.

Eq. 1 is `agrees`: shown the probe with its rationale and answer, the teacher still reaches the gold answer. `majority` is
self-consistency (Wang et al. 2022) turned into a filter: shown the probe's question alone, the model gives the probe's answer more
often than not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from exgrpo_artifact.answers import answer_matches
from exgrpo_artifact.errors import UndecidedError
from exgrpo_artifact.graph import Node
from exgrpo_artifact.manifest import AnswerSpec, Model, read_answer_spec
from exgrpo_artifact.values import Failed, Value
from exgrpo_runtime.context import Context
from exgrpo_runtime.probing.calls import Told
from exgrpo_runtime.probing.matching import gives_answer
from exgrpo_runtime.teachers.judge import build_request, read_score, read_verdict
from exgrpo_runtime.teachers.teacher import Message, Reply, Request

ANSWER_FORM = 'End your reply with "The answer is" and the answer.'
"""What `majority` adds to the probe's question, so that there is an answer to compare."""


class Query(NamedTuple):
    """One call: what it asks, and what its replies mean."""

    requests: Sequence[Request]
    read: Callable[[Sequence[Reply]], Told]


def build_query(node: Node, arguments: Sequence[Value], context: Context) -> Query:
    """The query of a call of `agrees`, `majority`, `judge.score` or `judge.same`, whose arguments are all known."""
    fn = str(node.params["fn"])
    if fn == "agrees":
        return _build_agrees(node, arguments, context)
    if fn == "majority":
        return _build_majority(node, arguments, context)
    request = build_request(fn, node.params, arguments, context)
    if fn == "judge.same":
        return Query([request], lambda replies: _tell(fn, read_verdict(replies[0])))
    rubric = context.manifest.rubrics[node.params["rubric"]]
    return Query([request], lambda replies: _tell(fn, read_score(replies[0], rubric)))


def _tell(fn: str, value: Value) -> Told:
    return Told(value, f"{fn} gave {value:g}" if isinstance(value, int | float) else "")


# --- Eq. 1 --------------------------------------------------------------------------------------------------


def _build_agrees(node: Node, arguments: Sequence[Value], context: Context) -> Query:
    texts, gold = arguments
    spec = read_answer_spec(node.params["answer"])
    message = Message(role="user", content=_join_texts(texts))
    model = context.manifest.models[node.params["model"]]
    return Query(
        [Request(model, (message,))], lambda replies: _tell("agrees", _compare(replies[0], gold, spec))
    )


def _join_texts(texts: Value) -> str:
    return "\n\n".join(str(text) for text in (texts if isinstance(texts, list) else [texts]))


def _compare(reply: Reply, gold: Value, spec: AnswerSpec) -> Value:
    if reply.text is None:
        return Failed(f"the teacher failed: {reply.error}")
    if not isinstance(gold, str | int | float):
        return Failed("`agrees` compares with a text or a number")
    try:
        return int(answer_matches(reply.text, gold, spec))
    except UndecidedError as error:
        return Failed(str(error))


# --- self-consistency ---------------------------------------------------------------------------------------


def _build_majority(node: Node, arguments: Sequence[Value], context: Context) -> Query:
    texts, answer = arguments
    spec = read_answer_spec(node.params["answer"])
    model = context.manifest.models[node.params["model"]]
    content = f"{_join_texts(texts)}\n\n{ANSWER_FORM}"
    messages = (Message(role="user", content=content),)
    requests = [Request(model, messages, sample=sample) for sample in range(int(node.params["count"]))]
    return Query(requests, lambda replies: _count_votes(replies, str(answer), spec, model))


def _count_votes(replies: Sequence[Reply], answer: str, spec: AnswerSpec, model: Model) -> Told:
    """1 where more than half of the answers are the probe's, 0 where that cannot be any more, else failed."""
    agreeing, unknown = 0, []
    for reply in replies:
        if reply.text is None:
            unknown.append(f"`{model.name}` failed: {reply.error}")
            continue
        try:
            agreeing += gives_answer(reply.text, [answer], spec)
        except UndecidedError as error:
            unknown.append(str(error))
    note = f"{agreeing} of {len(replies)} answers of `{model.name}` {'is' if agreeing == 1 else 'are'} the probe's"
    if 2 * agreeing > len(replies):
        return Told(1, note)
    if 2 * (agreeing + len(unknown)) <= len(replies):
        return Told(0, note)
    return Told(Failed(unknown[0]), note)
