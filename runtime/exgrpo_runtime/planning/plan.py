"""The plan of a task: every call of every stage, counted without sending one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exgrpo_artifact.manifest import EvaluateStage, GrpoStage, Manifest, Price, ProbeStage, Stage
from exgrpo_artifact.storage import Artifact
from exgrpo_runtime.data.disk_rows import RowsBySplit
from exgrpo_runtime.planning.bills import Bill, make_bill
from exgrpo_runtime.planning.calls import MALFORMED, SURVIVING, Calls, describe_range
from exgrpo_runtime.planning.held import HeldReplies
from exgrpo_runtime.planning.judge_calls import IN_BRANCH, JudgePlanner
from exgrpo_runtime.planning.prices import find_price
from exgrpo_runtime.planning.probe_calls import plan_probe_stage
from exgrpo_runtime.planning.ranges import Range, add_up
from exgrpo_runtime.planning.tokens import Counters
from exgrpo_runtime.templates import TemplateSet

ASSUMPTIONS = (
    f"{100 * MALFORMED:g}% of the replies are malformed and repaired once",
    f"each filter lets {100 * SURVIVING:g}% pass",
    f"a judge in a branch is asked for {100 * IN_BRANCH:g}% of the rollouts",
)
"""What the expected figures take for granted where nothing is stored."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a task would ask."""

    manifest: Manifest
    num_rows: Mapping[str, int]
    """Stage -> rows that it works on."""
    calls: tuple[Calls, ...]
    bills: tuple[Bill, ...]
    measured: Mapping[str, str]
    """Probe stage -> how its prompts were measured."""
    store: Path | None
    """The store that was looked into."""

    @property
    def usd(self) -> Range | None:
        """What all models cost together; None where the price of one that is asked is unknown."""
        known = [bill.usd for bill in self.bills if bill.usd is not None]
        return add_up(known) if len(known) == len(self.bills) else None

    @property
    def seconds(self) -> Range | None:
        """All models one after the other; None where one's time is unknown."""
        known = [bill.seconds for bill in self.bills if bill.seconds is not None]
        return add_up(known) if len(known) == len(self.bills) else None

    def to_json(self) -> dict[str, Any]:
        """The whole plan; null is unknown."""
        manifest = self.manifest
        return {
            "task": manifest.task,
            "rows": dict(self.num_rows),
            "store": None if self.store is None else str(self.store),
            "calls": [one.to_json() for one in self.calls],
            "models": [bill.to_json() for bill in self.bills],
            "usd": None if self.usd is None else describe_range(self.usd),
            "seconds": None if self.seconds is None else describe_range(self.seconds),
            "measured": dict(self.measured),
            "assumptions": list(ASSUMPTIONS),
            "declassified": [
                {"where": each.where, "what": each.what, "reason": each.reason}
                for each in manifest.declassified
            ],
            "open": list_open(manifest),
            "reveals": {rule.name: list(rule.reveals) for rule in manifest.rules.values() if rule.reveals},
        }


def build_plan(
    artifact: Artifact,
    stages: Sequence[Stage],
    rows: RowsBySplit,
    *,
    store: Path | None = None,
    prices: Mapping[str, Price] | None = None,
    tokenizer: Path | None = None,
) -> Plan:
    """The plan of a task over its rows. Nothing is sent, no variable of the environment is read, no file is written.

    Args:
        artifact: the task.
        stages: of it, in order.
        rows: of every dataset that these stages use, limited and sharded as a run would.
        store: a reply store; a path where there is no file is an empty one.
        prices: US dollars for models without a `price`, by model id.
        tokenizer: folder of the tokenizer to count with, where a model has none of its own here.

    Raises:
        ArtifactError: a prompt cannot be rendered for a row.
        DiskError: the store cannot be read.
        ModelError: there is no tokenizer in the folder.
        MissingDependencyError: the tokenizer needs transformers.
    """
    manifest = artifact.manifest
    templates = TemplateSet(artifact.prompts)
    counters = Counters(tokenizer)
    held = HeldReplies(store)
    judges = JudgePlanner(artifact, templates, counters)
    calls: list[Calls] = []
    num_rows: dict[str, int] = {}
    measured: dict[str, str] = {}
    for stage in stages:
        if isinstance(stage, ProbeStage):
            split = rows[manifest.probes[stage.probes].dataset][stage.split]
            num_rows[stage.name] = len(split)
            found = plan_probe_stage(artifact, templates, stage, split, counters, held)
            calls += found.calls
            measured[stage.name] = found.measured
        elif isinstance(stage, GrpoStage):
            calls += judges.plan_training(stage)
        elif isinstance(stage, EvaluateStage):
            num_rows[stage.name] = len(rows[stage.dataset][stage.split])
            calls += judges.plan_evaluation(stage, num_rows[stage.name])
    names = dict.fromkeys(one.model for one in calls)
    bills = [
        make_bill(
            manifest.models[name],
            [one for one in calls if one.model == name],
            find_price(manifest.models[name], prices or {}),
            held.describe_model(name),
        )
        for name in names
    ]
    return Plan(manifest, num_rows, tuple(calls), tuple(bills), measured, store)


def list_open(manifest: Manifest) -> list[str]:
    """`probes.field` of everything that a teacher writes and the student may be shown."""
    return [
        f"{declared.name}.{each.name}"
        for declared in manifest.probes.values()
        for each in declared.yields
        if each.open
    ]
