"""How many of a row's probes a student answers right: Lambda of Eq. 2 (arXiv 2603.19266, section on filters)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from exgrpo_artifact.errors import UndecidedError
from exgrpo_artifact.manifest import AnswerSpec, Dialogue, EvaluateStage, Exchange, GrpoStage, Manifest
from exgrpo_runtime.probing.matching import gives_answer
from exgrpo_runtime.records import Row
from exgrpo_runtime.teachers.teacher import Message
from exgrpo_runtime.templates import TemplateSet

Conversation = list[Message]
Solve = Callable[[list[Conversation]], Sequence[str | None]]
"""Replies to conversations that end with a user message, in order; None where asking failed."""

DEFAULT_MAX_NEW = 512
"""Tokens of an answer in a task none of whose stages states `max_new`."""
_ANSWER_FIELD = "answer"


class RowProbes(NamedTuple):
    """A row and the fields of its probes at hand."""

    row: Row
    probes: Sequence[Mapping[str, Any]]


def count_solved(
    groups: Sequence[RowProbes], dialogue: Dialogue, templates: TemplateSet, solve: Solve
) -> list[int | None]:
    """For each row, how many of its probes are answered right; each probe is asked on its own.

    None stands for a row one of whose probes could not be asked, or its answer not be compared.

    Args:
        groups: the rows.
        dialogue: its system text, the user texts of its probe loop and its answer types are used.
        templates: the artifact's.
        solve: called once for each exchange of the loop, with all probes of all rows.

    Raises:
        ValueError: the dialogue has no probe loop.
    """
    if dialogue.loop is None:
        raise ValueError(f"dialogue `{dialogue.name}` has no probe loop")
    pairs = [(group.row, fields) for group in groups for fields in group.probes]
    values = [{"item": row.fields, dialogue.loop.variable: fields} for row, fields in pairs]
    conversations = [_open_conversation(dialogue, templates, row) for row, _ in pairs]
    has_failed = [False] * len(pairs)
    is_right = [False] * len(pairs)
    for exchange in dialogue.loop.exchanges:
        for conversation, given in zip(conversations, values, strict=True):
            conversation.append(Message(role="user", content=templates.render(exchange.user, **given)))
        # Copies, so that what is solved keeps its text while the conversation goes on.
        replies = solve([list(conversation) for conversation in conversations]) if conversations else []
        spec = _find_spec(dialogue, exchange)
        for index, (reply, given) in enumerate(zip(replies, values, strict=True)):
            has_failed[index] |= reply is None
            target = _render_target(exchange, templates, given)
            try:
                is_right[index] = _is_right(reply or "", pairs[index][1], target, spec)
            except UndecidedError:
                has_failed[index] = True
            conversations[index].append(Message(role="assistant", content=reply or ""))
    return list(_sum_groups(groups, is_right, has_failed))


def _sum_groups(
    groups: Sequence[RowProbes], is_right: Sequence[bool], has_failed: Sequence[bool]
) -> Iterator[int | None]:
    start = 0
    for group in groups:
        end = start + len(group.probes)
        yield None if any(has_failed[start:end]) else sum(is_right[start:end])
        start = end


def find_solving_dialogue(manifest: Manifest, probes: str, named: str | None) -> Dialogue:
    """The dialogue whose loop the probes are asked in: the named one, else the first over these probes.

    Raises:
        ValueError: there is none with a probe loop.
    """
    if named is not None:
        return manifest.dialogues[named]
    for dialogue in manifest.dialogues.values():
        if dialogue.probes == probes and dialogue.loop is not None:
            return dialogue
    raise ValueError(f"no dialogue asks the probes `{probes}`, so `solved` has no wording to ask them in")


def find_max_new(manifest: Manifest, dialogue: str) -> int:
    """Tokens that the task gives an answer in this dialogue: the most of any stage, else of any dialogue."""
    stages = [stage for stage in manifest.stages if isinstance(stage, GrpoStage | EvaluateStage)]
    own = [stage.max_new for stage in stages if stage.dialogue == dialogue]
    return max(own or [stage.max_new for stage in stages] or [DEFAULT_MAX_NEW])


def _open_conversation(dialogue: Dialogue, templates: TemplateSet, row: Row) -> Conversation:
    if dialogue.system is None:
        return []
    return [Message(role="system", content=templates.render(dialogue.system, item=row.fields))]


def _find_spec(dialogue: Dialogue, exchange: Exchange) -> AnswerSpec | None:
    if exchange.answer is not None:
        return exchange.answer
    return next((closing.answer for closing in reversed(dialogue.closing) if closing.answer), None)


def _render_target(exchange: Exchange, templates: TemplateSet, given: Mapping[str, Any]) -> str | None:
    return None if exchange.target is None else templates.render(exchange.target, **given)


def _is_right(reply: str, fields: Mapping[str, Any], target: str | None, spec: AnswerSpec | None) -> bool:
    references = [str(text) for text in (fields.get(_ANSWER_FIELD), target) if text is not None]
    return gives_answer(reply, references, spec)
