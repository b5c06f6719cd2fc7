"""Mutants of rewards: which there are, which tests notice them, and which could not be told from the reward."""

from __future__ import annotations

import pytest

from exgrpo_compiler.program import Key
from exgrpo_compiler.testing.mutants import make_mutants
from exgrpo_compiler.testing.mutation import Mutation, mutate_rewards
from exgrpo_compiler.testing.mutation_text import build_mutation_json, render_mutation
from tests.support.compiling import GSM8K
from tests.support.testing import ROW, build_spec, check_program

SIMPLE = """
reward r(d: lesson, item: rows) -> 0..1 {
  outcome = matches(d.final, item.gold)
  total   = TOTAL
}
"""


def list_changes(total: str) -> list[tuple[str, str]]:
    """What is changed in a total, and how."""
    text = build_spec("", SIMPLE.replace("TOTAL", total).replace("0..1 {", "-9..9 {"))
    program = check_program(text)
    mutants = make_mutants(Key("spec.exg", "r"), program.known[Key("spec.exg", "r")])
    return [(text[one.span.start : one.span.end], one.change) for one in mutants if one.term == "total"]


def mutate(total: str, *tests: str) -> Mutation:
    """The mutants of a total that these tests notice."""
    blocks = "\n".join(f'test "t{number}" {{\n  {ROW}\n  {body}\n}}' for number, body in enumerate(tests))
    return mutate_rewards(check_program(build_spec(blocks, SIMPLE.replace("TOTAL", total))), "spec.exg")


@pytest.mark.parametrize(
    ("total", "changes"),
    [
        ("0.5 * outcome", {"`0.5` became 0", "`0.5` became -0.5", "`0.5` became 1", "`*` became `/`"}),
        ("1 if outcome > 0 else 0", {"`>` became `>=`", "`>` became `<=`", "the two branches changed places"}),
        ("clip(outcome, 0, 1)", {"`clip` was left out", "`0` became 1", "`1` became 0"}),
        ("mean(outcome where d.scenario == full) else 0", {"`mean` became `max`", "`mean` became `min`", "`where` was left out"}),
        ("1 if outcome == 1 and d.turns > 1 else 0", {"`and` became `or`", "`==` became `!=`"}),
        ("max(outcome, 0.5)", {"`max` became `min`"}),
        ("mean(outcome where d.scenario == full) else 0.5", {"`else` was left out"}),
        ("1 if not outcome == 1 else 0", {"`not` was left out"}),
        ('contains(d.final, "so")', {"`contains(…)` became 0", "`contains(…)` became 1"}),
        ("outcome - 0.1", {"`-` became `+`"}),
    ],
)  # fmt: skip
def test_every_kind_of_slip_is_made(total: str, changes: set[str]) -> None:
    assert changes <= {change for _, change in list_changes(total)}


def test_a_mutant_says_where_it_is() -> None:
    assert ("0.25", "`0.25` became 0") in list_changes("outcome * 0.25")


def test_tests_that_see_everything_notice_every_mutant() -> None:
    found = mutate(
        "0.5 if outcome == 1 else 0",
        'group = [plain { final: "2" }, plain { final: "3" }]\n  expect r.total == [0.5, 0]',
    )
    assert found.is_ok
    assert found.count("noticed") == len(found.judged) > 5
    assert "mutation score 100%" in render_mutation([("spec.exg", found)])


def test_a_mutant_that_no_test_notices_fails_and_is_shown_with_its_place() -> None:
    found = mutate("0.5 if outcome == 1 else 0", 'group = [plain { final: "2" }]\n  expect r.total == [0.5]')
    assert not found.is_ok
    shown = render_mutation([("spec.exg", found)])
    assert "no test notices  spec.exg:6:38  r.total: in `0`, `0` became 1" in shown
    assert "mutation score 100%" not in shown


def test_a_mutant_that_pays_the_same_is_told_apart_and_does_not_fail() -> None:
    # outcome is never above 1, so a bound of 2 in the place of 1 changes nothing.
    found = mutate(
        "clip(outcome, 0, 1)",
        'group = [plain { final: "2" }, plain { final: "3" }]\n  expect r.total == [1, 0]',
    )
    fates = {one.mutant.change: one.fate for one in found.judged}
    assert fates["`1` became 2"] == "same"
    assert fates["`clip` was left out"] == "same"
    assert fates["`0` became 1"] == "noticed"
    assert found.is_ok


def test_a_reward_without_a_test_fails() -> None:
    found = mutate("outcome")
    assert (found.is_ok, [key.name for key in found.untested]) == (False, ["r"])
    assert "reward `r` has no test" in render_mutation([("spec.exg", found)])


def test_only_rewards_that_the_file_declares_are_changed() -> None:
    text = (
        'exg 1\nuse "./base.exg".{score}\n'
        + f'test "t" {{\n  {ROW}\n  group = [plain {{ final: "2" }}]\n  expect score.total == [1]\n}}'
    )
    assert mutate_rewards(check_program(text), "spec.exg").judged == ()


def test_the_paper_s_test_misses_that_the_factor_is_compared_at_all() -> None:
    found = mutate_rewards(check_program(GSM8K), "spec.exg")
    missed = {one.mutant.change for one in found.judged if one.fate == "missed"}
    assert "`1` became 0" in missed
    assert found.count("noticed") > 15


def test_judgements_reach_mutants_whose_nodes_are_named_otherwise() -> None:
    tests = f"""test "judged" {{
  {ROW}
  group = [full {{ explain: ["a", "b"], final: "2", tokens: 55tok, scores: [3, 4] }}, plain {{ final: "3", tokens: 1tok }}]
  expect r.total == [1.5625, 0]
}}"""
    found = mutate_rewards(check_program(build_spec(tests)), "spec.exg")
    fates = {(one.mutant.term, one.mutant.change): one.fate for one in found.judged}
    assert fates["total", "`0.5` became 0"] == "noticed"
    assert fates["clarity", "`4` became 8"] == "noticed"
    assert fates["p_part", "`where` was left out"] == "missed"


def test_the_same_file_gives_the_same_mutants_and_fates() -> None:
    runs = [build_mutation_json([("s", mutate_rewards(check_program(GSM8K), "spec.exg"))]) for _ in range(2)]
    assert runs[0] == runs[1]
