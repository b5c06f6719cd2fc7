"""The run-time check of `open` fields: does a probe state the gold answer where the question does not?

What counts as the gold answer is each secret field of the row that can be told in a few words:

    number, int, text that is a number   stated when any quantity of the text equals it
    choice, short text, letters          stated as a word or phrase, whatever its case
    yes/no, true/false, one letter       stated as an answer only ("the answer is B", "option (B)"), since
                                         the words alone are ordinary
    a list of them                       stated when every element is
    longer text                          not checked: a worked solution shares words with any good probe

A probe that names every option of a choice states none of them. The question is every field that is not
secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from exgrpo_artifact.answers import parse_number
from exgrpo_artifact.manifest import Dataset, FieldType, Yield
from exgrpo_runtime.probing.quantities import find_quantities

STATES_ANSWER = "states-answer"
LONGEST_PHRASE = 8
"""Words of the longest text field that is looked for."""

_ORDINARY = frozenset({"yes", "no", "true", "false"})
_SAID = (
    r"\b(?:answer|option|choice|result|solution)\b(?:\s+(?:is|was|must\s+be|being|equals|of|as))?\s*[:=]?\s*"
)


class _Gold(NamedTuple):
    """One secret that may be stated."""

    field: str
    value: Any
    options: tuple[str, ...]


def find_stated_secret(
    dataset: Dataset, item: Mapping[str, Any], probe: Mapping[str, Any], yields: Sequence[Yield]
) -> str | None:
    """Name of the secret field that an open field of the probe states and the question does not, or None."""
    shown = "\n".join(_collect_texts([probe[field.name] for field in yields if field.open]))
    if not shown:
        return None
    asked = "\n".join(_collect_texts([item[field.name] for field in dataset.fields if not field.secret]))
    for gold in _list_golds(dataset, item):
        if _states(shown, gold) and not _states(asked, gold):
            return gold.field
    return None


def _list_golds(dataset: Dataset, item: Mapping[str, Any]) -> Iterator[_Gold]:
    for field in dataset.fields:
        if field.secret:
            yield from _list_parts(field.name, item[field.name], field.type)


def _list_parts(name: str, value: Any, kind: FieldType) -> Iterator[_Gold]:
    """The value, or each field of a record: whichever of them is stated, the secret is out."""
    if kind.kind != "record":
        yield _Gold(name, value, kind.options)
        return
    for field in kind.fields:
        yield from _list_parts(f"{name}.{field.name}", value[field.name], field.type)


def _states(text: str, gold: _Gold) -> bool:
    value = gold.value
    if isinstance(value, list):
        return bool(value) and all(_states(text, gold._replace(value=element)) for element in value)
    if isinstance(value, bool):
        words = ("yes", "true") if value else ("no", "false")
        return any(_says(text, word) for word in words)
    if isinstance(value, (int, float)):
        return Fraction(str(value)) in find_quantities(text)
    if not isinstance(value, str) or not value.strip():
        return False
    number = parse_number(value)
    if number is not None:
        return number in find_quantities(text)
    return _states_phrase(text, value.strip(), gold.options)


def _states_phrase(text: str, phrase: str, options: Sequence[str]) -> bool:
    if len(phrase.split()) > LONGEST_PHRASE:
        return False
    others = [option for option in options if option != phrase]
    if phrase.lower() in _ORDINARY or len(phrase) == 1:
        return _says(text, phrase) and not (others and all(_says(text, option) for option in others))
    if not _has_phrase(text, phrase):
        return False
    return not (others and all(_has_phrase(text, option) for option in others))


def _has_phrase(text: str, phrase: str) -> bool:
    pattern = r"\s+".join(map(re.escape, phrase.split()))
    return re.search(rf"(?<!\w){pattern}(?!\w)", text, re.IGNORECASE) is not None


def _says(text: str, word: str) -> bool:
    """Whether the word stands where an answer stands, or as a letter in brackets."""
    quoted = rf"""["'\u201c(\[]*{re.escape(word)}(?!\w)"""
    if re.search(_SAID + quoted, text, re.IGNORECASE):
        return True
    return len(word) == 1 and re.search(rf"\({re.escape(word)}\)", text) is not None


def _collect_texts(values: Sequence[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, bool):
            yield f"answer: {'yes' if value else 'no'}"
        elif isinstance(value, (int, float)):
            yield str(value)
        elif isinstance(value, (list, tuple)):
            yield from _collect_texts(value)
        elif isinstance(value, Mapping):
            yield from _collect_texts(list(value.values()))
