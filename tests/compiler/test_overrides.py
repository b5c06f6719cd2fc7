"""`--set`: what a path may name, what a value becomes, and what is said about wrong ones."""

from __future__ import annotations

import pytest

from tests.support.compiling import (
    GSM8K,
    LESSONS,
    check,
    compile_files,
    compile_manifest,
    compile_reward,
    compile_text,
    find_ids,
    get_path,
    load_manifest_json,
)


@pytest.mark.parametrize(
    ("override", "path", "expected"),
    [
        ("train.steps=20", "stages.2.steps", 20),
        ("gsm8k_exgrpo.train.steps = 20", "stages.2.steps", 20),
        ("train.items=4", "stages.2.items", 4),
        ("train.group.full=6", "stages.2.group", {"full": 6, "partial": 4}),
        ("train.group={ full: 1, partial: 3 }", "stages.2.group", {"full": 1, "partial": 3}),
        ("warmup.epochs=0.5", "stages.1.epochs", 0.5),
        ("warmup=sft(tutorial, epochs: 7)", "stages.1.epochs", 7.0),
        ("test.on=gsm8k.train", "stages.3.split", "train"),
        ("gsm8k_exgrpo.seed=3", "seed", 3),
        ("tutor.temperature=0.1", "models.tutor.sampling.temperature", 0.1),
        ("tutor.top_p=0.5", "models.tutor.sampling.top_p", 0.5),
        ('tutor.id="other"', "models.tutor.id", "other"),
        ('tutor.base_url="http://127.0.0.1:1/v1"', "models.tutor.base_url", "http://127.0.0.1:1/v1"),
        ("tutor.limits.concurrency=2", "models.tutor.limits.concurrency", 2),
        ('tutor=plugin("word-problem-tutor")', "models.tutor.kind", "plugin"),
        ("student.lora.rank=4", "models.student.lora.rank", 4),
        (
            "student=scratch { layers = 3; width = 96; heads = 4; vocab = 512 }",
            "models.student.scratch.width",
            96,
        ),
        ("invert.rules=[why, contrast]", "probes.invert.rules", ["why", "contrast"]),
        ("exgrpo.bonus=0", "stages.2.steps", 500),
        ("tutorial.partial=first(2)", "dialogues.tutorial.scenarios.partial.count.nodes.0.params.value", 2),
        ('gsm8k.source=hf("mine", config: "x")', "datasets.gsm8k.source.location", "mine"),
        ('gsm8k.source.config="x"', None, None),
    ],
)
def test_a_value_lands_where_the_path_says(override: str, path: str | None, expected: object) -> None:
    if path is None:
        assert find_ids(GSM8K, override) == ["unknown-path"]
        return
    manifest = load_manifest_json(compile_files(GSM8K, override))
    assert get_path(manifest, path) == expected
    assert manifest["provenance"]["overrides"] == [override]


def test_later_overrides_see_earlier_ones() -> None:
    model = "student=scratch { layers = 3; width = 96; heads = 4; vocab = 512 }"
    manifest = compile_manifest(GSM8K, model, "student.layers=2")
    assert manifest.models["student"].scratch is not None
    assert manifest.models["student"].scratch.layers == 2


def test_a_source_given_by_parts_keeps_the_splits_by_name() -> None:
    manifest = compile_manifest(GSM8K, 'gsm8k.source=jsonl(train: "a.jsonl", test: "b.jsonl")')
    dataset = manifest.datasets["gsm8k"]
    assert dataset.source.parts == {"train": "a.jsonl", "test": "b.jsonl"}
    assert {name: split.part for name, split in dataset.splits.items()} == {"train": "train", "test": "test"}


def test_shares_become_parts_where_the_source_has_them() -> None:
    manifest = compile_manifest(LESSONS, 'local_rows.source=csv(train: "a", test: "b")')
    splits = manifest.datasets["local_rows"].splits
    assert {name: (split.part, split.fraction) for name, split in splits.items()} == {
        "train": ("train", None),
        "test": ("test", None),
    }


def test_a_split_that_the_new_source_lacks_is_reported_at_the_source() -> None:
    (found,) = check(GSM8K, 'gsm8k.source=jsonl(train: "a.jsonl")')
    assert found.id == "unknown-part"
    assert found.span.source.name == "--set"


# --- off ----------------------------------------------------------------------------------------------------


def test_a_filter_is_turned_off_and_recorded() -> None:
    manifest = compile_manifest(GSM8K, "invert.in_reach=off")
    assert [keep.name for keep in manifest.probes["invert"].keeps] == ["consistent"]
    assert manifest.provenance.turned_off == ("invert.in_reach",)


def test_a_stage_is_turned_off_and_recorded() -> None:
    manifest = compile_manifest(GSM8K, "warmup=off")
    assert [stage.name for stage in manifest.stages] == ["probe", "train", "test"]
    assert manifest.provenance.turned_off == ("gsm8k_exgrpo.warmup",)


def test_a_term_that_is_off_is_0_at_its_level() -> None:
    reward = compile_reward(LESSONS, "judged", "judged.brevity=off")
    (node,) = [node for node in reward.nodes if node.id == "brevity"]
    assert (node.op, node.params, node.level) == ("const", {"value": 0}, "rollout")
    assert compile_manifest(GSM8K, "exgrpo.bonus=off").provenance.turned_off == ("exgrpo.bonus",)


