"""Calls of filters that texts answer by themselves: `duplicate` and `similarity`."""

from __future__ import annotations

from collections.abc import Sequence

from exgrpo_artifact.values import Value
from exgrpo_runtime.probing.calls import Call, Subject, Told, group_calls
from exgrpo_runtime.probing.duplicates import Original, find_originals
from exgrpo_runtime.similarity import compare_texts


def find_duplicates(calls: Sequence[Call], subjects: Sequence[Subject]) -> list[Told]:
    """For each call of `duplicate` 1 where an earlier probe of the row, that is none itself, says nearly the same.

    Args:
        calls: those of a row in the order of its probes.
        subjects: the probes that they are about.
    """
    groups: dict[tuple[str, str], list[int]] = {}
    for place, call in enumerate(calls):
        groups.setdefault((call.node.id, subjects[call.subject].row.uid), []).append(place)
    told: dict[int, Told] = {}
    for places in groups.values():
        texts = [_join(calls[place].arguments[0]) for place in places]
        originals = find_originals(texts, calls[places[0]].node.params["threshold"])
        for place, original in zip(places, originals, strict=True):
            if original is None:
                told[place] = Told(0)
            else:
                earlier = subjects[calls[places[original.place]].subject]
                told[place] = Told(1, _describe(earlier, original))
    return [told[place] for place in range(len(calls))]


def compare_meanings(calls: Sequence[Call]) -> list[Told]:
    """For each call of `similarity` how close its two texts are.

    Raises:
        ModelError: a model of embeddings cannot be loaded.
    """
    told: dict[int, Told] = {}
    for places in group_calls(calls, lambda node: node.id).values():
        params = calls[places[0]].node.params
        pairs = [(str(calls[place].arguments[0]), str(calls[place].arguments[1])) for place in places]
        values = compare_texts(pairs, params["id"], params.get("revision"))
        for place, value in zip(places, values, strict=True):
            told[place] = Told(value, f"similarity gave {value:.2f}")
    return [told[place] for place in range(len(calls))]


def _join(texts: Value) -> str:
    return "\n".join(str(text) for text in (texts if isinstance(texts, list) else [texts]))


def _describe(earlier: Subject, original: Original) -> str:
    assert earlier.probe is not None, "`duplicate` stands in filters of probes alone"
    which = f" (sample {earlier.probe.sample})" if earlier.probe.sample else ""
    return f"{original.likeness:.2f} like the probe of rule `{earlier.probe.rule}`{which}"
