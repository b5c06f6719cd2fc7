"""Everything that intervals say of a reward: its range, its conditions, its sums, its gaps, and terms without a use."""

from __future__ import annotations

from collections.abc import Iterator

from exgrpo_compiler.diagnostics import Diagnostic
from exgrpo_compiler.ir import CheckedProgram, CheckedTask
from exgrpo_compiler.program import Program
from exgrpo_compiler.prove.case import Cases, RewardCase
from exgrpo_compiler.prove.conditions import prove_conditions
from exgrpo_compiler.prove.facts import Facts
from exgrpo_compiler.prove.gaps import Use, prove_aggregates, prove_divisions
from exgrpo_compiler.prove.inferred import find_facts, infer_reward
from exgrpo_compiler.prove.no_signal import prove_signal
from exgrpo_compiler.prove.reward_range import Inferred, prove_range
from exgrpo_compiler.prove.scale_mismatch import prove_scales
from exgrpo_compiler.prove.unused_terms import prove_use


def prove_algebra(program: Program, checked: CheckedProgram, cases: Cases) -> Iterator[Diagnostic]:
    """What is found in the rewards, one after the other."""
    trained = {training.case.key for training in cases.trainings}
    for case in cases.rewards:
        facts = find_facts(case)
        inferred = Inferred(case, infer_reward(case, facts).intervals)
        yield from _without_repeats(prove_range(inferred), case, cases)
        yield from prove_aggregates(inferred, facts, _list_uses(case, checked, facts))
        yield from prove_divisions(inferred)
        yield from prove_scales(inferred)
        yield from prove_conditions(inferred)
        # A library's terms may be named by those who import it.
        if case.key in trained and case.key.module == program.entry:
            yield from prove_use(case, checked)


def _without_repeats(found: Iterator[Diagnostic], case: RewardCase, cases: Cases) -> Iterator[Diagnostic]:
    """Without `constant-reward` where a stage says that it has no signal: that is the same, said with the stage."""
    for diagnostic in found:
        trainings = [training for training in cases.trainings if training.case.key == case.key]
        is_said = diagnostic.id == "constant-reward" and any(
            other.severity == "error" for training in trainings for other in prove_signal(training)
        )
        if not is_said:
            yield diagnostic


def _list_uses(case: RewardCase, checked: CheckedProgram, facts: Facts) -> list[Use]:
    """Stages that need a term of the reward; where there is none, any rollout of the dialogue."""
    uses: list[Use] = []
    for key in checked.tasks.values():
        task = checked.known.get(key)
        for stage in task.stages if isinstance(task, CheckedTask) else ():
            settings = stage.settings
            if stage.kind not in ("grpo", "evaluate") or settings["reward"] != case.key:
                continue
            if stage.kind == "grpo":
                scenarios = (*settings["group"], *(settings["compare"] or {}))
                uses.append(Use(scenarios, case.graph.result, f"`{stage.name}` trains by it", stage.span))
            else:
                term, scenario = str(settings["term"]), str(settings["scenario"])
                uses.append(Use((scenario,), term, f"`{stage.name}` scores with `{term}`", stage.span))
    return uses or [Use(tuple(facts.scenarios), case.graph.result, "", None)]
