"""Whether a reply gives a probe's answer.

The paper leaves open how a free-form answer is scored. Here: the answer type reads the right answer out of the probe's own answer and
the reply's out of the reply; where the probe's holds none of that type, the two are compared as normalised text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from exgrpo_artifact.answers import answer_matches, extract_answer
from exgrpo_artifact.manifest import AnswerSpec

_NORMALIZED = AnswerSpec(kind="text.normalized")
_SAID = re.compile(r"\banswer(?:\s+is|\s*[:=])\s*", re.IGNORECASE)


def gives_answer(reply: str, references: Sequence[str], spec: AnswerSpec | None) -> bool:
    """Whether the reply gives the answer that one of the references states, the first that states any.

    Args:
        reply: what was said.
        references: the probe's answer, in words that may say more than it.
        spec: how answers are read; None: as normalised text.

    Raises:
        UndecidedError: it could not be found out.
    """
    if spec is not None:
        for reference in references:
            gold = extract_answer(reference, spec)
            if gold is not None:
                return answer_matches(reply, gold, spec)
    if not references:
        return False
    return any(answer_matches(text, references[0], _NORMALIZED) for text in (reply, _cut_answer(reply)))


def _cut_answer(reply: str) -> str:
    """What follows the last "the answer is"; the whole reply where nothing does."""
    said = list(_SAID.finditer(reply))
    return reply[said[-1].end() :] if said else reply
