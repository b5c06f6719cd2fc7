"""How teachers are asked, from the text of a spec to what the artifact says: settings of probes, models and datasets."""

from __future__ import annotations

import json

import pytest

from exgrpo_artifact.manifest import EnvRef, Manifest
from exgrpo_artifact.validation import validate_json
from exgrpo_compiler.draw.pipeline import draw_pipeline
from exgrpo_compiler.dump_stages import dump_checked
from exgrpo_compiler.emit import ArtifactFiles
from exgrpo_compiler.lower.task import lower_task
from exgrpo_runtime.templates import TemplateSet
from tests.support.compiling import GSM8K, check, compile_files, compile_manifest, find_ids
from tests.support.testing import check_program

TOGETHER = GSM8K.replace(
    "  teacher = tutor\n", "  teacher = tutor\n  ask = together\n  samples = 3\n  per_rule = 2\n", 1
)
RULES = [{"name": "why", "instruction": "Ask why."}, {"name": "undo", "instruction": "Go back."}]
ITEM = {"question": "1 + 1?", "gold": 2, "solution": "It is 2."}


def edit_prompt(text: str, new: str) -> str:
    """The spec with its line about the rule put otherwise."""
    old = 'Rule "{{ rule.name }}": {{ rule.instruction }}'
    assert old in text
    return text.replace(old, new)


LISTED = edit_prompt(TOGETHER, "{% for rule in rules %}{{ rule.name }}: {{ rule.instruction }} {% endfor %}")


def render(files: ArtifactFiles, **values: object) -> str:
    return TemplateSet(files).render("prompts/invert.jinja", item=ITEM, **values)


def read_manifest(files: ArtifactFiles) -> Manifest:
    return validate_json(Manifest, files["manifest.json"])


# --- probes -------------------------------------------------------------------------------------------------


def test_by_default_each_rule_is_asked_once_by_itself() -> None:
    probes = compile_manifest(GSM8K).probes["invert"]
    assert (probes.ask, probes.samples, probes.per_rule) == ("per_rule", 1, None)


def test_rules_that_are_asked_together_get_an_object_under_their_names() -> None:
    files = compile_files(LISTED)
    probes = read_manifest(files).probes["invert"]
    assert (probes.ask, probes.samples, probes.per_rule) == ("together", 3, 2)
    text = render(files, rules=RULES)
    assert "why: Ask why. undo: Go back." in text
    assert text.endswith(
        "Reply with exactly one JSON object and nothing before or after it. It has one key for each rule: "
        '"why", "undo". Under each stands an object with these 3 keys and no others:\n'
        '- "question": a string\n- "rationale": a string\n- "answer": a string'
    )
    assert '"why". Under each' in render(files, rules=RULES[:1])


def test_a_prompt_made_for_the_other_way_of_asking_is_no_prompt() -> None:
    assert find_ids(TOGETHER) == ["unknown-name"]
    assert find_ids(LISTED.replace("  ask = together\n", "")) == ["unknown-name", "shadowed-name"]
    assert "`ask = together` asks by all rules at once" in check(TOGETHER)[0].message


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("invert.samples=2", ("per_rule", 2, None)),
        ("invert.per_rule=1", ("per_rule", 1, 1)),
        ("invert.ask=per_rule", ("per_rule", 1, None)),
    ],
)
def test_settings_of_probes_are_set_from_outside(override: str, expected: tuple[object, ...]) -> None:
    probes = compile_manifest(GSM8K, override).probes["invert"]
    assert (probes.ask, probes.samples, probes.per_rule) == expected
    assert find_ids(GSM8K, "invert.samples=0") == ["invalid-value"]


def test_how_probes_are_asked_for_changes_the_layer_of_prompts_and_no_other() -> None:
    plain, more = (compile_manifest(GSM8K, *overrides).hashes for overrides in ((), ("invert.samples=2",)))
    assert plain.prompts != more.prompts
    assert (plain.data, plain.reward, plain.train) == (more.data, more.reward, more.train)


# --- models and datasets ------------------------------------------------------------------------------------

MODEL = """model tutor = openai("gemini-1.5-pro", base_url: env("TEACHER_BASE_URL"), api_key: env("TEACHER_API_KEY")) {"""


def test_further_endpoints_stand_beside_the_first() -> None:
    assert MODEL in GSM8K
    urls = MODEL.replace('env("TEACHER_BASE_URL")', '[env("A"), "http://localhost:1/v1", env("B")]')
    tutor = compile_manifest(GSM8K.replace(MODEL, urls + '\n  json = object; license = "mine"')).models[
        "tutor"
    ]
    assert tutor.base_url == EnvRef(env="A")
    assert tutor.more_urls == ("http://localhost:1/v1", EnvRef(env="B"))
    assert (tutor.json, tutor.license) == ("object", "mine")
    other = compile_manifest(
        GSM8K, 'tutor.base_url=["http://a/v1", "http://b/v1"]', "tutor.json=none"
    ).models["tutor"]
    assert (other.base_url, other.more_urls, other.json) == ("http://a/v1", ("http://b/v1",), "off")


def test_one_endpoint_is_what_it_was() -> None:
    tutor = compile_manifest(GSM8K).models["tutor"]
    assert (tutor.base_url, tutor.more_urls) == (EnvRef(env="TEACHER_BASE_URL"), ())
    assert (tutor.json, tutor.license) == ("auto", None)


