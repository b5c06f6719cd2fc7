from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from exgrpo_artifact.errors import DataError
from exgrpo_artifact.manifest import (
    DataField,
    FieldType,
    Manifest,
    Model,
    ProbeStage,
    RecordField,
    Sampling,
    Source,
    Yield,
)
from exgrpo_artifact.record import replace as change
from exgrpo_runtime.cards import Origin, build_command
from exgrpo_runtime.context import Context
from exgrpo_runtime.probing.dataset_card import write_card
from exgrpo_runtime.probing.dataset_folder import FOLDER, hash_replies, write_data_files
from exgrpo_runtime.records import Probe, Rejection, Row
from exgrpo_runtime.teachers.store import ReplyStore
from exgrpo_runtime.teachers.teacher import Reply, Request
from tests.runtime.factory import make_artifact, make_context
from tests.runtime.test_probing import make_consistent

STAGE = ProbeStage(name="probe", probes="ask", split="train")
RECORD = FieldType(
    kind="record",
    fields=(
        RecordField(name="who", type=FieldType(kind="text")),
        RecordField(
            name="deep",
            type=FieldType(kind="record", fields=(RecordField(name="n", type=FieldType(kind="number")),)),
        ),
    ),
)
TYPES = {
    "question": FieldType(kind="text"),
    "gold": FieldType(kind="number"),
    "steps": FieldType(kind="int"),
    "easy": FieldType(kind="bool"),
    "letter": FieldType(kind="choice", options=("A", "B")),
    "parts": FieldType(kind="list", element=FieldType(kind="list", element=FieldType(kind="number"))),
    "notes": FieldType(kind="any"),
    "meta": RECORD,
    "turns": FieldType(kind="list", element=RECORD),
}
ROWS = [
    {
        "question": "Kolik? \u2028 je\n1 + 1 \U0001f600",
        "gold": 2,
        "steps": 1,
        "easy": True,
        "letter": "A",
        "parts": [[1, 2.5], []],
        "notes": {"a": [1, "x"]},
        "meta": {"who": "Ann", "deep": {"n": 3}},
        "turns": [{"who": "Bo", "deep": {"n": 0.5}}],
    },
    {"question": "", "gold": 0.5, "steps": 9, "easy": False, "letter": "B", "parts": [], "notes": "plain"}
    | {"meta": {"who": "", "deep": {"n": 0}}, "turns": []},
]
RUN = {
    "task": "sums",
    "spec": "my specs/sums.exg",
    "overrides": ["tutor.temperature=0.5"],
    "limit": 9,
    "shard": "2/4",
}
SUMMARY = {
    "rows": 3,
    "funnel": {"why": {"not-applicable": 1, "asked": 4, "malformed-reply": 1, "consistent": 1, "kept": 2}},
    "repairs": {"asked": 3, "mended": 2, "by_rule": {}},
    "probes_kept": 2,
    "items_kept": 2,
    "items_dropped": 1,
    "items_dropped_by": {"no-probes": 1},
}


def make_stage(path: Path, rows: list[dict[str, Any]] = ROWS, **changes: Any) -> Context:
    """A finished probe stage: a probe about each row, and one rejection."""
    artifact = make_artifact()
    sums = artifact.manifest.datasets["sums"]
    column = sums.fields[0].value
    fields = tuple(
        DataField(name=name, type=kind, secret=name == "gold", value=column) for name, kind in TYPES.items()
    )
    declaration = change(
        artifact.manifest.probes["ask"],
        yields=(
            Yield(name="question", type=TYPES["question"], open=True),
            Yield(name="n", type=TYPES["steps"], open=False),
        ),
        keeps=(make_consistent(),),
    )
    manifest = change(
        artifact.manifest,
        datasets={"sums": change(sums, fields=fields, **changes)},
        probes={"ask": declaration},
    )
    context = make_context(path, artifact._replace(manifest=manifest))
    held = [Row(f"train:{place}:ab", "train", fields) for place, fields in enumerate([{}, *rows])]
    probes = [Probe(row.uid, "why", {"question": f"{row.uid}?", "n": 7}, False) for row in held[1:]]
    rejections = [Rejection("probe", "train:0:ab", "why", "malformed-reply", "no `question`")]
    for name, records in (("probes", probes), ("rejections", rejections)):
        lines = "".join(json.dumps(record.to_json()) + "\n" for record in records)
        (context.work / f"{name}.jsonl").write_text(lines, "utf-8")
    return replace(context, rows={"sums": {"train": held}})