@pytest.mark.parametrize(
    "override", ["exgrpo.total=off", "student=off", "train.steps=off", "gsm8k.source=off"]
)
def test_nothing_else_can_be_turned_off(override: str) -> None:
    assert find_ids(GSM8K, override) == ["bad-override"]


def test_a_study_speaks_of_the_spec_as_it_is_written() -> None:
    assert find_ids(LESSONS, "train=off") == find_ids(LESSONS)


# --- wrong paths and values ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "hint"),
    [
        ("train.stepz=20", "did you mean `train.steps`?"),
        ("trian.steps=20", "did you mean `train.steps`?"),
        ("gsm8k.sorce=3", "did you mean `gsm8k.source`?"),
        ("invert.inreach=off", "did you mean `invert.in_reach`?"),
        ("tutr.temperature=1", "did you mean `tutor.temperature`?"),
    ],
)
def test_an_unknown_path_is_reported_with_the_closest(override: str, hint: str) -> None:
    (found,) = check(GSM8K, override)
    assert (found.id, found.hint, found.span.source.name) == ("unknown-path", hint, "--set")


AMBIGUOUS = """exg 1
use "./base.exg".{rows, student, ask}
task one { data = rows; student = student; stage probe = ask(split: train) }
task two { data = rows; student = student; stage probe = ask(split: train) }
"""


def test_an_ambiguous_path_must_be_qualified() -> None:
    (found,) = check(AMBIGUOUS, "probe.split=test")
    assert found.id == "ambiguous-path"
    assert found.hint == "write `one.probe.split` or `two.probe.split`"
    outcome = compile_text(AMBIGUOUS, "two.probe.split=test")
    assert outcome.value is not None
    splits = {
        name: get_path(load_manifest_json(files), "stages.0.split") for name, files in outcome.value.items()
    }
    assert splits == {"one": "train", "two": "test"}


@pytest.mark.parametrize("override", ["", "train.steps", "=3", "train steps=3", "3=4", "train.steps==3"])
def test_a_text_that_is_no_override_is_reported(override: str) -> None:
    assert find_ids(GSM8K, override) == ["bad-override"]


@pytest.mark.parametrize(
    ("override", "id_", "place"),
    [
        ("train.steps=20tok", "unit-mismatch", "20tok"),
        ("train.steps=0", "invalid-value", "0"),
        ("train.steps='a'", "syntax-error", "'a'"),
        ("student=tutr", "type-mismatch", "tutr"),
        ("gsm8k_exgrpo.student=tutr", "unknown-name", "tutr"),
        ("train.scale=groop", "invalid-value", "groop"),
        ("train.group.fill=3", "unknown-scenario", "3"),
        ("exgrpo.bonus=0.5 * p_ful", "unknown-name", "p_ful"),
    ],
)
def test_a_value_is_typed_like_the_spec(override: str, id_: str, place: str) -> None:
    found = [item for item in check(GSM8K, override) if item.span.source.name == "--set"]
    assert found, check(GSM8K, override)
    span = found[0].span
    if id_ not in ("syntax-error", "type-mismatch"):
        assert found[0].id == id_
    assert span.source.text == override
    assert override[span.start : span.end] == place


def test_a_declaration_of_an_imported_file_can_be_set() -> None:
    text = AMBIGUOUS.replace("{rows, student, ask}", "{rows, student as small, ask}").replace(
        "student = student", "student = small"
    )
    outcome = compile_text(text, "small.width=32")
    assert outcome.value is not None
    assert get_path(load_manifest_json(outcome.value["one"]), "models.small.scratch.width") == 32


def test_a_url_with_a_credential_is_refused_here_as_in_a_file() -> None:
    override = 'tutor.base_url="https://me:hunter2@teacher.example/v1"'
    (found,) = check(GSM8K, override)
    assert (found.id, found.span.source.text) == ("secret-in-spec", override)
    assert override[found.span.start : found.span.end] == "https://me:hunter2@"


def test_one_wrong_override_does_not_hide_another() -> None:
    assert find_ids(GSM8K, "train.stepz=1", "train.lr=-1") == ["unknown-path", "invalid-value"]


def test_the_same_place_set_twice_is_an_error_that_shows_both() -> None:
    (found,) = check(GSM8K, "train.steps=20", "gsm8k_exgrpo.train.steps=30")
    assert (found.id, found.message) == ("bad-override", "`gsm8k_exgrpo.train.steps` is set twice.")
    assert found.span.source.text == "gsm8k_exgrpo.train.steps=30"
    assert found.hint == "remove this, or `--set train.steps=20` before it"


def test_a_report_that_shows_replaced_text_shows_what_took_its_place() -> None:
    found = check(GSM8K, "train.group={ full: 8 }", "train.compare={ partial: 4 }")
    (bonus,) = [item for item in found if item.id == "dead-bonus"]
    shown = {label.text: label.span.source.text[label.span.start :] for label in bonus.labels[-2:]}
    assert shown == {
        "`train.group` was set to this": "{ full: 8 }",
        "`train.compare` was set to this": "{ partial: 4 }",
    }


def test_a_report_about_other_text_has_no_such_label() -> None:
    found = check(GSM8K.replace("item.gold }}", "item.glod }}"), "train.steps=20")
    assert found
    assert not [label for item in found for label in item.labels if label.span.source.name == "--set"]