@pytest.mark.parametrize("model", ['replay("replies.sqlite")', 'hf("small", revision: "1")'])
def test_recorded_replies_and_local_weights_teach(model: str) -> None:
    tutor = compile_manifest(GSM8K, f"tutor={model} {{ temperature = 0.5 }}").models["tutor"]
    assert tutor.kind == model.partition("(")[0]
    assert tutor.sampling.temperature == 0.5


def test_where_rows_come_from_and_what_they_may_be_used_for() -> None:
    source = 'source = hf("openai/gsm8k", config: "main")'
    assert source in GSM8K
    text = GSM8K.replace(source, 'source = hf("openai/gsm8k", streaming: true)\n  license = "mit"')
    dataset = compile_manifest(text).datasets["gsm8k"]
    assert (dataset.source.options, dataset.license) == ({"streaming": True}, "mit")
    arrow = compile_manifest(GSM8K, 'gsm8k.source=arrow(train: "a.arrow", test: "b.arrow")').datasets["gsm8k"]
    assert (arrow.source.kind, arrow.source.parts) == ("arrow", {"train": "a.arrow", "test": "b.arrow"})
    assert arrow.license is None


def test_a_licence_does_not_change_what_a_teacher_answers() -> None:
    files = [compile_files(GSM8K), compile_files(GSM8K, 'tutor.license="cc0-1.0"')]
    hashes = [json.loads(one["manifest.json"])["hashes"] for one in files]
    assert hashes[0] == hashes[1]


# --- filters ------------------------------------------------------------------------------------------------

KEEPS = """
  keep probe fresh  where not duplicate(threshold: 0.9)
  keep probe sure   where majority(tutor, 5)
  keep probe agreed where both(tutor, second, texts: [item.question, probe.question], answer: item.gold)
  keep probe near   where similarity(probe.question, item.question) < 0.9
  keep probe own    where similarity(probe.question, item.question, by: encoder) < 0.9
}
"""
FILTERED = GSM8K.replace(
    GSM8K[GSM8K.index("  // Eq. 1") : GSM8K.index("dialogue tutorial")],
    KEEPS + 'model second = plugin("other")\nmodel encoder = hf("small", revision: "abc")\n\n',
)


def find_calls(keep_name: str) -> list[tuple[dict[str, object], list[str]]]:
    """Static parameters of a filter's calls, and what their arguments read."""
    keeps = {keep.name: keep.condition for keep in compile_manifest(FILTERED).probes["invert"].keeps}
    nodes = {node.id: node for node in keeps[keep_name].nodes}

    def describe(id_: str) -> str:
        node = nodes[id_]
        inner = ", ".join(map(describe, node.args))
        return f"[{inner}]" if node.op == "list" else f"{node.op}.{node.params['field']}"

    return [
        (node.params, [describe(arg) for arg in node.args]) for node in nodes.values() if node.op == "call"
    ]


def test_a_filter_of_duplicates_reads_what_the_student_may_see() -> None:
    assert find_calls("fresh") == [({"fn": "duplicate", "threshold": 0.9}, ["[probe.question]"])]


def test_a_majority_compares_with_the_probes_answer_by_the_dialogues_type() -> None:
    ((params, arguments),) = find_calls("sure")
    assert (params["fn"], params["model"], params["count"]) == ("majority", "tutor", 5)
    assert params["answer"] == {"kind": "number.last", "pattern": None, "which": "last", "type": None}
    assert arguments == ["[probe.question]", "probe.answer"]


def test_the_turn_after_a_probe_says_how_its_answer_is_read() -> None:
    typed = FILTERED.replace("assistant explain =", "assistant explain: text.normalized =")
    assert typed != FILTERED
    keeps = {keep.name: keep.condition for keep in compile_manifest(typed).probes["invert"].keeps}
    (call,) = [node for node in keeps["sure"].nodes if node.op == "call"]
    assert call.params["answer"]["kind"] == "text.normalized"


def test_both_is_a_majority_of_one_by_each_of_two_models() -> None:
    calls = find_calls("agreed")
    assert [(params["fn"], params["model"], params["count"]) for params, _ in calls] == [
        ("majority", "tutor", 1),
        ("majority", "second", 1),
    ]
    assert calls[0][1] == ["[item.question, probe.question]", "item.gold"]
    assert compile_manifest(FILTERED).models["second"].id == "other"


def test_similarity_names_whose_embeddings_it_compares() -> None:
    ((params, arguments),) = find_calls("near")
    assert params == {"fn": "similarity", "id": "sentence-transformers/all-MiniLM-L6-v2"}
    assert arguments == ["probe.question", "item.question"]
    ((params, _),) = find_calls("own")
    assert params == {"fn": "similarity", "by": "encoder", "id": "small", "revision": "abc"}


# --- what else shows a spec ---------------------------------------------------------------------------------


def test_pictures_and_reference_say_how_probes_are_asked_for() -> None:
    lowered = lower_task(check_program(LISTED), "gsm8k_exgrpo")
    (box,) = [one for one in draw_pipeline(lowered).boxes if one.title == "probe"]
    assert "asked together, 3 samples, 2 kept of each" in " ".join(box.lines)
    plain = draw_pipeline(lower_task(check_program(GSM8K), "gsm8k_exgrpo"))
    assert not any("samples" in line for one in plain.boxes for line in one.lines)


def test_the_checked_stage_holds_the_settings() -> None:
    checked = json.loads(dump_checked(check_program(LISTED)))
    text = json.dumps(checked)
    assert '"samples": 3' in text
    assert '"ask": "together"' in text
