"""What a reward may rely on: the shapes of its rows, its dialogue's scenarios and turns, and the scales of its rubrics."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from exgrpo_artifact.named import NamedTuple
from exgrpo_artifact.record import Record, field
from exgrpo_compiler.ir import (
    CheckedCut,
    CheckedDataset,
    CheckedDialogue,
    CheckedReward,
    CheckedRubric,
    Typed,
)
from exgrpo_compiler.program import Key
from exgrpo_compiler.prove.interval import (
    ANY_NUMBER,
    ANY_TEXT,
    ANYTHING,
    EITHER,
    Interval,
    make_list,
    make_number,
    make_texts,
)
from exgrpo_compiler.value_types import Type


class Turns(NamedTuple):
    """How many probes a rollout goes through: at least, at most."""

    low: int = 0
    high: float = math.inf


class Facts(Record):
    """What is known before anything is run. The default knows nothing."""

    scenarios: Mapping[str, Turns] = field(default_factory=dict)
    """Probes in a rollout of each scenario; empty where the scenarios are not known."""
    fields: Mapping[str, Interval] = field(default_factory=dict)
    """Fields of a row."""
    scales: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Rubric, as the graph names it, to its scale."""
    num_looped: int | None = None
    """Assistant turns for each probe; None where the dialogue is not known."""
    num_closing: int = 0
    """Assistant turns after the probes."""
    may_leave_out_turns: bool = False
    """Whether a turn may be absent, as in a `test`; in training none is."""
    max_rollouts: float = math.inf
    """Rollouts in a group, at most."""

    def get_field(self, name: str) -> Interval:
        """What a field of the row can be."""
        return self.fields.get(name, ANYTHING)

    def count_probes(self, scenario: Interval) -> Turns:
        """Probes in a rollout whose scenario is one of these."""
        if not self.scenarios:
            return Turns()
        names = scenario.values if scenario.values is not None else tuple(self.scenarios)
        known = [self.scenarios[name] for name in names if name in self.scenarios]
        if not known:
            return Turns(0, 0)
        return Turns(min(one.low for one in known), max(one.high for one in known))

    def count_turns(self, scenario: Interval) -> Interval:
        """Assistant turns of such a rollout."""
        if self.num_looped is None:
            return make_number(0, math.inf, is_whole=True)
        probes = self.count_probes(scenario)
        low = self.num_closing + self.num_looped * probes.low
        high = self.num_closing + (self.num_looped * probes.high if self.num_looped else 0)
        return make_number(0 if self.may_leave_out_turns else low, high, is_whole=True)


def build_facts(
    dialogue: CheckedDialogue, dataset: CheckedDataset, scales: Mapping[str, tuple[float, float]]
) -> Facts:
    """What a reward over this dialogue, whose rows are of this dataset, may rely on."""
    num_looped = sum(exchange.in_loop for exchange in dialogue.exchanges)
    most = (math.inf if dialogue.count is None else dialogue.count) if num_looped else 0
    return Facts(
        scenarios={name: count_probes(cut, most) for name, cut in dialogue.scenarios.items()},
        fields={
            path: describe_type(type_)
            for one in dataset.fields
            for path, type_ in one.type.walk_fields(one.name)
        },
        scales=scales,
        num_looped=num_looped,
        num_closing=len(dialogue.closing),
    )


def collect_facts(known: Mapping[Key, Any], reward: CheckedReward, names: Mapping[Key, str]) -> Facts:
    """What a reward of a program may rely on.

    Args:
        known: the checked declarations.
        reward: one of them.
        names: what its graph calls rubrics. Where two have one name, the scale is what both allow.
    """
    scales: dict[str, tuple[float, float]] = {}
    for key, declared in known.items():
        if isinstance(declared, CheckedRubric) and key in names:
            low, high = declared.scale
            other = scales.get(names[key], declared.scale)
            scales[names[key]] = min(low, other[0]), max(high, other[1])
    return build_facts(known[reward.dialogue], known[reward.dataset], scales)


def count_probes(cut: CheckedCut, most: float) -> Turns:
    """Probes of a scenario where `most` can be sampled; a question without a probe is not asked in training.

    A cut that depends on `k` or on a draw, or takes a number above 0, keeps at least one probe and leaves out one.
    """
    if most == 0:
        return Turns(0, 0)
    count = cut.count
    if cut.kind == "all" or count is None:
        return Turns(1, most)
    rest = max(most - 1, 0)
    if count.op == "const":
        wanted = count.params["value"]
        return Turns(0, 0) if wanted <= 0 else Turns(1, min(int(wanted), rest))
    return Turns(1 if _find_least(count) >= 1 else 0, rest)


def _find_least(count: Typed) -> float:
    """A number that the count of probes is never below, where two probes are at hand or more."""
    if count.op == "const":
        return float(count.params["value"])
    if count.op == "k":
        return 2
    if count.op == "sub" and count.args[1].op == "const":
        return _find_least(count.args[0]) - float(count.args[1].params["value"])
    return _find_least(count.args[0]) if count.params.get("fn") == "uniform" else 0


def describe_type(type_: Type) -> Interval:
    """The values of a type."""
    if type_.kind == "choice":
        return make_texts(type_.options)
    if type_.kind == "list":
        return make_list(describe_type(type_.element) if type_.element is not None else None)
    return _SCALARS.get(type_.kind, ANYTHING)


_SCALARS: Final[Mapping[str, Interval]] = {
    "text": ANY_TEXT,
    "number": ANY_NUMBER,
    "int": make_number(-math.inf, math.inf, is_whole=True),
    "bool": EITHER,
}
