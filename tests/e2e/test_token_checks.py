"""`check --tokenizer --rows`: dialogues that do not fit, chat templates that drift, and what is said where neither was looked at."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("transformers", reason="needs the extra `train`")

from exgrpo_dsl.token_checks import find_drift, load_tokenizer
from exgrpo_runtime.tokenizer import train_tokenizer
from tests.support.cli import call_exgrpo
from tests.support.sums import write_sums

pytestmark = pytest.mark.train

KEEPING = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
DRIFTING = KEEPING.replace(
    "m['content'] +", "(m['content'] if loop.last or m['role'] != 'assistant' else 'It was said.') +"
)
SHRINKING = KEEPING.replace("{% for m in messages %}", "{% for m in messages[-1:] %}")
TEXTS = ["What is 2 + 3? It is 5. Why?", "Ann has 10 apples and gets 2 more. The answer is 12."]


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders `keeping`, `drifting`, `shrinking` and `silent`, whose tokenizer has no template."""
    root = tmp_path_factory.mktemp("tokenizers")
    tokenizer: Any = train_tokenizer(TEXTS, 400, 4096)
    tokenizer.add_tokens(["<|im_start|>", "<|im_end|>"], special_tokens=True)
    tokenizer.eos_token = "<|im_end|>"
    for name, template in (("keeping", KEEPING), ("drifting", DRIFTING), ("shrinking", SHRINKING)):
        tokenizer.chat_template = template
        tokenizer.save_pretrained(root / name)
    tokenizer.chat_template = None
    tokenizer.save_pretrained(root / "silent")
    return root


@pytest.fixture
def sums(tmp_path: Path) -> Path:
    """The spec of sums, with a student from the hub."""
    spec = write_sums(tmp_path)
    text = spec.read_text("utf-8").replace(
        "scratch { layers = 1; width = 32; heads = 2; vocab = 320 }", 'hf("small/student")'
    )
    spec.write_text(text, "utf-8")
    return spec


def use(tokenizers: Path, name: str, target: Path, context: int | None = None) -> Path:
    """A copy of a tokenizer's folder, with a model's context length where one is given."""
    folder = target / name
    shutil.copytree(tokenizers / name, folder)
    if context is not None:
        (folder / "config.json").write_text(json.dumps({"max_position_embeddings": context}), "utf-8")
    return folder


def test_what_fits_is_told_with_its_numbers(sums: Path, tokenizers: Path, tmp_path: Path) -> None:
    folder = use(tokenizers, "keeping", tmp_path, 2048)
    called = call_exgrpo("check", sums, "--tokenizer", folder, "--rows", "train.jsonl", cwd=tmp_path)
    assert called.code == 0, called.err
    assert "note: stage `train`, `tutorial.full`: p50" in called.err
    assert "of 2048 tokens" in called.err
    assert "1 spec is fine." in called.err
    assert "not checked" not in called.err


def test_dialogues_that_never_fit_are_an_error(sums: Path, tokenizers: Path, tmp_path: Path) -> None:
    folder = use(tokenizers, "keeping", tmp_path, 20)
    called = call_exgrpo("check", sums, "--tokenizer", folder, "--rows", "train.jsonl", cwd=tmp_path)
    assert called.code == 1
    assert "error[prompt-budget]: 6 of 6 rows do not fit the model's context of 20 tokens" in called.err
    assert "p95" in called.err


def test_some_rows_that_do_not_fit_are_a_warning(sums: Path, tokenizers: Path, tmp_path: Path) -> None:
    rows = (tmp_path / "train.jsonl").read_text("utf-8")
    long = {"question": "apples " * 400, "solution": "1", "gold": 1}
    (tmp_path / "mixed.jsonl").write_text(rows + json.dumps(long) + "\n", "utf-8")
    folder = use(tokenizers, "keeping", tmp_path, 400)
    called = call_exgrpo("check", sums, "--tokenizer", folder, "--rows", "mixed.jsonl", cwd=tmp_path)
    assert called.code == 0
    assert "warning[prompt-budget]: 1 of 7 rows do not fit" in called.err
    silence = "  // allow: prompt-budget -- such rows are left out\n"
    sums.write_text(sums.read_text("utf-8").replace("  stage ", f"{silence}  stage "), "utf-8")
    called = call_exgrpo("check", sums, "--tokenizer", folder, "--rows", "mixed.jsonl", cwd=tmp_path)
    assert called.code == 0
    assert "[prompt-budget]" not in called.err
    assert "unused-silence" not in called.err


def test_the_tokenizer_tells_the_context_where_no_config_does(
    sums: Path, tokenizers: Path, tmp_path: Path
) -> None:
    folder = use(tokenizers, "keeping", tmp_path)
    called = call_exgrpo("check", sums, "--tokenizer", folder, "--rows", "train.jsonl", cwd=tmp_path)
    assert "of 4096 tokens" in called.err


