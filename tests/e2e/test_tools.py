"""Commands around the language, as a user runs them: test, preview, graph, doc, schema, compile --emit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from exgrpo_dsl.schemas import SCHEMAS, describe_output
from tests.support.cli import call_exgrpo, run_exgrpo
from tests.support.data import ROOT
from tests.support.sums import write_sums
from tests.support.testing import HEAD, REWARD, ROW

GSM8K = ROOT / "specs/exgrpo_specs/tasks/gsm8k.exg"
LESSONS = ROOT / "tests/specs/lessons.exg"
TEST = """
test "the bonus is for right answers" {
  item  = { question: "Ann has 1 apple and gets 1 more.", gold: 2 }
  group = [full { explain: ["a"], final: "2" }, partial { explain: ["b"], final: "GUESS" }]
  expect exgrpo.total == [1.5, 0]
}
"""


@pytest.fixture
def sums(tmp_path: Path) -> Path:
    """The spec of sums with its rows and one test."""
    spec = write_sums(tmp_path)
    spec.write_text(spec.read_text("utf-8") + TEST.replace("GUESS", "3"), "utf-8")
    return spec


def validate(name: str, value: Any) -> None:
    """Holds a value against a published schema."""
    jsonschema = pytest.importorskip("jsonschema", reason="a development dependency")
    schema = describe_output(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(value)


# --- test ---------------------------------------------------------------------------------------------------


def test_passing_tests_exit_zero_and_are_listed(sums: Path, tmp_path: Path) -> None:
    called = call_exgrpo("test", sums, cwd=tmp_path)
    assert called.code == 0
    assert "pass  the bonus is for right answers" in called.out
    assert "1 test, 1 passed, 0 failed" in called.out


def test_a_failing_test_exits_one_and_says_what_was_read(sums: Path, tmp_path: Path) -> None:
    sums.write_text(sums.read_text("utf-8").replace('final: "3"', 'final: "It is 2."'), "utf-8")
    called = call_exgrpo("test", sums, cwd=tmp_path)
    assert called.code == 1
    assert "expected 1.5, got 1" in called.out
    assert 'final: "It is 2." gives 2, gold is 2' in called.out


def test_directories_are_searched_and_files_without_tests_are_passed_over(sums: Path, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "library.exg").write_text("exg 1\n\nconst delta = 0.5\n", "utf-8")
    (tmp_path / "deep" / "more.exg").write_text(sums.read_text("utf-8"), "utf-8")
    called = call_exgrpo("test", tmp_path, cwd=tmp_path)
    assert (called.code, "2 tests, 2 passed" in called.out) == (0, True)


def test_a_file_with_errors_fails(sums: Path, tmp_path: Path) -> None:
    sums.write_text(sums.read_text("utf-8").replace("exgrpo.total ==", "exgrpo.totl =="), "utf-8")
    called = call_exgrpo("test", sums, cwd=tmp_path)
    assert called.code == 1
    assert "unknown-term" in called.out
    assert "1 file with errors" in called.out


@pytest.mark.parametrize("name", ["nothing.exg", "absent.exg", "."])
def test_nothing_to_test_is_a_mistake_of_the_command(name: str, tmp_path: Path) -> None:
    (tmp_path / "nothing.exg").write_text("exg 1\n\nconst delta = 0.5\n", "utf-8")
    called = call_exgrpo("test", name, cwd=tmp_path)
    assert called.code == 2
    assert called.err.startswith("error: ")


def test_mutants_that_no_test_notices_exit_one(sums: Path, tmp_path: Path) -> None:
    called = call_exgrpo("test", "--mutate", sums, cwd=tmp_path)
    assert called.code == 1
    assert "no test notices" in called.out
    assert "mutation score" in called.out


def test_mutants_are_not_made_of_a_reward_whose_tests_fail(sums: Path, tmp_path: Path) -> None:
    sums.write_text(sums.read_text("utf-8").replace("[1.5, 0]", "[1.5, 1]"), "utf-8")
    called = call_exgrpo("test", "--mutate", sums, cwd=tmp_path)
    assert called.code == 1
    assert "no test notices" not in called.out


def test_junit_and_json_say_the_same(sums: Path, tmp_path: Path) -> None:
    sums.write_text(sums.read_text("utf-8").replace("[1.5, 0]", "[1.5, 1]"), "utf-8")
    root = ElementTree.fromstring(call_exgrpo("test", "--format", "junit", sums, cwd=tmp_path).out)
    shown = json.loads(call_exgrpo("test", "--format", "json", sums, cwd=tmp_path).out)
    assert root.attrib["failures"] == "1"
    assert (shown["passed"], shown["failed"], shown["broken"]) == (0, 1, 0)
    validate("test", shown)


def test_json_of_mutants_fits_its_schema(sums: Path, tmp_path: Path) -> None:
    shown = json.loads(call_exgrpo("test", "--mutate", "--format", "json", sums, cwd=tmp_path).out)
    assert shown["mutation"][0]["missed"] > 0
    validate("test", shown)


def test_tests_need_neither_pydantic_nor_torch(sums: Path, tmp_path: Path) -> None:
    import subprocess
    import sys

    from tests.support.cli import build_environment

    script = (
        "import sys\nfrom pathlib import Path\nfrom exgrpo_dsl.testing import test_files\n"
        f"(one,) = test_files([Path({str(sums)!r})])\nassert one.results[0].has_passed\n"
        "print(sorted({'pydantic', 'torch', 'transformers', 'rich'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], env=build_environment(), capture_output=True, text=True, check=True
    )
    assert result.stdout == "[]\n"


# --- preview ------------------------------------------------------------------------------------------------


def test_preview_shows_prompts_and_dialogues_with_secrets_marked(sums: Path, tmp_path: Path) -> None:
    called = call_exgrpo("preview", sums, cwd=tmp_path)
    assert called.code == 0
    assert 'Rule "why": Ask why one decisive choice' in called.out
    assert "Answer: ⟦secret item.gold: 12⟧" in called.out
    assert "── tutorial.partial" in called.out
    assert "«probe " in called.out
    assert "\ufffd" not in called.out
    assert "(the student writes this)" in called.out
    assert "question: Ann has 10 apples" in called.out


def test_preview_marks_a_secret_truth_value_as_a_field_and_where_it_is_printed(tmp_path: Path) -> None:
    row = '{"question": "Is 7 odd?", "solution": "It is.", "gold": true}\n'
    (tmp_path / "rows.jsonl").write_text(row, "utf-8")
    (tmp_path / "spec.exg").write_text(
        """exg 1
