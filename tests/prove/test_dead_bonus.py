"""`dead-bonus` is never said of a part that changes an advantage, whatever else stands in the reward and however large the group."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest

from exgrpo_compiler.prove.case import TrainCase
from exgrpo_compiler.prove.dead_bonus import prove_dead_bonus
from exgrpo_compiler.prove.model import FAILED, Kind
from exgrpo_compiler.prove.no_signal import prove_signal
from exgrpo_compiler.prove.summands import Part, compute_part, iterate_parts
from exgrpo_compiler.prove.training import build_training
from exgrpo_compiler.source import Span
from tests.support.compiling import GSM8K
from tests.support.training import find_cases, make_training

OUTCOME = "outcome = matches(d.final, item.gold)\n"
MEANS = (
    "p_full = mean(outcome where d.scenario == full)\np_part = mean(outcome where d.scenario == partial)\n"
)
BONUS = "(bonus if d.scenario == full and outcome == 1 else 0)"
PAPER = OUTCOME + MEANS + "bonus = 0.5 if p_full > p_part else 0\n"
SPARE = [
    'extra = contains(d.final, "x")\n',
    "spare = mean(d.tokens / 1tok)\n",
    'spare = contains(d.final, "x")\nother = contains(d.final, "y")\nthird = contains(d.final, "z")\n',
    "spare = judge.score(d.final, rubric: faithful, by: tutor)\n",
    "spare = matches(d.final, item.gold)\n",
]
SIZES = [(4, 4), (8, 8), (16, 16), (32, 32)]

ALIVE = [
    PAPER + f"total = outcome + {BONUS}\n",
    PAPER + f'total = outcome + {BONUS} + 0.1 * contains(d.final, "answer")\n',
    PAPER + f"total = outcome + {BONUS} - 0.1 * ramp(d.tokens, from: 100tok, to: 900tok)\n",
    OUTCOME + "total = outcome + (0.5 if d.tokens > 90000tok else 0)\n",
    OUTCOME + "total = outcome + (0.5 if d.scenario == full and mean(outcome) > 0.5 else 0) * outcome\n",
    OUTCOME + 'total = outcome + (0.5 * outcome if contains(d.final, "x") == 1 else 0)\n',
]
DEAD = [
    OUTCOME + "total = outcome + 0.5 * mean(outcome)\n",
    OUTCOME + "total = outcome + (0.5 if mean(outcome) > 0.5 else 0)\n",
    OUTCOME + "total = outcome * (1 + 0.5 * mean(outcome))\n",
    OUTCOME + "total = outcome + (0.5 * mean(outcome) if outcome == 1 else 0)\n",
    OUTCOME + 'total = outcome + 0.1 * contains(d.final, "x") + 0.5 * max(outcome)\n',
    OUTCOME + "total = outcome - 0.1 * ramp(d.tokens, from: 100tok, to: 900tok) + 0.5 * mean(outcome)\n",
    OUTCOME + "total = outcome + 0.3 * outcome * format(d.final)\n",
    PAPER + "total = outcome + bonus * outcome\n",
]


def set_group(full: int, partial: int, rest: str = ", baseline: scenario") -> str:
    return f"group: {{ full: {full}, partial: {partial} }}{rest}"


def find_dead(training: TrainCase) -> list[tuple[str, int]]:
    """What is said, and where in the total."""
    start = training.case.term_spans["total"].start
    return [(one.message, one.span.start - start) for one in prove_dead_bonus(training)]


@pytest.mark.parametrize("baseline", ["", ", baseline: scenario"])
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("terms", ALIVE)
def test_a_bonus_that_counts_somewhere_is_never_called_dead(
    terms: str, sizes: tuple[int, int], baseline: str
) -> None:
    assert find_dead(make_training(terms, set_group(*sizes, baseline))) == []


@pytest.mark.parametrize("baseline", ["", ", baseline: scenario"])
@pytest.mark.parametrize("terms", DEAD)
def test_a_dead_bonus_is_dead_in_groups_of_every_size(terms: str, baseline: str) -> None:
    found = [find_dead(make_training(terms, set_group(*sizes, baseline))) for sizes in SIZES]
    assert len(found[0]) == 1
    assert all(one == found[0] for one in found)


@pytest.mark.parametrize("scale", ["group", "none"])
@pytest.mark.parametrize("terms", ALIVE + DEAD)
def test_a_term_that_nothing_needs_changes_no_verdict(terms: str, scale: str) -> None:
    rest = f", baseline: scenario, scale: {scale}"
    alone = find_dead(make_training(terms, set_group(4, 4, rest)))
    for spare in SPARE:
        assert find_dead(make_training(spare + terms, set_group(4, 4, rest))) == alone
        head, total = terms.split("total")
        assert find_dead(make_training(f"{head}{spare}total{total}", set_group(4, 4, rest))) == alone


@pytest.mark.parametrize("terms", ALIVE + DEAD)
def test_names_of_terms_change_no_verdict(terms: str) -> None:
    plain = find_dead(make_training(terms, set_group(4, 4)))
    for names in ({"outcome": "zz", "p_full": "aa", "bonus": "m"}, {"outcome": "a", "p_full": "zz"}):
        renamed = terms
        for old, new in names.items():
            renamed = renamed.replace(old, new)
        assert len(find_dead(make_training(renamed, set_group(4, 4)))) == len(plain)


@pytest.mark.parametrize("scale", ["group", "none"])
def test_a_constant_is_dead_under_every_scale_and_a_multiple_only_where_the_deviation_divides(
    scale: str,
) -> None:
    rest = f", scale: {scale}"
    constant = make_training(
        OUTCOME + "bonus = 0.5 if mean(outcome) > 0.5 else 0\ntotal = outcome + bonus",
        "group: { full: 8 }" + rest,
    )
    (found,) = prove_dead_bonus(constant)
    assert "scale: none" not in (found.hint or "")
    multiple = make_training(
        OUTCOME + "total = outcome + (0.5 if outcome == 1 else 0)", "group: { full: 8 }" + rest
    )
    assert ["scale: none" in (one.hint or "") for one in prove_dead_bonus(multiple)] == [True] * (
        scale == "group"
    )


# --- rewards at random --------------------------------------------------------------------------------------

NUM_REWARDS, NUM_PATTERNS = 300, int(os.environ.get("EXGRPO_PATTERNS", "100"))
CONDITIONS = (
    "outcome == 1",
    "outcome == 0",
    "d.scenario == full",
    "d.scenario == full and outcome == 1",
    "mean(outcome) > 0.5",
    "p_full > p_part",
    "form == 1",
    "max(form) == 1",
)


def write_reward(rng: random.Random) -> str:
    """A reward of weights, conditions and means, of which several have a dead part."""

    def weigh() -> str:
        return rng.choice(["-1", "-0.5", "0", "0.25", "0.5", "1"])

    def write_part() -> str:
        condition = rng.choice(CONDITIONS)
        return rng.choice(
            [
                f"{weigh()} * outcome",
                f"({weigh()} if {condition} else {weigh()})",
                f"({weigh()} * outcome if {condition} else 0)",
                f"{weigh()} * outcome * mean(outcome)",
                f"{weigh()} * form",
                f"{weigh()} * mean(form)",
                f"clip(outcome + {weigh()} * form, 0, 1)",
            ]
        )

    total = " + ".join(["outcome", *(write_part() for _ in range(rng.randint(1, 3)))])
    return f'{OUTCOME}form = contains(d.final, "#")\n{MEANS}total = {total}\n'


def draw_groups(
    training: TrainCase, rng: random.Random, number: int
) -> Iterator[tuple[list[Kind], list[int]]]:
    """Groups of the stage's own size, with outcomes at rates that differ from group to group."""
    keyed = build_training(training).value
    atoms = keyed.model.anatomy.atoms
    assert all(atom.is_finite for atom in atoms)
    for _ in range(number):
        rates = {
            (name, atom.id): rng.choice([0, 0.1, 0.5, 0.9, 1])
            for name in keyed.sampling.counts
            for atom in atoms
        }
        counts: dict[tuple[str, tuple[float, ...]], int] = {}
        for name, size in keyed.sampling.counts.items():
            for _ in range(size):
                values = tuple(float(rng.random() < rates[name, atom.id]) for atom in atoms)
                counts[name, values] = counts.get((name, values), 0) + 1
        kinds = [
            Kind(name, dict(zip((atom.id for atom in atoms), values, strict=True)), 1)
            for name, values in counts
        ]
        yield kinds, list(counts.values())


