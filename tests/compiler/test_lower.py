"""What a checked spec becomes: graphs that evaluate to what the text says, defaults, prompts."""

from __future__ import annotations

import random

import pytest

from exgrpo_artifact.canonical import to_plain
from exgrpo_artifact.evaluate import Rollout, evaluate_graph, evaluate_reward, find_external_nodes
from exgrpo_artifact.graph import Graph
from exgrpo_artifact.manifest import EvaluateStage, GrpoStage, SftStage
from exgrpo_artifact.values import NOT_APPLICABLE
from tests.support.compiling import (
    GSM8K,
    LESSONS,
    compile_files,
    compile_manifest,
    compile_reward,
    compile_terms,
)


def roll(
    scenario: str, final: str | None, explain: tuple[str, ...] = (), tokens: int = 10, seed: int = 0
) -> Rollout:
    turns = {"final": final, "explain": explain}
    return Rollout(scenario=scenario, turns=turns, tokens=tokens, num_turns=len(explain) + 1, seed=seed)


# --- rewards ------------------------------------------------------------------------------------------------


def test_the_reward_of_the_paper_gives_what_its_test_block_expects() -> None:
    reward = compile_reward(GSM8K, "exgrpo")
    group = [
        roll("full", "It is 4. The answer is 4."),
        roll("full", "The answer is 4."),
        roll("partial", "The answer is 4."),
        roll("partial", "The answer is 5."),
    ]
    scores = evaluate_reward(
        reward, {"question": "What is 2 + 2?", "solution": "2 + 2 = 4.", "gold": 4}, group
    )
    assert scores.terms["outcome"] == (1, 1, 1, 0)
    assert scores.totals == (1.5, 1.5, 1, 0)


def test_terms_keep_the_order_of_the_text_and_total_is_last() -> None:
    reward = compile_terms("total = b\nb = a + 1\na = matches(d.final, item.gold)")
    assert reward.terms == ("b", "a", "total")
    assert reward.result == "total"


def test_arguments_stand_before_what_uses_them() -> None:
    for reward in (compile_reward(GSM8K, "exgrpo"), compile_reward(LESSONS, "judged")):
        seen: set[str] = set()
        for node in reward.nodes:
            assert set(node.args) <= seen
            assert node.id not in seen
            seen.add(node.id)
        assert set(reward.terms) <= seen


def test_a_term_that_is_just_another_term_is_that_term() -> None:
    reward = compile_terms("outcome = matches(d.final, item.gold)\ntotal = outcome")
    scores = evaluate_reward(reward, {"gold": 4}, [roll("full", "4"), roll("full", "5")])
    assert scores.totals == (1, 0)


def test_a_term_used_twice_is_drawn_once() -> None:
    reward = compile_terms("toss = bernoulli(0.5)\nzero = toss - toss\ntotal = toss")
    scores = evaluate_reward(reward, {}, [roll("full", "x", seed=seed) for seed in range(40)])
    assert set(scores.terms["zero"]) == {0}
    assert set(scores.terms["toss"]) == {0, 1}


@pytest.mark.parametrize(
    ("total", "expected"),
    [
        ("1 if 1 < d.turns <= 3 else 0", 1),
        ("1 if not d.turns == 3 and true else 0", 0),
        ("2 * 3 + 4 / 8 - 1", 5.5),
        ("-d.turns + 5", 2),
        ("clip(5, 0, 2)", 2),
        ("ramp(d.tokens, from: 0tok, to: 20tok)", 0.5),
        ("max(d.turns, 2, 7)", 7),
        ("words(d.final | strip)", 3),
        ("mean(words(d.explain))", 1.5),
        ("mean(words(d.explain) where words(d.explain) > 1)", 2),
        ("mean(words(d.explain) where words(d.explain) > 5 else 9)", 9),
        ("mean(words(d.explain) where words(d.explain) > 5) else 8", 8),
        ("count(d.explain)", 2),
        ('any(contains(d.explain, "one"))', 1),
        ("1 if d.scenario == full else 0", 1),
        ('1 if d.scenario == "full" else 0', 1),
        ("1 if item.level == hard else 0", 1),
        ("format(d.final)", 1),
        ("format(d.final, yesno.last)", 0),
    ],
)
def test_an_expression_means_what_it_says(total: str, expected: float) -> None:
    reward = compile_terms(f"x = {total}\ntotal = matches(d.final, item.gold)", range_="-10..10")
    rollout = roll("full", "it is 4", ("one two", "one"), tokens=10)
    scores = evaluate_reward(reward, {"gold": 4, "level": "hard"}, [rollout])
    assert scores.terms["x"] == (pytest.approx(expected),)