dataset rows {
  source = jsonl("rows.jsonl")
  split train = 100%
  field question: text
  secret field gold: bool
}
model student = scratch { layers = 1; width = 32; heads = 2; vocab = 320 }
dialogue ask(item: rows) {
  user = "{{ item.question }}"
  assistant final: yesno.last = "It is {{ item.gold }}."
}
task t { data = rows; student = student; stage warm = sft(ask) }
""",
        "utf-8",
    )
    called = call_exgrpo("preview", "spec.exg", cwd=tmp_path)
    assert called.code == 0, called.err
    assert "gold: ⟦secret item.gold: true⟧" in called.out
    assert "It is ⟦secret item.gold: True⟧." in called.out


def test_preview_shows_rules_that_are_asked_together_in_one_request(sums: Path, tmp_path: Path) -> None:
    text = sums.read_text("utf-8")
    old = 'Rule "{{ rule.name }}": {{ rule.instruction }}'
    assert old in text
    listed = "{% for rule in rules %}{{ rule.name }}: {{ rule.instruction }} {% endfor %}"
    text = text.replace(old, listed).replace("  teacher =", "  ask = together\n  samples = 2\n  teacher =", 1)
    (tmp_path / "together.exg").write_text(text, "utf-8")
    called = call_exgrpo("preview", "together.exg", cwd=tmp_path)
    assert called.code == 0, called.err
    assert "asked 2 times" in called.out
    assert "why: Ask why one decisive choice" in called.out
    assert 'It has one key for each rule: "why", ' in called.out
    assert called.out.count("Reply with exactly one JSON object") == 1


def test_no_secret_reaches_a_user_message_of_a_dialogue(sums: Path, tmp_path: Path) -> None:
    shown = json.loads(call_exgrpo("preview", sums, "--row", "2", "--format", "json", cwd=tmp_path).out)
    validate("preview", shown)
    teachers = [one for one in shown["sections"] if one["kind"] == "teacher"]
    assert any(part["secret"] == "item.gold" for one in teachers for part in one["messages"][0]["parts"])
    for section in shown["sections"]:
        if section["kind"] in ("dialogue", "evaluate"):
            parts = [
                part for one in section["messages"] if one["role"] != "assistant" for part in one["parts"]
            ]
            assert parts
            assert not any(part["secret"] for part in parts)
    assert shown["row"].startswith("train:2:")


def test_probes_of_a_run_take_the_place_of_those_not_made_yet(sums: Path, tmp_path: Path) -> None:
    uid = json.loads(call_exgrpo("preview", sums, "--format", "json", cwd=tmp_path).out)["row"]
    fields = {"question": "Which operation?", "rationale": "Because.", "answer": "a sum"}
    probe = {"row": uid, "rule": "why", "fields": fields, "reveals": False}
    (tmp_path / "probes.jsonl").write_text(json.dumps(probe) + "\n", "utf-8")
    called = call_exgrpo("preview", sums, "--probes", "probes.jsonl", cwd=tmp_path)
    assert "Which operation?" in called.out
    assert "⟦secret probe.answer" not in called.out or "a sum" in called.out
    assert "⟦secret probe.rationale: Because.⟧" in called.out
    assert "«probe" not in called.out


def test_a_row_of_another_file_may_be_shown(sums: Path, tmp_path: Path) -> None:
    row = {"question": "Two \x1b[31mred\x1b[0m apples?", "solution": "1 + 1 = 2.", "gold": 2}
    (tmp_path / "own.jsonl").write_text(json.dumps(row) + "\n", "utf-8")
    called = call_exgrpo("preview", sums, "--rows", "own.jsonl", cwd=tmp_path)
    assert called.code == 0
    assert "Two ?[31mred?[0m apples?" in called.out, "a row cannot write to the terminal"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--row", "99"), 2, "has 6 rows, so there is no row 99"),
        (("--split", "dev"), 2, "has no split `dev`; its splits are train, test"),
        (("--rows", "absent.jsonl"), 2, "absent.jsonl cannot be read"),
        (("--rows", "empty.jsonl"), 2, "empty.jsonl has no rows"),
        (("--rows", "bad.jsonl"), 4, "bad.jsonl, line 1: not JSON"),
        (("--rows", "odd.jsonl"), 4, "row 0 of odd.jsonl was rejected"),
        (("--probes", "empty.jsonl"), 2, "has no probe about row"),
        (("--task", "nope"), 1, "unknown-task"),
    ],
)
def test_a_row_that_cannot_be_shown_is_told_in_one_message(
    arguments: tuple[str, ...], code: int, message: str, sums: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty.jsonl").write_text("", "utf-8")
    (tmp_path / "bad.jsonl").write_text("{\n", "utf-8")
    (tmp_path / "odd.jsonl").write_text('{"question": "q", "solution": "s", "gold": "many"}\n', "utf-8")
    called = call_exgrpo("preview", sums, *arguments, cwd=tmp_path)
    assert message in called.err
    assert called.code == code


def test_what_judges_are_asked_is_shown(tmp_path: Path) -> None:
    rows = [{"question": "What is 2 + 2 in all?", "solution": "2 + 2 = 4.", "gold": 4}] * 5
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    called = call_exgrpo("preview", LESSONS, cwd=tmp_path)
    assert called.code == 0, called.err
    assert "judged: judge.score asks judge `judge_model`" in called.out
    assert "Does each step follow from the one before" in called.out


# --- graph, doc, emit -----------------------------------------------------------------------------------------


def test_graph_writes_its_three_forms(tmp_path: Path) -> None:
    mermaid = call_exgrpo("graph", GSM8K, cwd=tmp_path)
    assert (mermaid.code, mermaid.out.splitlines()[0]) == (0, "flowchart LR")
    svg = call_exgrpo("graph", GSM8K, "--format", "svg", "-o", "pictures/g.svg", cwd=tmp_path)
    assert svg.out == "pictures/g.svg\n"
    ElementTree.parse(tmp_path / "pictures/g.svg")
    validate("graph", json.loads(call_exgrpo("graph", GSM8K, "--format", "json", cwd=tmp_path).out))


def test_graph_draws_one_reward_also_without_a_task(tmp_path: Path) -> None:
    library = ROOT / "tests/golden/check/base.exg"
    called = call_exgrpo("graph", library, "--reward", "score", cwd=tmp_path)
    assert (called.code, "reward score" in called.out) == (0, True)
    unknown = call_exgrpo("graph", library, "--reward", "scor", cwd=tmp_path)
    assert (unknown.code, "the rewards are score" in unknown.err) == (2, True)


def test_graph_of_a_broken_spec_shows_the_errors(tmp_path: Path) -> None:
    (tmp_path / "bad.exg").write_text("exg 1\n\nmodel tutor = nothing(1)\n", "utf-8")
    called = call_exgrpo("graph", "bad.exg", cwd=tmp_path)
    assert (called.code, called.out) == (1, "")
    assert "error[" in called.err


def test_doc_writes_a_page_for_each_file(tmp_path: Path) -> None:
    called = call_exgrpo("doc", ROOT / "specs/exgrpo_specs/std", "-o", "out", cwd=tmp_path)
    assert (called.code, called.out) == (0, "out/index.html\n")
    assert (tmp_path / "out/rules.html").read_text("utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize("stage", ["tokens", "ast", "resolved", "checked", "ir", "artifact"])
def test_a_stage_is_the_same_on_any_hash_seed_and_from_any_directory(stage: str, tmp_path: Path) -> None:
    found = []
    for seed, folder in (("1", "a"), ("77", "b/c")):
        directory = tmp_path / folder
        directory.mkdir(parents=True)
        write_sums(directory)
        result = run_exgrpo(
            "compile",
            directory / "sums.exg" if seed == "1" else "sums.exg",
            "--emit",
            stage,
            cwd=directory,
            env={"PYTHONHASHSEED": seed},
        )
        assert result.returncode == 0, result.stderr
        assert result.stdout.endswith("\n")
        found.append(result.stdout)
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("stage", "is_shown"),
    [("tokens", True), ("ast", True), ("resolved", True), ("checked", True), ("ir", False)],
)
def test_a_stage_of_a_broken_spec_is_shown_as_far_as_it_gets(
    stage: str, is_shown: bool, tmp_path: Path
) -> None:
    (tmp_path / "bad.exg").write_text("exg 1\n\nmodel tutor = nothing(1)\nconst delta = 0.5\n", "utf-8")
    called = call_exgrpo("compile", "bad.exg", "--emit", stage, cwd=tmp_path)
    assert bool(called.out) is is_shown
    assert called.code == (0 if stage in ("tokens", "ast", "resolved") else 1)
    assert not (tmp_path / "build").exists()


# --- schema -------------------------------------------------------------------------------------------------


def test_every_schema_is_valid_and_listed(tmp_path: Path) -> None:
    listed = call_exgrpo("schema", cwd=tmp_path).out
    for name in SCHEMAS:
        assert f"\n{name} " in f"\n{listed}"
        called = call_exgrpo("schema", name, cwd=tmp_path)
        assert called.code == 0
        jsonschema = pytest.importorskip("jsonschema", reason="a development dependency")
        jsonschema.Draft202012Validator.check_schema(json.loads(called.out))


def test_an_unknown_schema_is_refused(tmp_path: Path) -> None:
    called = call_exgrpo("schema", "manifst", cwd=tmp_path)
    assert (called.code, "there are manifest, reward" in called.err) == (2, True)


@pytest.mark.parametrize("spec", [GSM8K, LESSONS], ids=["gsm8k", "lessons"])
def test_artifacts_fit_their_schemas(spec: Path, tmp_path: Path) -> None:
    called = call_exgrpo("compile", spec, "-o", "build", cwd=tmp_path)
    directory = tmp_path / called.out.strip()
    validate("manifest", json.loads((directory / "manifest.json").read_text("utf-8")))
    validate("reward", json.loads((directory / "reward.json").read_text("utf-8")))


def test_a_schema_refuses_what_it_does_not_describe(tmp_path: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="a development dependency")
    called = call_exgrpo("compile", GSM8K, "-o", "build", cwd=tmp_path)
    manifest = json.loads((tmp_path / called.out.strip() / "manifest.json").read_text("utf-8"))
    validator = jsonschema.Draft202012Validator(describe_output("manifest"))
    assert not list(validator.iter_errors(manifest))
    assert list(validator.iter_errors(manifest | {"sed": 1}))
    assert list(validator.iter_errors(manifest | {"seed": "1"}))


def test_diagnostics_and_pages_fit_their_schemas(tmp_path: Path) -> None:
    text = f'{HEAD}{REWARD}\ntest "t" {{\n  {ROW}\n}}\nmodel tutor2 = openai("x") {{ temprature = 1 }}\n'
    (tmp_path / "base.exg").write_text((ROOT / "tests/golden/check/base.exg").read_text("utf-8"), "utf-8")
    (tmp_path / "bad.exg").write_text(text, "utf-8")
    lines = call_exgrpo("check", "bad.exg", "--format", "json", cwd=tmp_path).out.splitlines()
    assert len(lines) >= 2
    for line in lines:
        validate("check", json.loads(line))
    for line in call_exgrpo(
        "explain", "dead-bonus", "secret-leak", "--format", "json", cwd=tmp_path
    ).out.splitlines():
        validate("explain", json.loads(line))


@pytest.mark.parametrize("spec", [GSM8K, LESSONS], ids=["gsm8k", "lessons"])
def test_what_stress_finds_fits_its_schema(spec: Path, tmp_path: Path) -> None:
    called = call_exgrpo("stress", spec, "--format", "json", cwd=tmp_path)
    shown = json.loads(called.out)
    assert shown[0]["paid"]
    validate("stress", shown)


def test_files_of_a_run_fit_their_schemas(tmp_path: Path) -> None:
    from tests.support.report_run import make_run

    run = make_run(tmp_path / "run")
    directory = run if isinstance(run, Path) else tmp_path / "run"
    validate("run", json.loads((directory / "run.json").read_text("utf-8")))
    validate("result", json.loads((directory / "result.json").read_text("utf-8")))
    for path in directory.glob("stages/*/done.json"):
        validate("stage", json.loads(path.read_text("utf-8")))
    for path in directory.glob("stages/*/accuracy.json"):
        validate("accuracy", json.loads(path.read_text("utf-8")))
    lines_of = {
        "probe": "probes",
        "rejection": "rejections",
        "row": "rows",
        "step": "metrics",
        "rollout": "rollouts",
        "completion": "completions",
    }
    for name, pattern in ((name, f"stages/*/{stem}.jsonl") for name, stem in lines_of.items()):
        lines = [line for path in directory.glob(pattern) for line in path.read_text("utf-8").splitlines()]
        for line in lines[:50]:
            validate(name, json.loads(line))
    metrics = directory / "metrics.jsonl"
    for line in metrics.read_text("utf-8").splitlines()[:20] if metrics.exists() else []:
        validate("metrics", json.loads(line))