def finish(context: Context, manifest: Manifest | None = None, **origin: Any) -> dict[str, Any]:
    """Writes folder and card; what the first says."""
    files = write_data_files(STAGE, context)
    given = Origin(**{"run": RUN, "data": {}, "files": {"sums.jsonl": "ab" * 32}, **origin})
    card = write_card(manifest or context.manifest, STAGE, {**SUMMARY, "dataset": files}, given)
    (context.work / FOLDER / "README.md").write_text(card, "utf-8")
    return files


def load(context: Context, home: Path, config: str | None = None) -> Any:
    datasets = pytest.importorskip("datasets")
    return datasets.load_dataset(str(context.work / FOLDER), config, cache_dir=str(home))["train"]


def read_header(context: Context) -> Mapping[str, Any]:
    yaml = pytest.importorskip("yaml")
    text = (context.work / FOLDER / "README.md").read_text("utf-8")
    found: Mapping[str, Any] = yaml.safe_load(text.split("---\n")[1])
    return found


def test_the_folder_loads_with_every_value_in_its_type(tmp_path: Path) -> None:
    context = make_stage(tmp_path)
    files = finish(context)
    assert (files["probes"], files["rejections"], files["as_text"]) == (2, 1, [])
    loaded = load(context, tmp_path / "cache")
    assert [row["item"] | {"notes": json.loads(row["item"]["notes"])} for row in loaded] == ROWS
    assert [row["probe"] for row in loaded] == [{"question": f"train:{n}:ab?", "n": 7} for n in (1, 2)]
    assert [(row["row"], row["rule"], row["reveals"], row["sample"]) for row in loaded] == [
        ("train:1:ab", "why", False, 0),
        ("train:2:ab", "why", False, 0),
    ]
    types = {name: str(kind) for name, kind in loaded.features["item"].items()}
    assert types == {
        "question": "Value('string')",
        "gold": "Value('float64')",
        "steps": "Value('int64')",
        "easy": "Value('bool')",
        "letter": "Value('string')",
        "parts": "List(List(Value('float64')))",
        "notes": "Value('string')",
        "meta": "{'who': Value('string'), 'deep': {'n': Value('float64')}}",
        "turns": "List({'who': Value('string'), 'deep': {'n': Value('float64')}})",
    }


def test_what_was_left_out_loads_with_its_reasons(tmp_path: Path) -> None:
    context = make_stage(tmp_path)
    finish(context)
    assert list(load(context, tmp_path / "cache", "rejections")) == [
        {
            "row": "train:0:ab",
            "rule": "why",
            "reason": "malformed-reply",
            "detail": "no `question`",
            "sample": None,
        }
    ]


def test_a_stage_that_left_nothing_out_loads_too(tmp_path: Path) -> None:
    context = make_stage(tmp_path)
    (context.work / "rejections.jsonl").write_text("")
    finish(context)
    assert len(load(context, tmp_path / "cache")) == 2
    assert [config["config_name"] for config in read_header(context)["configs"]] == ["probes"]


def test_whole_numbers_beyond_every_column_type_are_texts(tmp_path: Path) -> None:
    context = make_stage(tmp_path, [{**ROWS[0], "steps": 2**63}, {**ROWS[1], "steps": -(2**63)}])
    assert finish(context)["as_text"] == ["item.steps"]
    assert [row["item"]["steps"] for row in load(context, tmp_path / "cache")] == [str(2**63), str(-(2**63))]
    assert "| `item.steps` | int, as JSON text |" in (context.work / FOLDER / "README.md").read_text("utf-8")


def test_fields_may_be_named_as_yaml_names_truth_values(tmp_path: Path) -> None:
    context = make_stage(tmp_path)
    ask = change(
        context.manifest.probes["ask"],
        yields=tuple(Yield(name=name, type=TYPES["question"], open=True) for name in ("no", "on", "null")),
    )
    manifest = change(context.manifest, probes={"ask": ask})
    context = replace(context, artifact=context.artifact._replace(manifest=manifest))
    lines = (context.work / "probes.jsonl").read_text().replace('"question"', '"no"').replace('"n"', '"on"')
    (context.work / "probes.jsonl").write_text(lines.replace('"on": 7', '"on": "x", "null": "y"'))
    finish(context)
    assert load(context, tmp_path / "cache")[0]["probe"] == {"no": "train:1:ab?", "on": "x", "null": "y"}


def test_probes_of_other_rows_are_told(tmp_path: Path) -> None:
    context = make_stage(tmp_path)
    with pytest.raises(DataError, match="a probe is about row train:1:ab, which is not there"):
        write_data_files(STAGE, replace(context, rows={"sums": {"train": context.rows["sums"]["train"][2:]}}))


# --- the card ---------------------------------------------------------------------------------------------


