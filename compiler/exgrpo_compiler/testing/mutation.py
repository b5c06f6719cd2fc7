"""Which mutants of a file's rewards its tests notice.

A mutant is noticed when a test that passes on the reward fails on it. One that no test notices is compared with the reward on
the tests' own groups and on a generated corpus: where anything is paid otherwise, a test is missing; where nothing ever is, the
mutant may well be the same reward, and it is listed apart as one that could not be told from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from exgrpo_artifact.errors import ArtifactError
from exgrpo_artifact.graph import RewardGraph
from exgrpo_artifact.record import Record
from exgrpo_artifact.rewards import Scores, evaluate_reward
from exgrpo_compiler.checked_tests import CheckedTest
from exgrpo_compiler.ir import CheckedProgram, CheckedReward
from exgrpo_compiler.program import Key
from exgrpo_compiler.testing.corpus import Group, make_groups
from exgrpo_compiler.testing.expectations import is_close
from exgrpo_compiler.testing.mutants import Mutant, make_mutants
from exgrpo_compiler.testing.rewards import lower_reward_alone, record_judgements
from exgrpo_compiler.testing.run import lower_tested_rewards, run_test, score_test

Fate = Literal["noticed", "missed", "same"]


class Judged(Record):
    """A mutant and what became of it. `noticed_by` is the title of the first test that fails."""

    mutant: Mutant
    fate: Fate
    noticed_by: str | None = None


class Mutation(Record):
    """All mutants of a file's own rewards."""

    judged: tuple[Judged, ...]
    untested: tuple[Key, ...]
    """Rewards of the file that no test names."""

    @property
    def is_ok(self) -> bool:
        """Whether the tests notice every mutant that pays otherwise."""
        return not self.untested and not any(one.fate == "missed" for one in self.judged)

    def count(self, fate: Fate) -> int:
        """How many mutants had this fate."""
        return sum(one.fate == fate for one in self.judged)


def mutate_rewards(program: CheckedProgram, module: str) -> Mutation:
    """Every mutant of every reward that the module declares. All its tests must pass."""
    graphs = lower_tested_rewards(program)
    own = [
        key
        for key, checked in program.known.items()
        if isinstance(checked, CheckedReward) and key.module == module
    ]
    judged: list[Judged] = []
    for key in own:
        tests = [test for test in program.tests if key in test.rewards]
        if tests:
            judged += _mutate_reward(program, key, graphs, tests)
    untested = tuple(key for key in own if key not in graphs)
    return Mutation(tuple(judged), untested)


def _mutate_reward(
    program: CheckedProgram, key: Key, graphs: Mapping[Key, RewardGraph], tests: Sequence[CheckedTest]
) -> list[Judged]:
    groups = make_groups(program, key, tests)
    expected = [_score(graphs[key], group) for group in groups]
    own = [score_test(test, graphs)[key] for test in tests]
    found: list[Judged] = []
    for mutant in make_mutants(key, program.known[key]):
        changed = {**graphs, key: lower_reward_alone(program, key, mutant.checked)}
        title = next((test.title for test in tests if not _passes(test, changed)), None)
        if title is not None:
            found.append(Judged(mutant, "noticed", title))
            continue
        is_same = all(
            _are_same(before, score_test(test, changed)[key]) for before, test in zip(own, tests, strict=True)
        ) and all(
            _are_same(before, _score(changed[key], group))
            for before, group in zip(expected, groups, strict=True)
        )
        found.append(Judged(mutant, "same" if is_same else "missed"))
    return found


def _passes(test: CheckedTest, graphs: Mapping[Key, RewardGraph]) -> bool:
    try:
        return run_test(test, graphs).has_passed
    except ArtifactError:  # a mutant whose levels no longer fit cannot be evaluated: that is noticed
        return False


def _score(graph: RewardGraph, group: Group) -> Scores:
    return evaluate_reward(graph, group.item, group.rollouts, record_judgements(graph, group.judgements))


def _are_same(left: Scores, right: Scores) -> bool:
    if [bool(reason) for reason in left.dropped] != [bool(reason) for reason in right.dropped]:
        return False
    return all(
        (a is None and b is None) or (a is not None and b is not None and is_close(a, b))
        for term, values in left.terms.items()
        for a, b in zip(values, right.terms[term], strict=True)
    )
