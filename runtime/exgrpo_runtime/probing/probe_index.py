"""Probes of a finished probe stage, by row."""

from __future__ import annotations

import json
from collections.abc import Mapping

from exgrpo_artifact.manifest import Dialogue
from exgrpo_runtime.context import Context
from exgrpo_runtime.records import Probe


def read_probes(context: Context, dialogue: Dialogue) -> Mapping[str, list[Probe]]:
    """Row uid -> its kept probes in stored order; empty where no stage has made any for this dialogue."""
    directory = None if dialogue.probes is None else context.find_probe_dir(dialogue.probes)
    found: dict[str, list[Probe]] = {}
    if directory is None:
        return found
    with (directory / "probes.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            probe = Probe.from_json(json.loads(line))
            found.setdefault(probe.row, []).append(probe)
    return found
