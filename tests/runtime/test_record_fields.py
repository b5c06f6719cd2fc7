"""Fields that hold records: converted strictly, read by their path, kept from the student as a whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from exgrpo_artifact.answers import extract_answer
from exgrpo_artifact.evaluate import evaluate_graph
from exgrpo_artifact.manifest import FieldType, Manifest, RecordField, read_answer_spec
from exgrpo_artifact.validation import validate_json
from exgrpo_runtime.data.convert import Misfit, convert_value
from exgrpo_runtime.data.rows import load_rows
from exgrpo_runtime.probing.leaks import find_stated_secret
from exgrpo_runtime.probing.replies import parse_reply
from exgrpo_runtime.templates import TemplateSet
from tests.support.compiling import compile_files
from tests.support.data import ROOT

SPEC = (ROOT / "tests/compiler/records.exg").read_text("utf-8")
ROW: dict[str, Any] = {
    "story": {
        "title": "Three red hens",
        "words": ["three"],
        "place": {"town": "Ulm", "year": "1999"},
        "page": 7,
    },
    "parts": [{"name": "hen", "count": 3}, {"name": "egg", "count": 2}],
    "answer": {"value": "12", "steps": ["3 * 4"]},
}


def make_record(**fields: str) -> FieldType:
    return FieldType(
        kind="record",
        fields=tuple(RecordField(name=name, type=FieldType(kind=kind)) for name, kind in fields.items()),  # type: ignore[arg-type]
    )


def compile_spec(rows: list[dict[str, Any]], folder: Path) -> tuple[Manifest, dict[str, str]]:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    files = compile_files(SPEC.replace('"rows.jsonl"', json.dumps(str(path))))
    return validate_json(Manifest, files["manifest.json"]), files


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": "x", "b": "1,200"}, {"a": "x", "b": 1200}),
        ({"a": "x", "b": 2, "c": "not declared"}, {"a": "x", "b": 2}),
        ({"a": "x"}, Misfit("missing-value", "`b`: it is not there")),
        ({"a": None, "b": 1}, Misfit("missing-value", "`a`: it is null")),
        ({"a": 1, "b": 1}, Misfit("not-a-text", "`a`: 1 is not text")),
        ("x", Misfit("not-a-record", "'x' is not a record")),
        ([1], Misfit("not-a-record", "[1] is not a record")),
    ],
)
def test_a_record_converts_as_a_whole_or_not_at_all(value: Any, expected: Any) -> None:
    assert convert_value(value, make_record(a="text", b="number")) == expected


def test_a_list_of_records_names_the_element_and_the_field_that_do_not_fit() -> None:
    kind = FieldType(kind="list", element=make_record(n="int"))
    assert convert_value([{"n": 1}, {"n": "2"}], kind) == [{"n": 1}, {"n": 2}]
    assert convert_value([{"n": 1}, {"n": 0.5}], kind) == Misfit(
        "not-an-int", "element 1: `n`: 0.5 is not a whole number"
    )


def test_rows_keep_what_is_declared_and_are_rejected_with_the_path_to_what_is_wrong(tmp_path: Path) -> None:
    wrong = {**ROW, "story": {**ROW["story"], "place": {"town": "Ulm", "year": "soon"}}}
    manifest, _ = compile_spec([ROW, wrong, ROW, ROW, ROW], tmp_path)
    loaded = load_rows(manifest, "rows")
    assert loaded.rows["train"][0].fields["story"] == {
        "title": "Three red hens",
        "words": ["three"],
        "place": {"town": "Ulm", "year": 1999},
    }
    (rejection,) = loaded.rejections
    assert rejection.reason == "not-a-number"
    assert rejection.detail == "field `story`: `place`: `year`: 'soon' is not a number"


def test_templates_and_graphs_read_a_record_by_its_path(tmp_path: Path) -> None:
    manifest, files = compile_spec([ROW] * 5, tmp_path)
    row = load_rows(manifest, "rows").rows["train"][0]
    dialogue = manifest.dialogues["d"]
    prompts = {name: text for name, text in files.items() if name.endswith(".jinja")}
    said = TemplateSet(prompts).render(dialogue.closing[-1].target or "", item=row.fields)
    assert said == "3 * 4 12"
    applies = manifest.rules["where_is"].applies_when
    assert applies is not None
    assert evaluate_graph(applies, item=row.fields) is True  # three words
    nodes = {node.id: node for node in validate_reward(files)}
    (gold,) = [node for node in nodes.values() if node.op == "item"]
    assert gold.params == {"field": "answer.value"}
    (matches,) = [node for node in nodes.values() if node.params.get("fn") == "matches"]
    assert extract_answer("so 12", read_answer_spec(matches.params["answer"])) == "12"


def validate_reward(files: dict[str, str]) -> Any:
    from exgrpo_artifact.graph import RewardFile

    return validate_json(RewardFile, files["reward.json"]).rewards["r"].nodes


def test_a_reply_holds_records_as_they_are_yielded(tmp_path: Path) -> None:
    manifest, _ = compile_spec([ROW] * 5, tmp_path)
    yields = manifest.probes["ask"].yields
    good = {"question": "Where?", "hint": {"first": "In Ulm.", "others": []}}
    assert parse_reply(json.dumps(good), yields) == good
    bad = parse_reply(json.dumps({**good, "hint": {"first": "In Ulm."}}), yields)
    assert bad == Misfit("malformed-reply", "`hint`: `others`: it is not there")


def test_a_probe_that_states_a_field_of_a_secret_record_states_the_secret(tmp_path: Path) -> None:
    manifest, _ = compile_spec([ROW] * 5, tmp_path)
    dataset, yields = manifest.datasets["rows"], manifest.probes["ask"].yields
    item = load_rows(manifest, "rows").rows["train"][0].fields
    hint = {"first": "", "others": []}
    stated = find_stated_secret(dataset, item, {"question": "Why is it 12?", "hint": hint}, yields)
    assert stated == "answer.value"
    assert find_stated_secret(dataset, item, {"question": "Why hens?", "hint": hint}, yields) is None
