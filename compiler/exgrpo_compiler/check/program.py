"""Checks the whole program, each declaration after those it needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from exgrpo_artifact.record import replace
from exgrpo_compiler.ast import Decl
from exgrpo_compiler.check.answers import check_answer
from exgrpo_compiler.check.constants import read_constant
from exgrpo_compiler.check.context import Context
from exgrpo_compiler.check.dataset import check_dataset
from exgrpo_compiler.check.dialogue import check_dialogue
from exgrpo_compiler.check.forms import report_double
from exgrpo_compiler.check.model import check_model
from exgrpo_compiler.check.probes import check_probes
from exgrpo_compiler.check.reward import check_reward
from exgrpo_compiler.check.rule import check_rubric, check_rule
from exgrpo_compiler.check.strings import check_strings, find_template_consts
from exgrpo_compiler.check.task import check_task
from exgrpo_compiler.checked_tests import CheckedTest
from exgrpo_compiler.diagnostics import Outcome
from exgrpo_compiler.ir import CheckedProgram
from exgrpo_compiler.problems import Problems
from exgrpo_compiler.program import Key, Program, TermsOff
from exgrpo_compiler.prove.usage import find_names

Check = Callable[[Context, Decl], Any]

_LONE_RULES: dict[int, tuple[Decl, Any]] = {}
"""By the identity of a declaration: rules that were right and name no other declaration. Of a thousand specs that import one
library, each meets the same trees."""
_MOST_REMEMBERED = 1024


def _check_rule(context: Context, decl: Decl) -> Any:
    """The checked rule and its strings; a rule of an imported file that stands alone is checked once."""
    remembered = _LONE_RULES.get(id(decl))
    if remembered is not None and remembered[0] is decl:
        return remembered[1]
    num_found = len(context.problems.found)
    check_strings(decl, context.problems)
    rule = check_rule(context, decl)
    if (
        context.module != context.program.entry
        and rule is not None
        and len(context.problems.found) == num_found
        and find_names(decl).isdisjoint(context.program.modules[context.module].scope)
    ):
        if len(_LONE_RULES) >= _MOST_REMEMBERED:
            _LONE_RULES.clear()
        _LONE_RULES[id(decl)] = (decl, rule)
    return rule


_ORDER: Mapping[str, Check] = {
    "dataset": check_dataset,
    "model": check_model,
    "answer": check_answer,
    "rubric": check_rubric,
    "rule": _check_rule,
    "probes": check_probes,
    "dialogue": check_dialogue,
}
"""Kinds whose check needs nothing but those before; rewards, tasks, tests and studies follow."""


def check_program(program: Program, turned_off: TermsOff, written: Program) -> Outcome[CheckedProgram]:
    """Every declaration checked. A broken one is None in `known`, and those that use it keep silent about it.

    `turned_off` are (reward, term) pairs; `written` is the program before overrides.
    """
    problems = Problems()
    known: dict[Key, Any] = {}
    context = Context(program, program.entry, problems, known, turned_off, written)
    templates = find_template_consts(program)
    for key, decl in program.decls.items():
        if decl.kind != "rule":
            check_strings(
                decl,
                problems,
                is_template_const=key in templates,
                is_overridden=written.decls.get(key) is not decl,
            )
        if decl.kind == "const" and decl.value is not None:
            read_constant(context.in_module(key.module), decl.value, (key,))
    for _, decl in program.tests:
        check_strings(decl, problems)
    broken: set[Key] = set()
    for kind, check in _ORDER.items():
        for key in program.keys_of(kind):
            decl, before = program.decls[key], len(problems)
            known[key] = _keep_whole(check(context.in_module(key.module), decl), decl)
            if decl.is_damaged or len(problems) > before:
                broken.add(key)
    for key in program.keys_of("reward"):
        reward = check_reward(context.in_module(key.module), key, program.decls[key])
        known[key] = _keep_whole(reward, program.decls[key])
    for key in program.keys_of("task"):
        known[key] = check_task(context.in_module(key.module), program.decls[key])
    _verify_titles(program, problems)
    tests = _check_tests(context)
    _check_studies(context)
    whole = replace(_build_program(program, known), tests=tests, broken=frozenset(broken))
    return Outcome(whole, problems.found)


def _check_tests(context: Context) -> tuple[CheckedTest, ...]:
    """The entry file's tests; those of other files are checked, too."""
    program = context.program
    if not program.tests:
        return ()
    from exgrpo_compiler.check.test_block import check_test  # here, as below: most files have none

    tests = [(module, check_test(context.in_module(module), decl)) for module, decl in program.tests]
    return tuple(test for module, test in tests if module == program.entry and test is not None)


def _check_studies(context: Context) -> None:
    keys = context.program.keys_of("study")
    if not keys:
        return
    from exgrpo_compiler.check.study import check_study

    for key in keys:
        check_study(context.in_module(key.module), context.program.decls[key])


def _verify_titles(program: Program, problems: Problems) -> None:
    """Reports two tests of one file with the same title: a report could not say which of them failed."""
    first: dict[tuple[str, str], Decl] = {}
    for module, decl in program.tests:
        other = first.setdefault((module, decl.name.text), decl)
        if other is not decl:
            message = f'There are two tests "{decl.name.text}".'
            report_double(problems, "duplicate-name", decl.name, other.name.span, message)


def _keep_whole(checked: Any, decl: Decl) -> Any:
    """The checked declaration; None where a part of it could not be read, so that nobody misses what is in that part.

    Datasets, probes and dialogues say themselves what they do not know.
    """
    return None if decl.is_damaged and decl.kind not in ("dataset", "probes", "dialogue") else checked


def _build_program(program: Program, known: Mapping[Key, Any]) -> CheckedProgram:
    entry = program.modules[program.entry]
    names = {
        binding.target: name
        for name, binding in entry.scope.items()
        if isinstance(binding.target, Key) and binding.target in program.decls
    }
    sources = {module.source.module: module.source.text for module in program.modules.values()}
    tasks = {key.name: key for key in program.keys_of("task") if key.module == program.entry}
    return CheckedProgram(entry.spec.edition or 1, sources, known, tasks, names)
