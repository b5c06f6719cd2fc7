"""Proofs about training against what they claim: the evaluator and the training formula, pattern by pattern."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exgrpo_compiler.prove.advantages import compute_advantages
from exgrpo_compiler.prove.case import TrainCase
from exgrpo_compiler.prove.dead_bonus import prove_dead_bonus
from exgrpo_compiler.prove.groups import list_rows
from exgrpo_compiler.prove.model import FAILED
from exgrpo_compiler.prove.no_signal import describe_signal, measure_signal, prove_signal
from exgrpo_compiler.prove.right_punished import prove_right_punished
from exgrpo_compiler.prove.summands import Part, compute_part, iterate_parts
from exgrpo_compiler.prove.training import build_training
from exgrpo_compiler.prove.worlds import find_outcome, list_kinds
from exgrpo_compiler.prove.wrong_beats_right import prove_wrong_beats_right
from exgrpo_runtime.advantages import compute_advantages as compute_in_training
from tests.support.training import GOLD, TEXTS, iterate_patterns, make_training, score_texts

OUTCOME = "outcome = matches(d.final, item.gold)\n"
PAPER = (
    OUTCOME
    + """p_full = mean(outcome where d.scenario == full)
p_part = mean(outcome where d.scenario == partial)
bonus  = 0.5 if p_full > p_part else 0
total  = outcome + (bonus if d.scenario == full and outcome == 1 else 0)"""
)
MIXED, FULL, COMPARED = (
    "group: { full: 4, partial: 4 }",
    "group: { full: 8 }",
    "group: { full: 8 }, compare: { partial: 4 }",
)
BASELINE = f"{MIXED}, baseline: scenario"

BONUSES = [
    (PAPER, COMPARED, True),
    (PAPER, MIXED, False),
    (PAPER, BASELINE, False),
    (PAPER, "group: { full: 7, partial: 1 }", True),
    (PAPER.replace("p_full > p_part", "p_full > 0.5 * p_part"), "group: { full: 7, partial: 1 }", False),
    (PAPER.replace("d.scenario == full and outcome == 1", "outcome == 1"), MIXED, True),
    (PAPER.replace("bonus if d.scenario == full and outcome == 1 else 0", "bonus"), MIXED, True),
    (PAPER.replace("bonus if d.scenario == full and outcome == 1 else 0", "bonus * outcome"), BASELINE, True),
    (OUTCOME + "total = outcome + 0.5 * mean(outcome)", MIXED, True),
    (OUTCOME + "total = outcome + (0.5 if outcome == 1 else 0)", FULL, True),
    (OUTCOME + "total = outcome + (0.2 if outcome == 0 else 0)", FULL, True),
    (OUTCOME + "total = outcome + 0.3 * format(d.final)", FULL, False),
    (OUTCOME + "total = outcome + 0.3 * outcome * format(d.final)", FULL, True),
    (OUTCOME + "total = outcome * (1 + 0.5 * mean(outcome))", FULL, True),
    (OUTCOME + "total = outcome * (1 + (0.5 if d.scenario == full else 0))", MIXED, False),
    (OUTCOME + "total = outcome + (0.5 if d.scenario == full else 0)", MIXED, False),
    (OUTCOME + "total = outcome + (0.5 if d.scenario == full else 0)", BASELINE, True),
    (OUTCOME + "total = outcome + (0.5 if d.scenario == full else 0)", FULL, True),
    (OUTCOME + "total = outcome + (0.5 if d.tokens > 90000tok else 0)", FULL, False),
    (OUTCOME + "total = outcome - 0.2 * ramp(d.tokens, from: 10tok, to: 500tok)", FULL, False),
    (OUTCOME + "total = outcome + 0.1 * judge.score(d.final, rubric: faithful, by: tutor)", FULL, False),
    (OUTCOME + "total = outcome / 2 + outcome / 4", FULL, True),
    (OUTCOME + "total = 2 * outcome - 1", FULL, False),
    (OUTCOME + "total = outcome + 0.5 * max(outcome)", COMPARED, True),
    (OUTCOME + 'total = outcome + 0.2 * contains(d.final, "therefore")', MIXED, False),
    (OUTCOME + "total = outcome + (0.4 if bernoulli(0.5) == 1 else 0)", FULL, False),
]


def list_random_groups(training: TrainCase, number: int = 40) -> list[tuple[list[int], object]]:
    """Random groups of every kind of rollouts, with the reward bound to a random row."""
    keyed = build_training(training).value
    rng = random.Random(7)
    kinds = list_kinds(keyed.model.anatomy, keyed.sampling, 24)
    groups: list[tuple[list[int], object]] = []
    for _ in range(number):
        bound = keyed.model.bind(kinds, rng.choice(list_rows(keyed.model.anatomy)))
        counts = [0] * len(kinds)
        for scenario, size in keyed.sampling.counts.items():
            own = [at for at, kind in enumerate(kinds) if kind.scenario == scenario]
            chosen = rng.sample(own, min(len(own), rng.randint(1, 4)))
            for _ in range(size):
                counts[rng.choice(chosen)] += 1
        groups.append((counts, bound))
    return groups


def measure_change(training: TrainCase, part: Part) -> float:
    """The most that taking the part out changes an advantage, by the training formula without its epsilon."""
    keyed = build_training(training).value
    most = 0.0
    for counts, bound in list_random_groups(training):
        columns = bound.score(counts)  # type: ignore[attr-defined]
        totals = bound.spread(columns["total"])  # type: ignore[attr-defined]
        values = compute_part(part, columns, bound)  # type: ignore[arg-type]
        rollouts = [
            (kind.scenario, totals[at], values[at])
            for at, kind in enumerate(bound.kinds)  # type: ignore[attr-defined]
            for _ in range(counts[at])
            if kind.scenario in keyed.sampling.group
        ]
        assert all(total is not FAILED and value is not None for _, total, value in rollouts)
        scenarios = [[scenario for scenario, _, _ in rollouts]]
        with_part, without = (
            compute_in_training([row], scenarios, keyed.baseline, "group", 0.0)[0]  # type: ignore[arg-type]
            if len({round(value, 12) for value in row}) > 1 and _has_spread(row, scenarios[0], keyed.baseline)
            else [0.0] * len(row)
            for row in ([total for _, total, _ in rollouts], [total - value for _, total, value in rollouts])
        )
        most = max(most, *(abs(a - b) for a, b in zip(with_part, without, strict=True)))
    return most


def _has_spread(totals: Sequence[float], scenarios: Sequence[str], baseline: str) -> bool:
    """Whether there is a deviation to divide by, beyond rounding."""
    keys = scenarios if baseline == "scenario" else [""] * len(totals)
    return any(
        abs(a - b) > 1e-9
        for (key, a), (other, b) in itertools.combinations(zip(keys, totals, strict=True), 2)
        if key == other
    )


@pytest.mark.parametrize(("terms", "settings_", "is_dead"), BONUSES)
def test_a_bonus_is_called_dead_where_it_changes_no_advantage_and_nowhere_else(
    terms: str, settings_: str, is_dead: bool
) -> None:
    training = make_training(terms, settings_)
    found = list(prove_dead_bonus(training))
    assert [one.id for one in found] == ["dead-bonus"] * is_dead
    nodes = {node.id: node for node in training.case.graph.nodes}
    parts = next(iterate_parts(Part("total"), nodes))
    for sums in iterate_parts(Part("total"), nodes):
        parts = sums
        reported = [part for part in sums if any(training.case.spans[part.node] == one.span for one in found)]
        if reported or not is_dead:
            break
    for part in parts:
        is_reported = any(training.case.spans[part.node] == one.span for one in found)
        if is_reported:
            assert measure_change(training, part) < 1e-9
        elif not is_dead and nodes[part.node].op != "const" and "90000" not in terms:
            assert measure_change(training, part) > 1e-3 or _is_the_rest(training, part, parts, nodes)


def _is_the_rest(training: TrainCase, part: Part, parts: Sequence[Part], nodes: object) -> bool:
    """A part beside a literal only: without it nothing is left to compare."""
    others = [one for one in parts if one != part]
    return all(nodes[one.node].op == "const" for one in others)  # type: ignore[index]


@given(st.data())
@settings(max_examples=60)
def test_the_closed_form_is_the_training_formula(data: st.DataObject) -> None:
    scenarios = data.draw(st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=5))
    counts = data.draw(st.lists(st.integers(0, 4), min_size=len(scenarios), max_size=len(scenarios)))
    totals = data.draw(
        st.lists(st.sampled_from([0.0, 0.5, 1.0, 1.5]), min_size=len(scenarios), max_size=len(scenarios))
    )
    baseline = data.draw(st.sampled_from(["group", "scenario"]))
    scale = data.draw(st.sampled_from(["group", "none"]))
    rollouts = [(s, t) for s, t, n in zip(scenarios, totals, counts, strict=True) for _ in range(n)]
    if not rollouts:
        return
    closed = compute_advantages(totals, counts, scenarios, baseline, scale)
    spread = [value for value, count in zip(closed, counts, strict=True) for _ in range(count)]
    (trained,) = compute_in_training(
        [[t for _, t in rollouts]], [[s for s, _ in rollouts]], baseline, scale, 1e-15
    )
    assert spread == pytest.approx(trained, abs=1e-6)


# --- rewards at random --------------------------------------------------------------------------------------

WEIGHTS = st.sampled_from([-0.5, 0, 0.2, 0.5, 1, 1.5])
CONDITIONS = st.sampled_from(
    [
        "outcome == 1",
        "d.scenario == full",
        "mean(outcome) > 0.5",
        "form == 1",
        "p_full > p_part",
        "outcome == 0",
    ]
)


@st.composite
def write_rewards(draw: st.DrawFn) -> str:
    """Terms of a discrete reward: weights, conditions and means of the group."""
    parts = [
        f"{draw(WEIGHTS)} * outcome",
        f"({draw(WEIGHTS)} if {draw(CONDITIONS)} else {draw(WEIGHTS)})",
        f"{draw(WEIGHTS)} * (form if {draw(CONDITIONS)} else mean(outcome))",
    ]
    total = " + ".join(parts[: draw(st.integers(1, 3))])
    if draw(st.booleans()):
        total = f"clip({total}, 0, {draw(st.sampled_from([1, 2]))})"
    return (
        OUTCOME
        + 'form = contains(d.final, "#")\n'
        + "p_full = mean(outcome where d.scenario == full)\n"
        + "p_part = mean(outcome where d.scenario == partial)\n"
        + f"total = {total}"
    )


SMALL = "group: { full: 2, partial: 2 }"


@given(write_rewards(), st.sampled_from(["", ", baseline: scenario"]))
@settings(max_examples=60, deadline=None)
def test_right_rollouts_are_punished_where_some_pattern_punishes_one(terms: str, baseline: str) -> None:
    training = make_training(terms, SMALL + baseline, score="outcome")
    name = "scenario" if baseline else "group"
    is_punished = False
    for suffix in ("", " #"):
        for pattern in iterate_patterns({"full": 2, "partial": 2}):
            scores = score_texts(training, [(scenario, TEXTS[right] + suffix) for scenario, right in pattern])
            (advantages,) = compute_in_training([scores.totals], [[s for s, _ in pattern]], name, "none")  # type: ignore[arg-type]
            is_punished |= any(right and a < -1e-9 for (_, right), a in zip(pattern, advantages, strict=True))
    assert bool(list(prove_right_punished(training))) == is_punished


@given(write_rewards())
@settings(max_examples=40, deadline=None)
def test_wrong_beats_right_where_some_wrong_rollout_earns_what_some_right_one_does(terms: str) -> None:
    training = make_training(terms, SMALL, score="outcome")
    texts = [(right, TEXTS[right] + suffix) for right in (True, False) for suffix in ("", " #")]
    pairs = list(itertools.combinations_with_replacement(texts, 2))
    earned: dict[bool, list[float]] = {True: [], False: []}
    for full, partial in itertools.product(pairs, pairs):
        group = [("full", *one) for one in full] + [("partial", *one) for one in partial]
        scores = score_texts(training, [(scenario, text) for scenario, _, text in group])
        for (_, right, _), total in zip(group, scores.totals, strict=True):
            assert total is not None
            earned[right].append(total)
    found = list(prove_wrong_beats_right(training))
    is_silent = max(earned[True] + earned[False]) == min(earned[True] + earned[False])
    reaches = max(earned[False]) >= min(earned[True])
    if list(prove_signal(training)):
        return  # said already, as no-signal
    assert is_silent or bool(found) == reaches
    if found:
        is_certain = min(earned[False]) >= max(earned[True])
        assert found[0].severity == ("error" if is_certain else "warning")


@given(
    write_rewards(),
    st.lists(
        st.tuples(st.sampled_from(["full", "partial", "plain"]), st.booleans(), st.booleans()),
        min_size=1,
        max_size=6,
    ),
)
@settings(max_examples=60, deadline=None)
def test_the_arithmetic_of_a_reward_is_the_evaluator(terms: str, group: list[tuple[str, bool, bool]]) -> None:
    training = make_training(terms, SMALL)
    keyed = build_training(training).value
    kinds = list_kinds(keyed.model.anatomy, keyed.sampling, 64)
    texts = [(scenario, TEXTS[right] + (" #" if form else "")) for scenario, right, form in group]
    scores = score_texts(training, texts)
    outcome = find_outcome(keyed.model.anatomy, "outcome")
    assert outcome is not None
    names = {atom.node.params["fn"]: atom.id for atom in keyed.model.anatomy.atoms}
    from exgrpo_compiler.prove.model import Kind

    own = [
        Kind(
            scenario,
            {
                names[fn]: float(value)
                for fn, value in (("matches", right), ("contains", form))
                if fn in names
            },
            0 if scenario == "plain" else 1,
        )
        for scenario, right, form in group
    ]
    assert kinds
    columns = keyed.model.bind(own, {}).score([1] * len(own))
    bound = keyed.model.bind(own, {})
    modelled = [None if t is None or t is FAILED else float(t) for t in bound.spread(columns["total"])]
    assert modelled == [None if t is None else pytest.approx(t) for t in scores.totals]


# --- signal -------------------------------------------------------------------------------------------------


def test_two_totals_and_eight_rollouts_carry_signal_from_8_3_to_91_7_percent() -> None:
    training = make_training(OUTCOME + "total = outcome", FULL)
    found = measure_signal(training)
    assert found is not None
    assert (round(100 * found.low, 1), round(100 * found.high, 1)) == (8.3, 91.7)
    assert "8.3 to 91.7%" in (describe_signal(training) or "")


@pytest.mark.parametrize(
    ("settings_", "sizes", "baseline"),
    [(MIXED, {"full": 4, "partial": 4}, "group"), (BASELINE, {"full": 4, "partial": 4}, "scenario")],
)
def test_half_of_the_groups_carry_signal_at_the_ends_of_the_range(
    settings_: str, sizes: dict[str, int], baseline: str
) -> None:
    training = make_training(PAPER, settings_)
    found = measure_signal(training)
    assert found is not None
    for p in found:
        share = 0.0
        for pattern in itertools.product([True, False], repeat=8):
            scenarios = [name for name, size in sizes.items() for _ in range(size)]
            scores = score_texts(
                training, [(s, TEXTS[right]) for s, right in zip(scenarios, pattern, strict=True)]
            )
            (advantages,) = compute_in_training([scores.totals], [scenarios], baseline, "none")  # type: ignore[arg-type]
            if any(abs(a) > 1e-9 for a in advantages):
                share += p ** sum(pattern) * (1 - p) ** (8 - sum(pattern))
        assert share == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize(
    ("total", "has_signal"),
    [
        ("outcome", True),
        ("mean(outcome)", False),
        ("outcome - outcome", False),
        ("outcome if item.gold > 100000 else 0", True),
        ("1 if d.tokens > 100000tok else 0", True),
        ("1 if d.scenario == full else 0", True),
        ("max(outcome) + count(d.turns)", False),
        ("mean(0.01 * d.turns)", False),
        ("1 if bernoulli(0.5) == 1 else 0", True),
        ("1 if bernoulli(1) == 1 else 0", False),
    ],
)
def test_a_total_that_is_the_same_for_the_whole_group_is_an_error(total: str, has_signal: bool) -> None:
    found = list(prove_signal(make_training(OUTCOME + f"total = {total}", MIXED)))
    assert [(one.id, one.severity) for one in found] == ([] if has_signal else [("no-signal", "error")])


def test_more_rollouts_reach_further() -> None:
    ends = []
    for size in (2, 4, 8, 16):
        found = measure_signal(make_training(OUTCOME + "total = outcome", f"group: {{ full: {size} }}"))
        ends.append(found)
    assert ends[0] is None  # two rollouts differ in at most half of the groups
    lows = [one.low for one in ends[1:] if one is not None]
    assert lows == sorted(lows, reverse=True)
    assert len(lows) == 3


def test_the_gold_answer_of_these_tests_is_right() -> None:
    assert str(GOLD) in TEXTS[True]
    assert str(GOLD) not in TEXTS[False]
