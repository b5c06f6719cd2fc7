"""Which rollouts a stage can sample, as far as its reward can see: kinds of rollouts, and groups made of them.

Sizes are bounded, so that a proof never takes long: where a group has more patterns than `MAX_PATTERNS`, an even choice of
them is looked at, always the same one.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from exgrpo_artifact.named import NamedTuple
from exgrpo_artifact.record import Record
from exgrpo_compiler.ir import CheckedDialogue, Typed
from exgrpo_compiler.prove.atoms import Anatomy, Atom, find_implied
from exgrpo_compiler.prove.model import FAILED, Kind, RewardModel
from exgrpo_compiler.prove.table import Table, list_steps

MAX_PATTERNS = 256
MANY_PROBES = 3
"""Probes of a dialogue that takes all there are."""


class Sampling(Record):
    """What a stage samples: so many rollouts of each scenario, and which of them it trains."""

    group: Mapping[str, int]
    compare: Mapping[str, int]
    turns: Mapping[str, tuple[int, ...]]
    """Probes before the question, fewest and most, by scenario."""
    closing: int
    """Assistant turns after the probes."""
    looped: int
    """Assistant turns for each probe."""

    @property
    def counts(self) -> dict[str, int]:
        """Rollouts by scenario, the trained ones first."""
        return {**self.group, **self.compare}

    def identify(self) -> Any:
        """The same for samplings that are equal."""
        turns = tuple(self.turns.items())
        return (tuple(self.group.items()), tuple(self.compare.items()), turns, self.closing, self.looped)


def describe_sampling(
    dialogue: CheckedDialogue, group: Mapping[str, int], compare: Mapping[str, int]
) -> Sampling:
    """What is sampled of a dialogue."""
    looped = sum(exchange.in_loop for exchange in dialogue.exchanges)
    most = (dialogue.count or MANY_PROBES) if looped else 0
    turns = {name: _count_turns(dialogue, name, most) for name in {**group, **compare}}
    return Sampling(dict(group), dict(compare), turns, len(dialogue.closing), looped)


def _count_turns(dialogue: CheckedDialogue, scenario: str, most: int) -> tuple[int, ...]:
    cut = dialogue.scenarios[scenario]
    if cut.kind == "all" or cut.count is None or most == 0:
        return (most,)
    low, high = _bound_count(cut.count, most)
    # A cut leaves at least the last probe out.
    high = max(0, min(high, most - 1))
    low = max(0, min(low, high))
    return (low,) if low == high else (low, high)


def _bound_count(tree: Typed, k: int) -> tuple[int, int]:
    """Least and greatest value of a cut's count."""
    if tree.op == "const":
        return int(tree.params["value"]), int(tree.params["value"])
    if tree.op == "k":
        return k, k
    ends = [_bound_count(arg, k) for arg in tree.args]
    if tree.params.get("fn") == "uniform":
        return ends[0][0], max(ends[0][0], ends[1][1])
    if tree.op == "add":
        return ends[0][0] + ends[1][0], ends[0][1] + ends[1][1]
    if tree.op == "sub":
        return ends[0][0] - ends[1][1], ends[0][1] - ends[1][0]
    return 0, k


# --- kinds ------------------------------------------------------------------------------------------------


def list_values(atom: Atom, scenario: str, sampling: Sampling) -> tuple[float, ...]:
    """Values of an atom in rollouts of a scenario."""
    if atom.node.op == "num_turns":
        return tuple(float(n * sampling.looped + sampling.closing) for n in sampling.turns[scenario])
    return atom.values


class Outcome(Record):
    """When an answer is right, in terms of atoms: those of the term that an evaluation scores by."""

    term: str
    right: tuple[Mapping[str, float], ...]
    """Values of the atoms below the term at which it is at its maximum."""
    wrong: tuple[Mapping[str, float], ...]
    """Those at which it is at its minimum."""
    implied: frozenset[str]
    """Atoms that are 1 wherever an answer is right."""


