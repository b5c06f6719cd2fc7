"""`test` blocks of spec files, run offline, and mutants of the rewards that these files declare."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from exgrpo_compiler.testing.mutation import Mutation, mutate_rewards
from exgrpo_compiler.testing.outcome import FileOutcome, run_program
from exgrpo_dsl.loading import find_specs
from exgrpo_dsl.specs import load_spec


def test_files(paths: Sequence[Path]) -> tuple[FileOutcome, ...]:
    """What became of the tests of these files, and of all .exg files below these directories.

    Raises:
        UsageError: there is no such file, or no .exg file in a directory.
        MissingDependencyError: an outcome by `math.boxed` without math-verify.
    """
    outcomes = []
    for path in map(Path, find_specs([str(path) for path in paths])):
        loaded = load_spec(path)
        program = loaded.spec.program if loaded.spec is not None else None
        outcomes.append(run_program(str(path), program, loaded.diagnostics))
    return tuple(outcomes)


def mutate_file(path: Path) -> Mutation:
    """Which mutants of the rewards that a file declares its tests notice. The file is right, and all its tests pass.

    Raises:
        UsageError: there is no such file.
    """
    loaded = load_spec(path)
    assert loaded.source is not None
    assert loaded.spec is not None
    return mutate_rewards(loaded.spec.program, loaded.source.name)
