"""Every proof of a program, in a fixed order. A proof only looks at what checked without errors."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from exgrpo_compiler.diagnostics import Diagnostic
from exgrpo_compiler.ir import CheckedProgram
from exgrpo_compiler.problems import Problems
from exgrpo_compiler.program import Program
from exgrpo_compiler.prove.algebra import prove_algebra
from exgrpo_compiler.prove.case import Cases, RewardCase, TrainCase, build_cases
from exgrpo_compiler.prove.dead_bonus import prove_dead_bonus
from exgrpo_compiler.prove.hackable import prove_hackable
from exgrpo_compiler.prove.no_signal import prove_signal
from exgrpo_compiler.prove.right_punished import prove_right_punished
from exgrpo_compiler.prove.wrong_beats_right import prove_wrong_beats_right

PROOFS_OF_REWARDS: Final[tuple[Callable[[RewardCase], Iterable[Diagnostic]], ...]] = (prove_hackable,)
PROOFS_OF_TRAINING: Final[tuple[Callable[[TrainCase], Iterable[Diagnostic]], ...]] = (
    prove_signal,
    prove_dead_bonus,
    prove_right_punished,
    prove_wrong_beats_right,
)
PROOFS_OF_PROGRAMS: Final[tuple[Callable[[Program, CheckedProgram, Cases], Iterable[Diagnostic]], ...]] = (
    prove_algebra,
)


def prove_program(program: Program, checked: CheckedProgram) -> tuple[Diagnostic, ...]:
    """What the proofs find, each problem once though two tasks may have it."""
    cases = build_cases(program, checked)
    problems = Problems()
    for reward in cases.rewards:
        for prove_reward in PROOFS_OF_REWARDS:
            problems.extend(prove_reward(reward))
    for training in cases.trainings:
        for prove_training in PROOFS_OF_TRAINING:
            problems.extend(prove_training(training))
    for prove in PROOFS_OF_PROGRAMS:
        problems.extend(prove(program, checked, cases))
    return problems.found