def test_a_failure_policy_is_kept() -> None:
    reward = compile_terms("on_failure = value(-1)\ntotal = matches(d.final, item.gold)")
    assert (reward.on_failure.action, reward.on_failure.value) == ("value", -1)


# --- fields, filters, cuts ----------------------------------------------------------------------------------


def test_a_field_is_computed_from_the_row() -> None:
    fields = {field.name: field for field in compile_manifest(GSM8K).datasets["gsm8k"].fields}
    row = {"question": "q", "answer": "So 2 + 2 = 4. \n#### 1,004"}
    assert evaluate_graph(fields["solution"].value, row=row) == "So 2 + 2 = 4."
    assert evaluate_graph(fields["gold"].value, row=row) == 1004
    assert evaluate_graph(fields["question"].value, row=row) == "q"
    assert [field.secret for field in fields.values()] == [False, True, True]


def test_the_middle_of_a_chain_is_asked_once() -> None:
    condition = compile_manifest(GSM8K).probes["invert"].keeps[1].condition
    (solved,) = find_external_nodes(condition)
    assert solved.params == {"fn": "solved", "model": "student", "dialogue": "tutorial"}
    probes = [{}, {}, {}]
    for count, kept in ((0, False), (1, True), (2, True), (3, False)):
        assert bool(evaluate_graph(condition, probes=probes, external={solved.id: count})) is kept


def test_eq_1_asks_the_teacher_with_the_answer_type_of_the_dialogue() -> None:
    condition = compile_manifest(GSM8K).probes["invert"].keeps[0].condition
    (agrees,) = find_external_nodes(condition)
    assert agrees.params["model"] == "tutor"
    assert agrees.params["answer"]["kind"] == "number.last"


def test_a_gold_field_implies_an_answer_type_where_the_dialogue_has_none() -> None:
    without_tests = GSM8K.partition("\ntest ")[0]
    text = without_tests.replace("assistant final: number.last", "assistant final").replace(
        'gold:     number = row.answer | after("####") | number',
        'gold: choice("A", "B") = row.answer | after("####")',
    )
    manifest = compile_manifest(text)
    (agrees,) = find_external_nodes(manifest.probes["invert"].keeps[0].condition)
    assert agrees.params["answer"]["kind"] == "choice.letter"


def test_student_in_a_filter_is_the_student_of_the_task() -> None:
    text = GSM8K.replace("student = student", "student = small") + (
        "\nmodel small = scratch { layers = 1; width = 32; heads = 4; vocab = 512 }\n"
    )
    (solved,) = find_external_nodes(compile_manifest(text).probes["invert"].keeps[1].condition)
    assert solved.params["model"] == "small"


def draw(cut: Graph | None, k: int) -> set[object]:
    assert cut is not None
    return {evaluate_graph(cut, k=k, rng=random.Random(seed)) for seed in range(60)}


def test_cuts_draw_what_they_say() -> None:
    scenarios = compile_manifest(GSM8K).dialogues["tutorial"].scenarios
    assert scenarios["full"].kind == "all"
    assert draw(scenarios["partial"].count, 5) == {1, 2, 3, 4}
    assert draw(scenarios["plain"].count, 5) == {0}
    branch = compile_manifest(LESSONS).dialogues["lesson"].scenarios["partial"]
    assert (branch.kind, branch.of) == ("branch", "full")
    assert draw(branch.count, 3) == {1, 2}


def test_a_rule_applies_where_its_condition_holds() -> None:
    rule = compile_manifest(LESSONS).rules["what_if"]
    assert rule.applies_when is not None
    assert not evaluate_graph(rule.applies_when, item={"question": "What is 5 - 2?"})
    assert evaluate_graph(rule.applies_when, item={"question": "What is five minus two, my friend?"})
    assert evaluate_graph(rule.applies_when, item={}) is NOT_APPLICABLE


# --- stages, models, prompts --------------------------------------------------------------------------------


