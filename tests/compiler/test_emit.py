"""The artifact's files: the same bytes everywhere, hashes that hold, layers that change one by one."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from exgrpo_artifact.record import get_fields
from exgrpo_artifact.storage import read_artifact
from exgrpo_compiler.emit import ArtifactFiles
from tests.support.compiling import (
    GSM8K,
    LESSONS,
    ROOT,
    STD_RULES,
    compile_files,
    compile_manifest,
    compile_text,
    load_manifest_json,
)

SCRIPT = """
import hashlib, json, sys
from exgrpo_dsl.loading import load_module, read_source
from exgrpo_compiler.pipeline import compile_spec
from pathlib import Path
outcome = compile_spec(read_source(Path(sys.argv[1])), load_module)
assert outcome.value
print(hashlib.sha256(json.dumps(outcome.value).encode()).hexdigest())
"""


def compile_elsewhere(spec: Path, seed: str, cwd: Path) -> str:
    path = os.pathsep.join(str(ROOT / part) for part in (".", "compiler", "runtime", "specs"))
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(spec)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout.strip()


@pytest.mark.parametrize("text", [GSM8K, LESSONS], ids=["gsm8k", "lessons"])
def test_the_bytes_depend_on_the_spec_only(text: str, tmp_path: Path) -> None:
    digests = set()
    for folder, seed in (("a", "0"), ("deep/er", "1"), ("b", "12345")):
        spec = tmp_path / folder / "spec.exg"
        spec.parent.mkdir(parents=True)
        spec.write_text(text, encoding="utf-8")
        digests.add(compile_elsewhere(spec, seed, spec.parent))
    assert len(digests) == 1


def write(files: ArtifactFiles, target: Path) -> Path:
    for name, text in files.items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes(text.encode("utf-8"))
    return target


@pytest.mark.parametrize("text", [GSM8K, LESSONS], ids=["gsm8k", "lessons"])
def test_what_is_emitted_can_be_read(text: str, tmp_path: Path) -> None:
    files = compile_files(text)
    artifact = read_artifact(write(files, tmp_path))
    assert set(artifact.manifest.files) == set(files) - {"manifest.json"}
    assert all(f"prompts/{Path(path).name}" in artifact.prompts for path in files if path.endswith(".jinja"))


def test_provenance_names_modules_and_no_place_on_this_machine() -> None:
    manifest = compile_manifest(GSM8K)
    assert set(manifest.provenance.sources) == {"spec.exg", "std.rules"}
    digest = hashlib.sha256(STD_RULES.encode()).hexdigest()
    assert manifest.provenance.sources["std.rules"] == digest
    assert str(ROOT) not in json.dumps(compile_files(GSM8K))


def find_changed(*overrides: str) -> set[str]:
    before, after = compile_manifest(GSM8K).hashes, compile_manifest(GSM8K, *overrides).hashes
    return {name for name in get_fields(type(before)) if getattr(before, name) != getattr(after, name)}


@pytest.mark.parametrize(
    ("override", "layers"),
    [
        ("exgrpo.bonus=0.25 if p_full > p_part else 0", {"reward"}),
        ("train.lr=3e-5", {"train"}),
        ("gsm8k_exgrpo.seed=18", {"train"}),
        ("student.lora.rank=8", {"train"}),
        ('gsm8k.source=jsonl(train: "a", test: "b")', {"data"}),
        ("tutor.temperature=0.1", {"prompts"}),
        ("invert.rules=[why, contrast]", {"prompts"}),
        ('tutorial.system="Think."', {"train"}),
        ("tutor.budget=50usd", set()),
        ('tutor.base_url=env("OTHER")', set()),
    ],
)
def test_a_change_shows_in_the_layer_it_belongs_to(override: str, layers: set[str]) -> None:
    assert find_changed(override) == layers


def test_comments_and_layout_change_nothing_but_the_source_hash() -> None:
    before = load_manifest_json(compile_files(GSM8K))
    after = load_manifest_json(compile_files(GSM8K.replace("exg 1\n", "exg 1\n\n// A note.\n\n")))
    assert before["hashes"] == after["hashes"]
    assert before["provenance"] != after["provenance"]


# --- which task ---------------------------------------------------------------------------------------------

TWO_TASKS = """exg 1
use "./base.exg".{rows, student, ask}
task one { data = rows; student = student; stage probe = ask(split: train) }
task two { data = rows; student = student; seed = 5; stage probe = ask(split: test) }
"""


def test_without_a_name_every_task_is_compiled() -> None:
    outcome = compile_text(TWO_TASKS)
    assert outcome.value is not None
    assert list(outcome.value) == ["one", "two"]


def test_one_task_is_compiled_by_name() -> None:
    outcome = compile_text(TWO_TASKS, task="two")
    assert outcome.value is not None
    assert list(outcome.value) == ["two"]


def test_a_task_that_is_not_there_is_reported_with_the_closest() -> None:
    outcome = compile_text(TWO_TASKS, task="tow")
    assert [(item.id, item.hint) for item in outcome.diagnostics] == [("unknown-task", "did you mean `two`?")]
    assert outcome.value is None


def test_a_spec_without_a_task_is_checked_and_not_compiled() -> None:
    outcome = compile_text(STD_RULES)
    assert [item.id for item in outcome.diagnostics] == ["no-task"]
    assert outcome.value is None


def test_an_empty_spec_has_no_task_either() -> None:
    outcome = compile_text("")
    assert outcome.value is None
    assert outcome.diagnostics
