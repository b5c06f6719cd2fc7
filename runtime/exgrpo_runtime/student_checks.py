"""Whether a student can work at all, found out before the first stage spends anything or a token is generated.

A chat template, a vocabulary that the weights know, and a context that holds a dialogue: only the tokenizer and the config are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from random import Random
from typing import Any

from exgrpo_artifact.errors import ModelError
from exgrpo_artifact.manifest import EvaluateStage, GrpoStage, Manifest, Model, Stage
from exgrpo_artifact.storage import Artifact
from exgrpo_runtime.chat import ChatFormat
from exgrpo_runtime.plans import DialoguePrompt, encode_prompt, plan_dialogue
from exgrpo_runtime.records import Row
from exgrpo_runtime.templates import TemplateSet

Rows = Mapping[str, Mapping[str, Sequence[Row]]]
ROWS_MEASURED = 64
"""Rows of a stage whose shortest dialogue must fit."""


def require_vocabulary(name: str, tokenizer: Any, chat: ChatFormat, num_embeddings: int) -> None:
    """Returns where the model has an embedding for every token that a dialogue can hold.

    A special token that no dialogue uses may lie beyond: what a user writes like one is read as plain text.

    Args:
        name: of the model, for the message.
        tokenizer: the model's.
        chat: its format.
        num_embeddings: rows of the model's input embedding.

    Raises:
        ModelError: a token lies beyond.
    """
    special = {index for index, token in tokenizer.added_tokens_decoder.items() if token.special}
    needed = {index for index in tokenizer.get_vocab().values() if index not in special}
    needed |= {*chat.stop_ids, chat.pad_id, *chat.encode_opening("a", "b"), *chat.encode_followup("c")}
    beyond = sorted(index for index in needed if index >= num_embeddings)
    if beyond:
        token = tokenizer.convert_ids_to_tokens(beyond[0])
        raise ModelError(
            f"The tokenizer of {name} does not belong to its weights: token {beyond[0]} ({token!r}) and "
            f"{len(beyond) - 1} more have no embedding, of which there are {num_embeddings}. Take the tokenizer that the model "
            "was trained with, or save the model again after model.resize_token_embeddings(len(tokenizer))."
        )


def count_least(prompt: DialoguePrompt, max_new: int) -> int:
    """Positions of a dialogue whose every turn has `max_new` tokens and is closed."""
    asked = len(prompt.opening) + sum(len(followup) for followup in prompt.followups)
    return asked + (len(prompt.followups) + 1) * (max_new + 1)


def require_room(stage: str, prompts: Iterable[DialoguePrompt], context: int, max_new: int) -> None:
    """Returns where some dialogue fits the context, or there is none.

    Raises:
        ModelError: not one does.
    """
    counts = [count_least(prompt, max_new) for prompt in prompts]
    if counts and min(counts) > context:
        raise ModelError(
            f"stage `{stage}`: no dialogue fits the student's context of {context} tokens: the shortest needs {min(counts)}, "
            f"with {max_new} for each answer. Lower max_new, shorten the prompts, or take a student with a longer context."
        )


def require_student(artifact: Artifact, stages: Sequence[Stage], rows: Rows) -> None:
    """Returns where the student of these stages can hold their dialogues, as far as that is known without probes and weights.

    Raises:
        ModelError: the model cannot be found, has no chat template or one that changes earlier turns, has tokens without an
            embedding, or not one of a stage's dialogues fits its context.
    """
    student = artifact.manifest.models[artifact.manifest.student]
    if all(stage.kind == "probe" for stage in stages):
        return
    if student.scratch is not None:
        _require_scratch_room(artifact.manifest, stages, student.scratch.context)
        return
    chat, context = _load_format(student)
    for stage in stages:
        if isinstance(stage, GrpoStage | EvaluateStage):
            needed = stage.max_new if isinstance(stage, GrpoStage) else 1
            require_room(stage.name, _write_shortest(artifact, stage, rows, chat), context, needed)


def _require_scratch_room(manifest: Manifest, stages: Sequence[Stage], context: int) -> None:
    """Without a tokenizer: the answers alone must fit."""
    for stage in stages:
        if isinstance(stage, GrpoStage):
            turns = len(manifest.dialogues[stage.dialogue].closing)
            empty = DialoguePrompt([], [[] for _ in range(turns - 1)])
            require_room(stage.name, [empty], context, stage.max_new)


def _load_format(student: Model) -> tuple[ChatFormat, int]:
    from exgrpo_runtime.student import find_context, load_tokenizer_and_config

    tokenizer, config = load_tokenizer_and_config(student)
    chat = ChatFormat(tokenizer)
    size = getattr(config.get_text_config(decoder=True), "vocab_size", None)
    if size is not None:
        require_vocabulary(student.id or student.name, tokenizer, chat, int(size))
    return chat, find_context(config)


def _write_shortest(
    artifact: Artifact, stage: GrpoStage | EvaluateStage, rows: Rows, chat: ChatFormat
) -> Iterator[DialoguePrompt]:
    """The dialogues of some rows without their probes, spread evenly over the split."""
    dialogue = artifact.manifest.dialogues[stage.dialogue]
    dataset = stage.dataset if isinstance(stage, EvaluateStage) else dialogue.dataset
    split, templates = rows[dataset][stage.split], TemplateSet(artifact.prompts)
    places = range(len(split)) if len(split) <= ROWS_MEASURED else _spread(len(split))
    for place in places:
        yield encode_prompt(plan_dialogue(dialogue, split[place], [], templates, ""), chat)


def _spread(count: int) -> list[int]:
    """ROWS_MEASURED places, the same for the same count."""
    return sorted(Random(count).sample(range(count), ROWS_MEASURED))