def normalise(rows: list[tuple[str, float]], by_scenario: bool) -> list[float]:
    """Totals less their mean, over the root of the mean square; by hand, apart from what is tested."""
    keys = [scenario if by_scenario else "" for scenario, _ in rows]
    means = {
        key: sum(value for one, (_, value) in zip(keys, rows, strict=True) if one == key) / keys.count(key)
        for key in keys
    }
    centred = [value - means[key] for key, (_, value) in zip(keys, rows, strict=True)]
    size = (sum(value**2 for value in centred) / len(centred)) ** 0.5
    return [value / size if size > 1e-9 else 0.0 for value in centred]


def find_part(training: TrainCase, span: Span) -> Part:
    """The part of the total that is written there."""
    nodes = {node.id: node for node in training.case.graph.nodes}
    return next(
        part
        for parts in iterate_parts(Part("total"), nodes)
        for part in parts
        if training.case.spans[part.node] == span
    )


def test_no_random_group_contradicts_what_is_said_of_random_rewards() -> None:
    rng = random.Random(11)
    confirmed = 0
    for _ in range(NUM_REWARDS):
        by_scenario = rng.random() < 0.5
        group = rng.choice(
            [
                "{ full: 8 }, compare: { partial: 4 }",
                "{ full: 4, partial: 4 }",
                "{ full: 16, partial: 16 }",
                "{ full: 7, partial: 1 }",
            ]
        )
        training = make_training(write_reward(rng), f"group: {group}" + ", baseline: scenario" * by_scenario)
        found = [one for one in prove_dead_bonus(training) if "changes no advantage" in one.message]
        if not found:
            continue
        parts = [find_part(training, one.span) for one in found]
        keyed = build_training(training).value
        for kinds, counts in draw_groups(training, rng, NUM_PATTERNS):
            bound = keyed.model.bind(kinds, {})
            columns = bound.score(counts)
            totals = bound.spread(columns["total"])
            gone = [compute_part(part, columns, bound) for part in parts]
            whole: list[tuple[str, float]] = []
            without: list[tuple[str, float]] = []
            for at, (kind, count) in enumerate(zip(kinds, counts, strict=True)):
                if kind.scenario not in keyed.sampling.group:
                    continue
                if totals[at] is FAILED or totals[at] is None:
                    continue
                taken = sum(column[at] or 0.0 for column in gone)
                whole += [(kind.scenario, float(totals[at]))] * count
                without += [(kind.scenario, float(totals[at]) - taken)] * count
            assert normalise(whole, by_scenario) == pytest.approx(normalise(without, by_scenario), abs=1e-6)
        confirmed += 1
    assert confirmed >= 20


def test_a_scenario_that_leaves_out_the_only_probe_is_told() -> None:
    drawn = GSM8K.replace("sample(probes, 5)", "sample(probes, 1)")
    assert drawn != GSM8K
    for text, names in ((GSM8K, []), (drawn, ["partial"])):
        (training,) = find_cases(text).trainings
        told = [one.message for one in prove_signal(training) if "No rollout is of" in one.message]
        assert len(told) == len(names)
        assert all(f"`{name}`" in one for name, one in zip(names, told, strict=True))
