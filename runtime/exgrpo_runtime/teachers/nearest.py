"""The recorded request that is most like one that was not recorded, and where they part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher

from exgrpo_runtime.teachers.recordings import Recording
from exgrpo_runtime.teachers.teacher import Message

FINALISTS = 8
"""Recordings that share the most words, which are compared word by word."""
SHOWN = 60
"""Characters that are shown of each side."""


def describe_nearest(messages: Sequence[Message], recordings: Iterable[Recording]) -> str:
    """What the nearest recorded request is like, in a sentence or two; it differs from `messages`."""
    nearest, likeness = _find_nearest(messages, list(recordings))
    asked, recorded = list(messages), list(nearest.messages)
    told = f"The nearest recorded request ({100 * likeness:.0f}% alike)"
    if [one["role"] for one in asked] != [one["role"] for one in recorded]:
        roles = [", ".join(one["role"] for one in side) for side in (recorded, asked)]
        return f"{told} has the messages {roles[0]}; this one has {roles[1]}."
    number, left, right = next(
        (at, one["content"], other["content"])
        for at, (one, other) in enumerate(zip(asked, recorded, strict=True), start=1)
        if one != other
    )
    place = _find_difference(left, right)
    where = f"message {number}, " if len(asked) > 1 else ""
    return (
        f"{told} differs first at {where}character {place}: it was {_cut(right, place)}, "
        f"and is {_cut(left, place)} now."
    )


def _find_difference(left: str, right: str) -> int:
    """The first place where two different texts differ; the end of the shorter one where it begins the longer."""
    pairs = enumerate(zip(left, right, strict=False))
    return next((at for at, (one, other) in pairs if one != other), min(len(left), len(right)))


def _find_nearest(messages: Sequence[Message], recordings: Sequence[Recording]) -> tuple[Recording, float]:
    words = _split(messages)
    counts = Counter(words)

    def count_shared(recording: Recording) -> float:
        others = Counter(_split(recording.messages))
        return 2 * sum((counts & others).values()) / max(1, len(words) + others.total())

    finalists = sorted(recordings, key=count_shared, reverse=True)[:FINALISTS]
    scored = [
        (SequenceMatcher(None, words, _split(one.messages), autojunk=False).ratio(), one) for one in finalists
    ]
    likeness, nearest = max(scored, key=lambda pair: pair[0])
    return nearest, likeness


def _split(messages: Sequence[Message]) -> list[str]:
    return [word for message in messages for word in message["content"].split()]


def _cut(text: str, place: int) -> str:
    """The text around a place, on one line."""
    start = max(0, place - SHOWN // 3)
    piece = text[start : start + SHOWN]
    before, after = "…" if start else "", "…" if start + SHOWN < len(text) else ""
    return repr(f"{before}{piece}{after}")