def test_the_card_says_what_was_asked_of_whom_and_what_was_left_out(tmp_path: Path) -> None:
    context = make_stage(tmp_path, doc="Sums.")
    tutor = Model(
        name="tutor",
        kind="openai",
        id="big-1",
        revision="r7",
        base_url="https://teacher.internal/v1",
        sampling=Sampling(temperature=0.5),
        license="the vendor's terms, 2026 | no competing models",
    )
    manifest = change(context.manifest, models={**context.manifest.models, "tutor": tutor})
    files = finish(context, manifest)
    card = (context.work / FOLDER / "README.md").read_text("utf-8")
    for words in (
        "2 probes about 2 of 3 rows of `sums` (split `train`)",
        "- **why**: Ask why.",
        "- **consistent** (of probes): agrees([probe.question, probe.answer, item.question], item.gold, model: tutor)",
        "| why | 4 | 2 | 50.0% | 1 malformed-reply, 1 consistent |",
        "Asked for by one request for each row and rule.",
        "Replies that could not be read were sent back once: 2 of 3 were mended.",
        "Rows left without a probe: 1 (1 no-probes).",
        "| teacher `tutor` | `big-1` at revision `r7`, behind an OpenAI-compatible URL, temperature 0.5 | "
        "the vendor's terms, 2026 \\| no competing models |",
        "| `item.gold` | number, kept from the student |",
        f"| artifact | `{manifest.content_hash}` |",
        f"| rows: `sums.jsonl` | `{'ab' * 32}` |",
        f"| 0 stored replies | `{files['replies_sha256']}` |",
        "exgrpo run 'my specs/sums.exg' --task sums --set tutor.temperature=0.5 --stage probe --limit 9 --shard 2/4",
    ):
        assert words in card
    assert "teacher.internal" not in card


@pytest.mark.parametrize(
    ("license", "header", "body"),
    [
        (None, {}, "jsonl: `sums.jsonl` | not declared |"),
        ("MIT", {"license": "mit"}, "| MIT |"),
        ("cc-by-4.0", {"license": "cc-by-4.0"}, "| cc-by-4.0 |"),
        ('ask "us"', {"license": "other", "license_name": 'ask "us"'}, '| ask "us" |'),
    ],
)
def test_licences_are_as_declared_or_said_not_to_be(
    tmp_path: Path, license: str | None, header: dict[str, str], body: str
) -> None:
    context = make_stage(tmp_path, license=license)
    finish(context)
    found = read_header(context)
    assert {name: found[name] for name in ("license", "license_name") if name in found} == header
    card = (context.work / FOLDER / "README.md").read_text("utf-8")
    assert body in card
    assert "plugin | not declared |" in card


def test_a_source_of_the_hub_has_its_revision_and_commit(tmp_path: Path) -> None:
    source = Source(
        kind="hf", location="org/rows", options={"config": "main", "revision": "v2", "token": "x"}
    )
    context = make_stage(tmp_path, source=source)
    finish(context, data={"commit": "c0" * 20}, files={})
    card = (context.work / FOLDER / "README.md").read_text("utf-8")
    assert f"| hf: `org/rows`, config main, revision v2, commit `{'c0' * 20}` | not declared |" in card


def test_a_source_of_many_files_has_one_hash_for_them(tmp_path: Path) -> None:
    context = make_stage(tmp_path)
    finish(context, files={f"rows/{number}.jsonl": f"{number:064x}" for number in range(9)})
    card = (context.work / FOLDER / "README.md").read_text("utf-8")
    assert "| rows: `9 files` |" in card
    assert "rows/0.jsonl" not in card


def test_an_artifact_is_run_again_as_it_is() -> None:
    command = build_command(
        "probe", {"task": "sums", "spec": "build/sums", "overrides": ["a=1"], "limit": None}
    )
    assert command == "exgrpo run build/sums --stage probe"


# --- replies ----------------------------------------------------------------------------------------------


def test_the_hash_of_replies_knows_their_contents_and_not_their_order_or_time(tmp_path: Path) -> None:
    model = Model(name="tutor", kind="plugin", id="x")
    requests = [Request(model, ({"role": "user", "content": text},)) for text in ("a", "b")]
    hashes = []
    for name, order, texts in (("one", (0, 1), "xy"), ("two", (1, 0), "xy"), ("three", (0, 1), "xz")):
        with ReplyStore(tmp_path / f"{name}?#.sqlite") as store:
            for place in order:
                store.put(requests[place], Reply(texts[place]))
            hashes.append(hash_replies(store.path))
    assert hashes[0] == hashes[1]
    assert hashes[0][0] == 2
    assert hashes[0][1] != hashes[2][1]