def test_every_default_of_a_stage_is_written_out() -> None:
    text = """exg 1
use "./base.exg".{rows, student, ask, lesson, score}
task t {
  data = rows
  student = student
  stage probe = ask()
  stage warmup = sft(lesson)
  stage train = grpo(lesson, reward: score, group: { full: 2, partial: 2 }, steps: 7)
  stage test = evaluate(lesson.plain, on: rows.test, score: score)
}
"""
    _, warmup, train, test = compile_manifest(text).stages
    assert isinstance(warmup, SftStage)
    assert (warmup.split, warmup.epochs, warmup.batch, warmup.turns) == ("train", 1.0, 16, None)
    assert (warmup.optimizer.name, warmup.optimizer.lr) == ("adamw", 2e-4)
    assert isinstance(train, GrpoStage)
    assert (train.kl, train.clip, train.aux, train.aux_batch, train.items) == (0.02, 0.2, 0.2, 16, 16)
    assert (train.scale, train.baseline, train.loss, train.max_new) == ("group", "group", "dapo", 256)
    assert (train.truncated, train.silent, train.resample, train.kl_gradient) == (
        "train",
        "keep",
        0,
        "unbiased",
    )
    assert train.optimizer.lr == 1e-5
    assert isinstance(test, EvaluateStage)
    assert (test.term, test.max_new) == ("total", 256)


def test_what_the_paper_leaves_open_is_said_in_the_stage() -> None:
    said = "truncated: mask, silent: skip, resample: 2, kl_gradient: k3"
    manifest = compile_manifest(GSM8K.replace("steps: 500,", f"steps: 500, {said},"))
    (train,) = (stage for stage in manifest.stages if isinstance(stage, GrpoStage))
    assert (train.truncated, train.silent, train.resample, train.kl_gradient) == ("mask", "skip", 2, "k3")


def test_evaluation_stays_within_what_was_trained() -> None:
    manifest = compile_manifest(GSM8K)
    assert [stage.max_new for stage in manifest.stages if isinstance(stage, GrpoStage | EvaluateStage)] == [
        512,
        512,
    ]


def test_only_what_the_task_needs_is_in_the_artifact() -> None:
    manifest = compile_manifest(LESSONS)
    assert set(manifest.models) == {"tiny", "tutor", "judge_model"}
    assert set(manifest.rules) == {"why", "what_if", "backwards"}
    assert set(manifest.rubrics) == {"faithful"}
    without_judge = compile_manifest(LESSONS, "judged.clarity=0")
    assert set(without_judge.models) == {"tiny", "tutor"}
    assert not without_judge.rubrics


def test_shares_know_where_they_begin() -> None:
    splits = compile_manifest(LESSONS).datasets["local_rows"].splits
    assert list(splits) == ["train", "test"]
    assert [(split.fraction, split.start) for split in splits.values()] == [(0.8, 0.0), (0.2, 0.8)]


def test_an_environment_variable_stays_a_reference() -> None:
    tutor = compile_manifest(GSM8K).models["tutor"]
    assert tutor.base_url is not None
    assert to_plain(tutor)["base_url"] == {"env": "TEACHER_BASE_URL"}
    assert to_plain(tutor)["api_key"] == {"env": "TEACHER_API_KEY"}


def test_the_prompt_ends_with_the_form_of_the_reply() -> None:
    files = compile_files(GSM8K)
    prompt = files["prompts/invert.jinja"]
    assert prompt.startswith("You design probes")
    last = prompt.rstrip().split("\n\n")[-1]
    assert "exactly one JSON object" in last
    assert [line for line in last.splitlines() if line.startswith("- ")] == [
        '- "question": a string',
        '- "rationale": a string',
        '- "answer": a string',
    ]


def test_every_message_of_a_dialogue_is_a_file() -> None:
    files = compile_files(GSM8K)
    assert files["prompts/tutorial.explain.user.jinja"] == "{{ probe.question }}"
    assert files["prompts/tutorial.final.jinja"] == "{{ item.solution }} The answer is {{ item.gold }}."
    assert sorted(path for path in files if path.startswith("prompts/")) == [
        "prompts/invert.jinja",
        "prompts/tutorial.explain.jinja",
        "prompts/tutorial.explain.user.jinja",
        "prompts/tutorial.final.jinja",
        "prompts/tutorial.final.user.jinja",
        "prompts/tutorial.system.jinja",
    ]


def test_an_author_may_call_the_row_as_he_likes() -> None:
    text = """exg 1
use "./base.exg".{rows, student}
dialogue talk(problem: rows) {
  user = "{{ problem.question }}"
  assistant final = "always the same"
}
task t { data = rows; student = student; stage one = sft(talk) }
"""
    files = compile_files(text)
    assert files["prompts/talk.final.user.jinja"] == "{% set problem = item %}{{ problem.question }}"
    assert files["prompts/talk.final.jinja"] == "always the same"
