"""Variance of what the bonus compares, for `branch(full, after: 1)` beside the independent partial dialogue of the paper.

    python benchmarks/branches.py [--groups 1500]

A toy student of two layers is taught dialogues whose answer depends on chance in the turns before it: two probes, each answered
`good` or `bad` with one half, then the question. A group has four full and four partial dialogues, and its estimate is
P_full - P_partial. What chance puts into the first turn is shared by a branch and its full rollout, and cancels. "expected" is
worked out from the probabilities that are taught: 1 - Cov(E[full | turn 1], E[partial | turn 1]) / mean variance.
"""

from __future__ import annotations

import argparse
import random
import statistics
from collections.abc import Sequence
from typing import NamedTuple

import torch

from exgrpo_artifact.manifest import GrpoStage, Model, Optimizer, Scratch
from exgrpo_runtime.plans import Plan, PlannedTurn, encode_plan, encode_prompt, make_seed
from exgrpo_runtime.rollout_plans import PlannedMember, PlannedRollout
from exgrpo_runtime.rollouts import SampledRollout, sample_groups
from exgrpo_runtime.student import Student, create_student
from exgrpo_runtime.training import Example, collate_examples

SIZE = 4
"""Full rollouts of a group, and partial ones."""
STEPS, BATCH = 500, 64


class Luck(NamedTuple):
    """How the answer depends on the turns before it."""

    name: str
    base: float
    first: float
    """Added where the first turn is `good`."""
    second: float
    """Added where the second turn is there and `good`."""


LUCKS = (
    Luck("none", 0.5, 0.0, 0.0),
    Luck("little", 0.3, 0.4, 0.0),
    Luck("both turns", 0.05, 0.45, 0.45),
    Luck("all", 0.02, 0.96, 0.0),
)


def expect_ratio(luck: Luck) -> float:
    """Variance of the paired estimate over that of the independent one."""
    full = luck.base + (luck.first + luck.second) / 2
    partial = luck.base + luck.first / 2
    variance = (full * (1 - full) + partial * (1 - partial)) / 2
    return 1 - (luck.first / 2) ** 2 / variance


def plan_turns(luck: Luck, num_probes: int, rng: random.Random | None = None) -> Plan:
    """The dialogue; with the taught words where there is a generator to draw them."""
    thoughts = [rng.choice(("good", "bad")) if rng else None for _ in range(num_probes)]
    turns = [
        PlannedTurn("explain", f"Case {luck.name}. Step {i}?", thought, None, True)
        for i, thought in enumerate(thoughts)
    ]
    target = None
    if rng:
        chance = luck.base + sum(
            share for share, thought in zip(luck[2:], thoughts, strict=False) if thought == "good"
        )
        target = "right" if rng.random() < chance else "wrong"
    turns.append(PlannedTurn("final", f"Case {luck.name}. And?", target, None, False))
    return Plan(None, tuple(turns), "full" if num_probes == 2 else "partial", num_probes)


def teach_student() -> Student:
    """A student that answers as the dialogues do, by likelihood."""
    texts = [f"Case {luck.name}. Step 0? Step 1? And? good bad right wrong" for luck in LUCKS] * 20
    size = Scratch(layers=2, width=64, heads=2, vocab=300, context=128)
    student = create_student(Model(name="toy", kind="scratch", scratch=size), texts, 0)
    optimizer = torch.optim.AdamW(student.model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.05, STEPS)
    rng = random.Random(0)
    for _ in range(STEPS):
        plans = [plan_turns(rng.choice(LUCKS), rng.choice((1, 2)), rng) for _ in range(BATCH)]
        batch = collate_examples(
            [Example(*encode_plan(plan, student.chat)) for plan in plans], student.chat.pad_id
        )
        student.model(**batch).loss.backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    return student


def plan_members(student: Student, luck: Luck, group: int, is_branch: bool) -> list[PlannedMember]:
    """Full rollouts, then partial ones; a branch leaves the full rollout of its place after the first turn."""
    plans = [plan_turns(luck, 2)] * SIZE + [plan_turns(luck, 1)] * SIZE
    members: list[PlannedMember] = []
    for place, plan in enumerate(plans):
        branches = is_branch and place >= SIZE
        members.append(
            PlannedRollout(
                plan.scenario,
                True,
                make_seed(luck.name, group, place, is_branch),
                plan,
                encode_prompt(plan, student.chat),
                place - SIZE if branches else None,
                1 if branches else 0,
            )
        )
    return members


def estimate(members: Sequence[object]) -> tuple[float, int]:
    """P_full - P_partial of a group, and the tokens that its partial rollouts sampled."""
    sampled = [member for member in members if isinstance(member, SampledRollout)]
    right = [float(member.texts[-1].strip() == "right") for member in sampled]
    return (
        statistics.fmean(right[:SIZE]) - statistics.fmean(right[SIZE:]),
        sum(sum(member.mask) for member in sampled[SIZE:]),
    )


def measure(student: Student, luck: Luck, num_groups: int, is_branch: bool) -> tuple[list[float], float]:
    """The estimate of every group, and sampled tokens per partial rollout."""
    stage = GrpoStage(
        name="toy", dialogue="d", reward="r", split="train", group={"full": SIZE, "partial": SIZE},
        items=1, steps=1, optimizer=Optimizer(lr=1e-3), kl=0.0, clip=0.2, aux=0.0, aux_batch=1,
        scale="group", baseline="group", loss="dapo", temperature=1.0, top_p=1.0, max_new=8,
    )  # fmt: skip
    groups = [plan_members(student, luck, group, is_branch) for group in range(num_groups)]
    found = [estimate(members) for members in sample_groups(stage, student, groups)]
    return [value for value, _ in found], statistics.fmean(tokens for _, tokens in found) / SIZE


def bootstrap_ratio(paired: Sequence[float], independent: Sequence[float]) -> tuple[float, float]:
    """95 % interval of the ratio of variances."""
    rng = random.Random(0)
    ratios = sorted(
        statistics.variance(rng.choices(paired, k=len(paired)))
        / statistics.variance(rng.choices(independent, k=len(independent)))
        for _ in range(400)
    )
    return ratios[10], ratios[389]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--groups", type=int, default=1500)
    num_groups = parser.parse_args().groups
    torch.manual_seed(0)
    student = teach_student()
    print(f"{num_groups} groups of {SIZE} full and {SIZE} partial dialogues")
    print(
        f"{'luck of turns':14} {'mean':>14} {'variance':>16} {'ratio':>6} {'95 %':>12} {'expected':>9} {'tokens':>12}"
    )
    for luck in LUCKS:
        independent, full_cost = measure(student, luck, num_groups, False)
        paired, branch_cost = measure(student, luck, num_groups, True)
        before, after = statistics.variance(independent), statistics.variance(paired)
        low, high = bootstrap_ratio(paired, independent)
        print(
            f"{luck.name:14} {statistics.fmean(independent):6.3f} {statistics.fmean(paired):7.3f} "
            f"{before:8.4f} {after:7.4f} {after / before:6.2f} {low:5.2f} to {high:4.2f} {expect_ratio(luck):8.2f} "
            f"{full_cost:6.1f} {branch_cost:5.1f}"
        )


if __name__ == "__main__":
    main()