def find_outcome(anatomy: Anatomy, term: str | None) -> Outcome | None:
    """What right and wrong mean; None where it cannot be told: no such term, or one that does not vary by itself."""
    if term is None:
        return None
    step = list_steps(anatomy).get(term)
    key = ("outcome", term, step and step.pick and step.pick(anatomy.texts))
    found: Outcome | None = anatomy.shape.keep(key, lambda: _find_ends(anatomy, term))
    return found


def _find_ends(anatomy: Anatomy, term: str) -> Outcome | None:
    atoms = [atom for atom in anatomy.atoms if atom.id in anatomy.below.get(term, frozenset())]
    own = [atom for atom in atoms if atom.level == "rollout"]
    if not own or len(own) < len(atoms) or len(own) > 4:
        return None
    settings = [
        dict(zip((atom.id for atom in own), row, strict=True))
        for row in itertools.product(*(a.values for a in own))
    ]
    others = {atom.id: atom.values[0] for atom in anatomy.atoms}
    kinds = [Kind("", {**others, **setting}) for setting in settings]
    bound = RewardModel(anatomy).bind(kinds, others)
    values = bound.spread(bound.score([1] * len(kinds))[term])
    known = [value for value in values if isinstance(value, int | float)]
    if len(known) < len(values) or min(known) == max(known):
        return None
    best, worst = max(known), min(known)
    right = tuple(setting for setting, value in zip(settings, values, strict=True) if value == best)
    wrong = tuple(setting for setting, value in zip(settings, values, strict=True) if value == worst)
    surely = frozenset(atom.id for atom in own if all(setting[atom.id] == 1 for setting in right))
    return Outcome(term, right, wrong, find_implied(anatomy, surely) - frozenset(a.id for a in own))


