"""What the filters of a probe stage ask models: known where the store holds what led to it, else a range.

Two streams of probes run through the filters side by side: those whose replies are stored, as far as a rehearsal came with them, and
those that are still to be asked for, of which each filter is expected to let a share pass.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from exgrpo_artifact.evaluate import evaluate_arguments, find_external_nodes
from exgrpo_artifact.graph import Node
from exgrpo_artifact.manifest import Keep, Model, Probes, Yield
from exgrpo_artifact.storage import Artifact
from exgrpo_runtime.planning.calls import MALFORMED, SURVIVING, Calls, count_calls, expect_reply
from exgrpo_runtime.planning.ranges import NOTHING, Range, add_up, exactly
from exgrpo_runtime.planning.rehearsal import Asked, Rehearsal, Step
from exgrpo_runtime.planning.tokens import Counters
from exgrpo_runtime.probing.solving import find_solving_dialogue
from exgrpo_runtime.records import Row
from exgrpo_runtime.teachers.teacher import Message
from exgrpo_runtime.templates import TemplateSet

SAMPLED_ROWS = 50
"""Rows whose filter prompts are counted, evenly spread."""


class Stream(NamedTuple):
    """Probes, and rows that have any, on their way through the filters."""

    probes: Range
    rows: Range

    def count_subjects(self, keep: Keep) -> Range:
        """What the filter is applied to."""
        return self.probes if keep.subject == "probe" else self.rows

    def filter(self, keep: Keep, share: float = SURVIVING) -> Stream:
        """What is expected to pass the filter."""
        passing = Range(0, share, 1)
        rows = self.rows.times(passing) if keep.subject == "item" else self.rows
        return Stream(self.probes.times(passing), rows)


def start_stream(num_probes: float, num_rows: float, rehearsal: Rehearsal | None) -> Stream:
    """So many probes to be asked for: at least none of them can be read, at most all, expected as many as of the stored ones."""
    share = 1 - MALFORMED
    if rehearsal is not None and rehearsal.num_due:
        share = rehearsal.num_probes / rehearsal.num_due
    return Stream(Range(0, num_probes * share, num_probes), Range(0, num_rows, num_rows))


@dataclass(frozen=True, slots=True)
class FilterPlanner:
    """Plans the filters of one stage."""

    artifact: Artifact
    templates: TemplateSet
    stage: str
    declaration: Probes
    rows: Sequence[Row]
    counters: Counters
    probe: Range
    """Tokens of one probe."""

    def plan(self, fresh: Stream, stored: Stream, rehearsal: Rehearsal | None) -> Iterator[Calls]:
        """The calls of every filter, by model.

        Args:
            fresh: probes still to be asked for.
            stored: probes whose replies are stored.
            rehearsal: what is known of them; None where nothing is stored.
        """
        for keep in self.declaration.keeps:
            step = rehearsal.steps.get(keep.name) if rehearsal is not None else None
            for name, nodes in self._group_nodes(keep).items():
                model = self.artifact.manifest.models[name]
                yield self._plan_keep(keep, model, nodes, (fresh, stored), step, rehearsal)
            fresh = fresh.filter(keep, _measure_share(step))
            stored = _take_step(stored, keep, step, rehearsal)

    def _plan_keep(
        self,
        keep: Keep,
        model: Model,
        nodes: Sequence[Node],
        streams: tuple[Stream, Stream],
        step: Step | None,
        rehearsal: Rehearsal | None,
    ) -> Calls:
        """What one filter asks one model."""
        fresh, stored = streams
        times = add_up(self._count_requests(node, fresh) for node in nodes)
        known, held, asked = stored.count_subjects(keep).times(times), 0, Asked()
        if step is not None and rehearsal is not None:
            asked = step.asked.get(model.name, asked)
            known, held = scale_asked(asked, rehearsal.scale, known.worst or 0)
        kind = "verdict" if all(_is_judge(node) for node in nodes) else "answer"
        return count_calls(
            self.stage,
            keep.name,
            model,
            fresh.count_subjects(keep).times(times).plus(known),
            prompt=add_up([self._measure_arguments(keep, nodes[0], model), self.probe]),
            completion=expect_reply(kind, model, asked.lengths),
            held=held,
        )

    def _group_nodes(self, keep: Keep) -> dict[str, list[Node]]:
        """Model -> its calls in the condition. The student is asked here, which costs nobody anything."""
        groups: dict[str, list[Node]] = {}
        for node in find_external_nodes(keep.condition):
            name = node.params.get("model")
            if name is not None and name != self.artifact.manifest.student:
                groups.setdefault(name, []).append(node)
        return groups

    def _count_requests(self, node: Node, stream: Stream) -> Range:
        """Requests of one call for one subject."""
        if node.params["fn"] != "solved":
            return exactly(int(node.params.get("count", 1)))
        dialogue = find_solving_dialogue(
            self.artifact.manifest, self.declaration.name, node.params.get("dialogue")
        )
        exchanges = len(dialogue.loop.exchanges) if dialogue.loop is not None else 0
        most = len(self.declaration.rules) * self.declaration.samples
        expected = stream.probes.expected / max(1.0, stream.rows.expected)
        return Range(0, min(expected, most), most).times(exactly(exchanges))

    def _measure_arguments(self, keep: Keep, node: Node, model: Model) -> Range:
        """Mean tokens of what the row and the rubric bring to the prompt; the probe's own texts are not there yet."""
        counter = self.counters.get(model)
        empty = _make_empty(self.declaration.yields)
        rubric = node.params.get("rubric")
        start = self.templates.render(self.artifact.manifest.rubrics[rubric].text) if rubric else ""
        step = max(1, -(-len(self.rows) // SAMPLED_ROWS))
        counts = []
        for row in self.rows[::step]:
            arguments = evaluate_arguments(
                keep.condition, node.id, item=row.fields, probe=empty, probes=[empty], external={}
            )
            texts = [text for value in arguments for text in _list_texts(value)]
            content = "\n\n".join([start, *texts])
            counts.append(counter.count([Message(role="user", content=content)]))
        return add_up(counts).times(exactly(1 / len(counts))) if counts else NOTHING


def scale_asked(asked: Asked, scale: float, most: float) -> tuple[Range, int]:
    """Requests of a rehearsal for all that is stored, and how many of them are held.

    Where a part was rehearsed, the replies that are missing are at most what 19 of 20 such parts would not exceed: with m of them
    found, m + 2 sqrt(m) + 3 times the scale (the rule of three, Hanley and Lippman-Hand 1983, for none).

    Args:
        asked: of the rehearsed part.
        scale: the whole over that part; 1: the part is the whole, and the figures are exact.
        most: what bounds the missing ones.
    """
    held, missing = round(asked.num_held * scale), asked.num - asked.num_held
    if scale == 1:
        return exactly(asked.num), held
    likely_most = (missing + 2 * math.sqrt(missing) + 3) * scale
    lost = Range(missing, missing * scale, min(likely_most, max(most, missing * scale)))
    return lost.plus(exactly(held)), held


def scale_count(num: int, scale: float, bound: Range) -> Range:
    """A count of a rehearsal for all that is stored: exact where it was of the whole, else at most what `bound` says."""
    if scale == 1:
        return exactly(num)
    return Range(num, num * scale, None if bound.worst is None else max(num * scale, bound.worst))


def _measure_share(step: Step | None) -> float:
    """The share that a filter lets pass, as its rehearsal had it."""
    if step is None or step.left_probes is None or not step.num_probes:
        return SURVIVING
    return step.left_probes / step.num_probes


def _take_step(stored: Stream, keep: Keep, step: Step | None, rehearsal: Rehearsal | None) -> Stream:
    if step is None or rehearsal is None or step.left_probes is None or step.left_rows is None:
        return stored.filter(keep)
    scale = rehearsal.scale
    return Stream(
        scale_count(step.left_probes, scale, stored.probes), scale_count(step.left_rows, scale, stored.rows)
    )


def _is_judge(node: Node) -> bool:
    return str(node.params["fn"]).startswith("judge.")


def _make_empty(yields: Sequence[Yield]) -> dict[str, Any]:
    """A probe without any text."""
    kinds: Mapping[str, Any] = {"number": 0, "int": 0, "bool": False, "list": []}
    return {each.name: kinds.get(each.type.kind, "") for each in yields}


def _list_texts(value: Any) -> list[str]:
    parts = value if isinstance(value, list) else [value]
    return [part for part in parts if isinstance(part, str)]
