"""Mutants in words and as JSON: those that no test noticed, with their places, and the score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from exgrpo_compiler.render.places import convert_range
from exgrpo_compiler.testing.describe import locate, quote_source
from exgrpo_compiler.testing.mutation import Judged, Mutation


def render_mutation(files: Sequence[tuple[str, Mutation]]) -> str:
    """A block for each file whose mutants were not all noticed, and the score."""
    lines: list[str] = []
    for name, mutation in files:
        missed = [one for one in mutation.judged if one.fate == "missed"]
        same = [one for one in mutation.judged if one.fate == "same"]
        if not (missed or same or mutation.untested):
            continue
        lines.append(name)
        lines += [f"  reward `{key.name}` has no test" for key in mutation.untested]
        lines += [f"  no test notices  {_describe(one)}" for one in missed]
        lines += [f"  pays the same    {_describe(one)}" for one in same]
        lines.append("")
    return "\n".join([*lines, _summarize([mutation for _, mutation in files])])


def _describe(judged: Judged) -> str:
    mutant = judged.mutant
    place = f"{mutant.reward.name}.{mutant.term}"
    return f"{locate(mutant.span)}  {place}: in `{quote_source(mutant.span)}`, {mutant.change}"


def _summarize(mutations: Sequence[Mutation]) -> str:
    noticed, missed, same = (
        sum(mutation.count(fate) for mutation in mutations) for fate in ("noticed", "missed", "same")
    )
    differing = noticed + missed
    if not differing and not same:
        return "no mutants were made: no reward of these files has a test"
    share = f"{noticed / differing:.0%}" if differing else "100%"
    told = f"mutation score {share}: {noticed} of {differing} mutants noticed"
    return told + (
        f"; {same} more paid the same on every group tried, and may be the same reward" if same else ""
    )


def build_mutation_json(files: Sequence[tuple[str, Mutation]]) -> list[dict[str, Any]]:
    """For a tool; part of what `exgrpo schema test` describes."""
    return [
        {
            "uri": name,
            "noticed": mutation.count("noticed"),
            "missed": mutation.count("missed"),
            "same": mutation.count("same"),
            "untested": [key.name for key in mutation.untested],
            "mutants": [
                {
                    "reward": one.mutant.reward.name,
                    "term": one.mutant.term,
                    "range": convert_range(one.mutant.span),
                    "change": one.mutant.change,
                    "fate": one.fate,
                    "noticedBy": one.noticed_by,
                }
                for one in mutation.judged
            ],
        }
        for name, mutation in files
    ]
