"""`unused-term`: a term that the total does not need, and that no evaluation and no test names."""

from __future__ import annotations

from collections.abc import Iterator

from exgrpo_compiler.checked_tests import list_terms
from exgrpo_compiler.diagnostics import Diagnostic, Edit, Fix
from exgrpo_compiler.ir import CheckedProgram
from exgrpo_compiler.prove.case import RewardCase
from exgrpo_compiler.source import Span


def prove_use(case: RewardCase, checked: CheckedProgram) -> Iterator[Diagnostic]:
    """Terms without a use. A reward with a term turned off is left alone: what that term needed has no use either."""
    if has_term_off(case):
        return
    used = {case.graph.result, *_find_scored(case, checked)}
    for node in reversed(case.graph.nodes):
        if node.id in used:
            used.update(node.args)
    for term in case.graph.terms:
        if term in used:
            continue
        name, value = case.term_spans[term], case.spans[term]
        yield Diagnostic(
            "unused-term",
            "warning",
            f"`total` does not need `{term}`, and nothing else names it.",
            name,
            hint="use it in `total`, name it in evaluate(score: …) or a test, or remove it",
            fix=Fix(f"remove `{term}`", (Edit(Span(name.source, name.start, value.end), ""),)),
        )


def has_term_off(case: RewardCase) -> bool:
    """Whether a term was turned off from outside: it is 0 at the level that it had."""
    return any(tree.op == "const" and tree.level != "const" for tree in case.reward.terms.values())


def _find_scored(case: RewardCase, checked: CheckedProgram) -> Iterator[str]:
    for key in checked.tasks.values():
        for stage in getattr(checked.known.get(key), "stages", ()):
            if stage.kind == "evaluate" and stage.settings["reward"] == case.key:
                yield str(stage.settings["term"])
    for test in checked.tests:
        for expect in test.expects:
            yield from (term for reward, term in list_terms(expect.condition) if reward == case.key)
