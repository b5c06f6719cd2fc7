"""Every proof of a program, in a fixed order. A proof only looks at what checked without errors."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from exgrpo_artifact.named import NamedTuple
from exgrpo_compiler.diagnostics import Diagnostic
from exgrpo_compiler.ir import CheckedProgram
from exgrpo_compiler.problems import Problems
from exgrpo_compiler.program import Program
from exgrpo_compiler.prove.algebra import prove_algebra
from exgrpo_compiler.prove.case import Cases, RewardCase, TrainCase, build_cases
from exgrpo_compiler.prove.dead_bonus import prove_dead_bonus
from exgrpo_compiler.prove.filters import prove_filters
from exgrpo_compiler.prove.hackable import prove_hackable
from exgrpo_compiler.prove.no_signal import describe_signal, prove_signal
from exgrpo_compiler.prove.right_punished import prove_right_punished
from exgrpo_compiler.prove.scenarios import prove_scenarios
from exgrpo_compiler.prove.shadowed import prove_names
from exgrpo_compiler.prove.unused import prove_usage
from exgrpo_compiler.prove.wrong_beats_right import prove_wrong_beats_right

PROOFS_OF_REWARDS: Final[tuple[Callable[[RewardCase], Iterable[Diagnostic]], ...]] = (prove_hackable,)
PROOFS_OF_TRAINING: Final[tuple[Callable[[TrainCase], Iterable[Diagnostic]], ...]] = (
    prove_signal,
    prove_dead_bonus,
    prove_right_punished,
    prove_wrong_beats_right,
    prove_scenarios,
)
PROOFS_OF_PROGRAMS: Final[tuple[Callable[[Program, CheckedProgram, Cases], Iterable[Diagnostic]], ...]] = (
    prove_algebra,
    prove_filters,
    prove_usage,
    prove_names,
)


class Proved(NamedTuple):
    """What the proofs find, each problem once though two tasks may have it; and what is worth knowing of sound stages."""

    diagnostics: tuple[Diagnostic, ...]
    notes: tuple[str, ...]


def prove_program(program: Program, checked: CheckedProgram) -> Proved:
    """All proofs of a program."""
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
    signals = (describe_signal(training) for training in cases.trainings)
    return Proved(problems.found, tuple(note for note in signals if note is not None))