def list_settings(anatomy: Anatomy, outcome: Outcome, sampling: Sampling) -> list[dict[str, float]]:
    """Values of all atoms but the outcome's, held equal across a group: all high, all low, all in the middle."""
    free = [atom for atom in anatomy.atoms if atom.id not in outcome.right[0]]
    settings: list[dict[str, float]] = []
    for place in (-1, 0, None):
        setting = {
            atom.id: 1.0
            if atom.id in outcome.implied
            else atom.values[len(atom.values) // 2 if place is None else place]
            for atom in free
        }
        if setting not in settings:
            settings.append(setting)
    return settings


# --- groups -----------------------------------------------------------------------------------------------


class Split(Record):
    """How many of each scenario's rollouts are right."""

    right: Mapping[str, int]
    sizes: Mapping[str, int]
    number: int
    """Ways to choose them."""


def list_splits(sizes: Mapping[str, int]) -> list[Split]:
    """Every number of right rollouts by scenario, or an even choice of them where there are very many."""
    choices = [_thin(size, sizes) for size in sizes.values()]
    return [
        Split(
            dict(zip(sizes, row, strict=True)),
            sizes,
            math.prod(math.comb(size, right) for size, right in zip(sizes.values(), row, strict=True)),
        )
        for row in itertools.product(*choices)
    ]


def _thin(size: int, sizes: Mapping[str, int]) -> list[int]:
    allowed = max(3, int(MAX_PATTERNS ** (1 / max(1, len(sizes)))))
    if size + 1 <= allowed:
        return list(range(size + 1))
    return sorted({0, 1, size - 1, size, *(round(at * size / (allowed - 3)) for at in range(allowed - 3))})


class Pair:
    """The two kinds of each scenario that an outcome tells apart, under one setting of all else, in all splits."""

    def __init__(self, table: Table, splits: Sequence[Split], sampling: Sampling) -> None:
        self.table = table
        self.splits = splits
        self._scenarios = [scenario for scenario in sampling.counts for _ in range(2)]
        self.trained = [self._list_trained(number, sampling) for number in range(len(splits))]
        """For each split the rows of its trained kinds; the right ones of a scenario at even places."""

    def _list_trained(self, number: int, sampling: Sampling) -> list[Trained]:
        start, counts = number * len(self._scenarios), self.table.groups[number]
        return [
            Trained(start + at, counts[at], scenario, at % 2 == 0)
            for at, scenario in enumerate(self._scenarios)
            if counts[at] and scenario in sampling.group
        ]

    def score(self, anatomy: Anatomy) -> list[float | None]:
        """Totals of the kinds, split after split; None is a rollout without a total."""
        totals = self.table.spread(anatomy.graph.result, anatomy)
        return [None if total is None or total is FAILED else float(total) for total in totals]


class Trained(NamedTuple):
    """Rollouts of one kind in a group: the kind's row in the table, their number, and what they are."""

    row: int
    number: int
    scenario: str
    is_right: bool


def list_pairs(model: RewardModel, outcome: Outcome, sampling: Sampling) -> list[Pair]:
    """Right and wrong rollouts of each scenario, under each setting of the other atoms."""
    right, wrong = (tuple(side[0].items()) for side in (outcome.right, outcome.wrong))
    key = ("pairs", sampling.identify(), right, wrong, outcome.implied)
    found: list[Pair] = model.anatomy.shape.keep(
        key, lambda: list(_iterate_pairs(model.anatomy, outcome, sampling))
    )
    return found


def _iterate_pairs(anatomy: Anatomy, outcome: Outcome, sampling: Sampling) -> Iterator[Pair]:
    splits = list_splits(sampling.counts)
    groups = [
        [
            count
            for name, size in sampling.counts.items()
            for count in (split.right[name], size - split.right[name])
        ]
        for split in splits
    ]
    for setting in list_settings(anatomy, outcome, sampling):
        kinds = [
            _make_kind(anatomy, scenario, {**setting, **side[0]}, sampling)
            for scenario in sampling.counts
            for side in (outcome.right, outcome.wrong)
        ]
        yield Pair(Table(anatomy, kinds, setting, groups), splits, sampling)


def _make_kind(anatomy: Anatomy, scenario: str, values: Mapping[str, float], sampling: Sampling) -> Kind:
    own = dict(values)
    for atom in anatomy.atoms:
        if atom.node.op == "num_turns":
            own[atom.id] = list_values(atom, scenario, sampling)[0]
    return Kind(scenario, own, sampling.turns[scenario][0])


def list_kinds(anatomy: Anatomy, sampling: Sampling, limit: int) -> list[Kind]:
    """Kinds of rollouts by scenario, all of them where each scenario has at most `limit`, else an even choice."""
    own = [atom for atom in anatomy.atoms if atom.level != "const"]
    ids = [atom.id for atom in own]
    pairs = [
        (ids.index(outcome.id), ids.index(implied))
        for outcome in own
        for implied in find_implied(anatomy, frozenset({outcome.id}))
    ]
    counts_turns = any(node.op == "aggregate" and node.params["fn"] == "count" for node in anatomy.arithmetic)
    kinds: list[Kind] = []
    for scenario in sampling.counts:
        turns = sampling.turns[scenario]
        if not counts_turns and turns[0] > 0:
            turns = turns[:1]
        rows = [
            row
            for row in _iterate_rows([list_values(atom, scenario, sampling) for atom in own], limit)
            if all(row[outcome] <= row[implied] for outcome, implied in pairs)
        ]
        kinds += [Kind(scenario, dict(zip(ids, row, strict=True)), count) for count in turns for row in rows]
    return kinds


def _iterate_rows(domains: Sequence[Sequence[float]], limit: int) -> Iterator[tuple[float, ...]]:
    number = 1
    for domain in domains:
        number *= len(domain)
    if number <= limit:
        yield from itertools.product(*domains)
        return
    # A stride without a common factor with any domain visits all values of each, in ever new company.
    state = 0
    for _ in range(limit):
        state = (state + 7919) % number
        at, row = state, []
        for domain in domains:
            at, place = divmod(at, len(domain))
            row.append(domain[place])
        yield tuple(row)
