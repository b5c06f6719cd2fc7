"""One mistake is one report, and leaves everything around it: mutations of every spec that there is."""

from __future__ import annotations

import random
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pytest

from benchmarks import recovery
from benchmarks.recovery import Count, Mutant
from exgrpo_compiler.ast import SpecFile
from exgrpo_compiler.parse import parse_spec
from exgrpo_compiler.source import Source

SPECS = recovery.find_specs()


@cache
def parse_whole(path: Path) -> SpecFile:
    outcome = parse_spec(Source(path.name, path.read_text(encoding="utf-8"), "spec"))
    assert outcome.diagnostics == ()
    assert outcome.value is not None
    return outcome.value


def verify_counts(mutants: Iterable[Mutant]) -> list[Count]:
    """Counts of the mutants that are mistakes; none has more than two reports."""
    counts: list[Count] = []
    for mutant in mutants:
        count = recovery.count_mutant(mutant, parse_whole(mutant.path))
        if count is not None:
            assert count.reports <= 2, (
                mutant.path.name,
                mutant.kind,
                mutant.text[mutant.start - 40 : mutant.start + 40],
            )
            counts.append(count)
    assert sum(count.reports == 1 for count in counts) >= 0.95 * len(counts)
    assert sum(count.kept >= 0.9 for count in counts) >= 0.9 * len(counts)
    assert sum(count.is_rest_whole for count in counts) >= 0.99 * len(counts)
    return counts


def test_one_mistake_is_one_report_in_a_sample() -> None:
    chance = random.Random(20)
    mutants = [mutant for path in SPECS for mutant in chance.sample(list(recovery.make_mutants(path)), 60)]
    counts = verify_counts(mutants)
    assert {count.kind for count in counts} == {"delete", "double", "insert"}


@pytest.mark.slow
@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_one_mistake_is_one_report(path: Path) -> None:
    assert verify_counts(recovery.make_mutants(path))


@pytest.mark.parametrize("seed", range(20))
def test_mistakes_in_different_declarations_are_reported_each(seed: int) -> None:
    """Each of the mistakes alone gives one report; together they give as many as there are."""
    chance = random.Random(seed)
    path = chance.choice([path for path in SPECS if len(parse_whole(path).decls) > 5])
    text = path.read_text(encoding="utf-8")
    mutants = list(recovery.make_mutants(path))
    chance.shuffle(mutants)
    chosen: list[Mutant] = []
    for decl in chance.sample(parse_whole(path).decls, 4):
        inside = (each for each in mutants if decl.name.span.end < each.start < decl.span.end - 1)
        chosen.extend(next(([each] for each in inside if len(report_errors(each.text)) == 1), []))
    damaged = text
    for mutant in sorted(chosen, key=lambda each: each.start, reverse=True):
        damaged = damaged[: mutant.start] + mutant.put + damaged[mutant.end :]
    assert len(report_errors(damaged)) == len(chosen) > 2


def report_errors(text: str) -> list[str]:
    outcome = parse_spec(Source("spec.exg", text, "spec"))
    return [problem.message for problem in outcome.diagnostics if problem.severity == "error"]
