"""The texts that a task's dialogues can show its student: what a scratch tokenizer is trained on.

Only rows of the splits that are trained on: an evaluated split leaves no trace in a student.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from exgrpo_artifact.manifest import Dialogue
from exgrpo_runtime.context import Context
from exgrpo_runtime.probing.probe_index import read_probes
from exgrpo_runtime.records import Probe, Row


def collect_texts(context: Context) -> Iterator[str]:
    """Every text that the task's dialogues can show the student in training, in a fixed order.

    These are the rendered system, user and target texts over the rows of the training stages' splits; turns
    about probes only where the probe stage has finished.
    """
    for name, split in _find_training_dialogues(context):
        dialogue = context.manifest.dialogues[name]
        rows = context.rows[dialogue.dataset].get(split, [])
        probes = read_probes(context, dialogue)
        for row in rows:
            yield from _render_texts(context, dialogue, row, probes.get(row.uid, []))


def _find_training_dialogues(context: Context) -> list[tuple[str, str]]:
    """(dialogue, split) of each training stage, once each; of the evaluated ones where nothing is trained."""
    pairs: dict[tuple[str, str], None] = {}
    for stage in context.manifest.stages:
        if stage.kind == "sft":
            pairs.update(dict.fromkeys((name, stage.split) for name in stage.mix))
        elif stage.kind == "grpo":
            pairs[stage.dialogue, stage.split] = None
    if not pairs:
        for stage in context.manifest.stages:
            if stage.kind == "evaluate":
                dataset = context.manifest.dialogues[stage.dialogue].dataset
                pairs[stage.dialogue, next(iter(context.manifest.datasets[dataset].splits))] = None
    return list(pairs)


def _render_texts(context: Context, dialogue: Dialogue, row: Row, probes: Sequence[Probe]) -> Iterator[str]:
    render = context.templates.render
    if dialogue.system is not None:
        yield render(dialogue.system, item=row.fields)
    for exchange in dialogue.closing:
        for path in (exchange.user, exchange.target):
            if path is not None:
                yield render(path, item=row.fields)
    if dialogue.loop is None:
        return
    for probe in probes:
        for exchange in dialogue.loop.exchanges:
            for path in (exchange.user, exchange.target):
                if path is not None:
                    yield render(path, **{"item": row.fields, dialogue.loop.variable: probe.fields})