def test_probes_of_a_run_are_counted(sums: Path, tokenizers: Path, tmp_path: Path) -> None:
    folder = use(tokenizers, "keeping", tmp_path, 300)
    uid = json.loads(call_exgrpo("preview", sums, "--format", "json", cwd=tmp_path).out)["row"]
    fields = {"question": "why " * 400, "rationale": "so", "answer": "5"}
    probes = [{"row": uid, "rule": rule, "fields": fields, "reveals": False} for rule in ("why", "decompose")]
    (tmp_path / "probes.jsonl").write_text("".join(json.dumps(one) + "\n" for one in probes), "utf-8")
    first = (tmp_path / "train.jsonl").read_text("utf-8").splitlines()[0]
    (tmp_path / "one.jsonl").write_text(first + "\n", "utf-8")
    arguments = ("check", sums, "--tokenizer", folder, "--rows", "one.jsonl")
    assert call_exgrpo(*arguments, cwd=tmp_path).code == 0
    called = call_exgrpo(*arguments, "--probes", "probes.jsonl", cwd=tmp_path)
    assert (called.code, "error[prompt-budget]" in called.err) == (1, True)


@pytest.mark.parametrize(("name", "drifts"), [("keeping", False), ("drifting", True), ("shrinking", True)])
def test_drift_is_found_at_its_first_token(name: str, drifts: bool, tokenizers: Path) -> None:
    tokenizer = load_tokenizer(tokenizers / name)
    drift = find_drift(tokenizer)
    assert (drift is not None) is drifts
    if drift is not None and name == "drifting":
        messages = [{"role": "user", "content": "What is 2 + 3?"}]
        opening = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        kept = len(tokenizer.encode(opening, add_special_tokens=False))
        assert drift.place >= kept
        assert drift.before != drift.after


def test_a_drifting_template_is_an_error_with_the_token(sums: Path, tokenizers: Path, tmp_path: Path) -> None:
    folder = use(tokenizers, "drifting", tmp_path, 2048)
    called = call_exgrpo("check", sums, "--tokenizer", folder, "--rows", "train.jsonl", cwd=tmp_path)
    assert called.code == 1
    assert (
        "error[template-drift]: The student's chat template does not keep earlier turns: token " in called.err
    )
    assert "stage train" in called.err


def test_drift_does_not_matter_to_dialogues_of_one_turn(tokenizers: Path, tmp_path: Path) -> None:
    spec = write_sums(tmp_path)
    text = spec.read_text("utf-8")
    start, end = text.index("  for probe in"), text.index('  user = "{{ item.question }}"')
    text = text[:start] + text[end:]
    text = text.replace("tutorial(item: sums, probes: invert)", "tutorial(item: sums)")
    text = text.replace("first(uniform(1, k - 1))", "first(0)").replace(
        "scenario full    = all", "scenario full    = first(0)"
    )
    spec.write_text(text.replace("  stage probe  = invert(split: train)\n", ""), "utf-8")
    folder = use(tokenizers, "drifting", tmp_path, 2048)
    called = call_exgrpo("check", spec, "--tokenizer", folder, "--rows", "train.jsonl", cwd=tmp_path)
    assert "template-drift" not in called.err


def test_without_a_tokenizer_check_says_what_it_did_not_look_at(sums: Path, tmp_path: Path) -> None:
    called = call_exgrpo("check", sums, cwd=tmp_path)
    assert called.code == 0
    assert (
        "prompt-budget and template-drift were not checked: give --tokenizer PATH and --rows FILE"
        in called.err
    )


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--tokenizer", "keeping"), 2, "belong together"),
        (("--rows", "train.jsonl"), 2, "belong together"),
        (("--tokenizer", "absent", "--rows", "train.jsonl"), 2, "absent is no folder"),
        (("--tokenizer", "silent", "--rows", "train.jsonl"), 3, "has no chat template"),
        (("--tokenizer", "keeping", "--rows", "absent.jsonl"), 2, "absent.jsonl cannot be read"),
        (("--tokenizer", "keeping", "--rows", "empty.jsonl"), 2, "holds no row of dataset `sums`"),
    ],
)
def test_what_cannot_be_measured_is_told_in_one_message(
    arguments: tuple[str, ...], code: int, message: str, sums: Path, tokenizers: Path, tmp_path: Path
) -> None:
    for name in ("keeping", "silent"):
        use(tokenizers, name, tmp_path)
    (tmp_path / "empty.jsonl").write_text("", "utf-8")
    called = call_exgrpo("check", sums, *arguments, cwd=tmp_path)
    assert message in called.err.replace("\n", " ")
    assert called.code == code
