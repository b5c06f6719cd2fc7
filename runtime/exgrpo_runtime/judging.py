"""What a reward is told from outside: judges are asked, and similarities computed, for many rollouts at once."""

from __future__ import annotations

from collections.abc import Sequence

from exgrpo_artifact.judgements import Judgement
from exgrpo_artifact.values import Value
from exgrpo_runtime.context import Context
from exgrpo_runtime.similarity import compare_texts
from exgrpo_runtime.teachers.judge import score_judgements

SIMILARITY = "similarity"


def answer_judgements(judgements: Sequence[Judgement], context: Context) -> dict[str, Value]:
    """Judgement key -> its value, or Failed with the reason.

    Raises:
        TeacherError: a judge cannot be used at all.
        ModelError: a model of embeddings cannot be loaded.
    """
    asked = [one for one in judgements if one.fn != SIMILARITY]
    found = score_judgements(asked, context) if asked else {}
    by_model: dict[tuple[str, str | None], list[Judgement]] = {}
    for one in judgements:
        if one.fn == SIMILARITY:
            by_model.setdefault((one.params["id"], one.params.get("revision")), []).append(one)
    for (model_id, revision), some in by_model.items():
        pairs = [(str(one.arguments[0]), str(one.arguments[1])) for one in some]
        values = compare_texts(pairs, model_id, revision)
        found |= {one.key: value for one, value in zip(some, values, strict=True)}
    return found
