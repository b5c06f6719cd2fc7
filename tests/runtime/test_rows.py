from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from exgrpo_artifact.errors import DataError, MissingDependencyError, SourceError
from exgrpo_artifact.graph import Graph, Node
from exgrpo_artifact.manifest import DataField, Dataset, FieldType, Manifest, Source, Split
from exgrpo_artifact.record import replace
from exgrpo_runtime.data.convert import Misfit, convert_value
from exgrpo_runtime.data.rows import LoadedRows, load_rows
from exgrpo_runtime.inputs import hash_data_inputs
from exgrpo_runtime.records import Probe, Rejection, Row
from tests.runtime.factory import make_artifact
from tests.support.cli import build_environment
from tests.support.hub import make_commit, serve_hub
from tests.support.plugin import install_plugin

TEXT, NUMBER = FieldType(kind="text"), FieldType(kind="number")
ROWS = [{"question": f"{i} + 1?", "gold": i + 1} for i in range(10)]


def make_field(name: str, field_type: FieldType = TEXT, value: Graph | None = None) -> DataField:
    column = Graph(nodes=(Node(id="c", op="column", params={"name": name}),), result="c")
    return DataField(name=name, type=field_type, secret=name == "gold", value=value or column)


FIELDS = (make_field("question"), make_field("gold", NUMBER))


def load(
    source: Source,
    splits: Mapping[str, Split] | None = None,
    fields: tuple[DataField, ...] = FIELDS,
    limit: int | None = None,
) -> LoadedRows:
    dataset = Dataset(
        name="sums", source=source, splits=dict(splits or {"train": Split(part="train")}), fields=fields
    )
    manifest: Manifest = make_artifact().manifest
    return load_rows(replace(manifest, datasets={"sums": dataset}), "sums", limit=limit)


def write_jsonl(path: Path, rows: list[Any]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return str(path)


# --- sources ----------------------------------------------------------------------------------------------


def test_rows_of_a_part_have_their_fields_and_stable_names(tmp_path: Path) -> None:
    source = Source(kind="jsonl", parts={"train": write_jsonl(tmp_path / "a.jsonl", ROWS)})
    loaded = load(source)
    assert [row.fields for row in loaded.rows["train"]] == ROWS
    assert [row.uid for row in loaded.rows["train"]] == [row.uid for row in load(source).rows["train"]]
    assert len({row.uid for row in loaded.rows["train"]}) == len(ROWS)
    assert loaded.summary == {
        "rows": 10,
        "splits": {"train": {"source": 10, "valid": 10, "rejected": 0}},
        "reasons": {},
    }


def test_fractions_partition_the_rows_in_order(tmp_path: Path) -> None:
    source = Source(kind="jsonl", location=write_jsonl(tmp_path / "a.jsonl", ROWS))
    loaded = load(source, {"train": Split(fraction=0.75), "test": Split(fraction=0.25)})
    assert [row.fields for split in ("train", "test") for row in loaded.rows[split]] == ROWS
    assert len(loaded.rows["train"]) == 8
    assert not {row.uid for row in loaded.rows["train"]} & {row.uid for row in loaded.rows["test"]}


def test_a_limit_takes_the_first_source_rows_of_every_split(tmp_path: Path) -> None:
    rows = [{"question": "bad", "gold": "many"}, *ROWS]
    source = Source(kind="jsonl", location=write_jsonl(tmp_path / "a.jsonl", rows))
    loaded = load(source, {"train": Split(fraction=0.5), "test": Split(fraction=0.5)}, limit=3)
    assert loaded.summary["splits"] == {
        "train": {"source": 3, "valid": 2, "rejected": 1},
        "test": {"source": 3, "valid": 3, "rejected": 0},
    }


def test_csv_parquet_and_saved_datasets_hold_the_same_rows(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    lines = ["question,gold", *(f'"{row["question"]}",{row["gold"]}' for row in ROWS)]
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    table = datasets.Dataset.from_list(ROWS)
    table.to_parquet(str(tmp_path / "a.parquet"))
    datasets.DatasetDict({"train": table}).save_to_disk(str(tmp_path / "saved"))
    (tmp_path / "folder").mkdir()
    table.to_parquet(str(tmp_path / "folder" / "train.parquet"))
    sources = [
        Source(kind="csv", parts={"train": str(tmp_path / "a.csv")}),
        Source(kind="parquet", parts={"train": str(tmp_path / "a.parquet")}),
        Source(kind="hf", location=str(tmp_path / "saved")),
        Source(kind="hf", location=str(tmp_path / "folder")),
    ]
    for source in sources:
        assert [row.fields for row in load(source).rows["train"]] == ROWS, source
    for source in sources[2:]:
        by_fraction = load(source, {"train": Split(fraction=1.0)})
        assert [row.fields for row in by_fraction.rows["train"]] == ROWS


def test_arrow_files_and_streams_hold_the_same_rows(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    table = pa.Table.from_pylist(ROWS)
    for name, opened in (("file", pa.ipc.new_file), ("stream", pa.ipc.new_stream)):
        path = tmp_path / f"{name}.arrow"
        with opened(str(path), table.schema) as sink:
            sink.write_table(table, max_chunksize=4)
        source = Source(kind="arrow", location=str(path))
        loaded = load(source, {"train": Split(fraction=0.5), "test": Split(fraction=0.5)})
        assert [row.fields for split in loaded.rows.values() for row in split] == ROWS, name
        assert [len(split) for split in loaded.rows.values()] == [5, 5]


@pytest.mark.parametrize("kind", ["arrow", "parquet"])
@pytest.mark.parametrize(
    "content", [b"", b"nonsense that is no table of any kind", b"ARROW1 nonsense", b"PAR1 nonsense"]
)
def test_bytes_that_are_no_table_are_told(tmp_path: Path, kind: str, content: bytes) -> None:
    pytest.importorskip("pyarrow")
    (tmp_path / "a.bin").write_bytes(content)
    with pytest.raises(DataError, match=rf"a.bin is not an? {kind} file"):
        load(Source(kind=kind, parts={"train": str(tmp_path / "a.bin")}))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["arrow", "parquet"])
def test_a_missing_table_says_where_paths_start(tmp_path: Path, kind: str) -> None:
    pytest.importorskip("pyarrow")
    with pytest.raises(SourceError, match=r"absent.bin cannot be read.*relative to the directory"):
        load(Source(kind=kind, parts={"train": str(tmp_path / "absent.bin")}))  # type: ignore[arg-type]


def write_folder(path: Path) -> str:
    """A dataset directory as one of the hub's, with a card that names its files by config and split."""
    (path / "rows").mkdir(parents=True)
    write_jsonl(path / "rows" / "first.jsonl", ROWS[:6])
    write_jsonl(path / "rows" / "last.jsonl", ROWS[6:])
    header = (
        "configs:\n"
        "- config_name: easy\n  data_files:\n  - {split: train, path: rows/first.jsonl}\n"
        "- config_name: all\n  data_files:\n  - {split: train, path: rows/*.jsonl}\n"
    )
    (path / "README.md").write_text(f"---\n{header}---\n# Sums\n")
    return str(path)


@pytest.mark.parametrize("streaming", [False, True])
def test_a_local_dataset_directory_has_the_configs_and_splits_of_its_card(
    tmp_path: Path, streaming: bool
) -> None:
    pytest.importorskip("datasets")
    location = write_folder(tmp_path / "folder")
    for config, expected in (("easy", ROWS[:6]), ("all", ROWS)):
        source = Source(kind="hf", location=location, options={"config": config, "streaming": streaming})
        assert [row.fields for row in load(source).rows["train"]] == expected
        loaded = load(source, {"train": Split(fraction=0.5), "test": Split(fraction=0.5)})
        assert [row.fields for split in loaded.rows.values() for row in split] == expected
        assert len(loaded.rows["train"]) == len(expected) // 2
        assert "commit" not in loaded.summary
    with pytest.raises(SourceError, match=r"no part `tset`. Parts: `train`"):
        load(Source(kind="hf", location=location, options={"config": "easy"}), {"t": Split(part="tset")})


def test_a_dataset_saved_without_parts_is_split_by_fractions_only(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.Dataset.from_list(ROWS).save_to_disk(str(tmp_path / "saved"))
    source = Source(kind="hf", location=str(tmp_path / "saved"))
    assert [row.fields for row in load(source, {"all": Split(fraction=1.0)}).rows["all"]] == ROWS
    with pytest.raises(SourceError, match=r"no part `gold`. Parts: none by name"):
        load(source, {"train": Split(part="gold")})


HUB_PROGRAM = """
import json, sys
from exgrpo_artifact.manifest import Source, Split
from tests.runtime.test_rows import load
loaded = load(Source(kind="hf", location="org/name", options=json.loads(sys.argv[1])), limit=3)
print(json.dumps([[row.fields["question"] for row in loaded.rows["train"]], loaded.summary["commit"]]))
"""


@pytest.mark.parametrize("streaming", [False, True])
def test_a_name_of_the_hub_is_loaded_at_its_revision_and_the_commit_is_kept(
    tmp_path: Path, streaming: bool
) -> None:
    pytest.importorskip("datasets")
    for revision in ("v1", "v2"):
        (tmp_path / revision).mkdir()
        rows = [{"question": f"{revision} {number}?", "gold": number} for number in range(9)]
        write_jsonl(tmp_path / revision / "train.jsonl", rows)
    with serve_hub({("org/name", revision): tmp_path / revision for revision in ("v1", "v2")}) as hub:
        environment = build_environment(hub.build_environment(tmp_path / "home"))
        for revision in ("v1", "v2"):
            options = json.dumps({"revision": revision, "streaming": streaming})
            process = subprocess.run(
                [sys.executable, "-c", HUB_PROGRAM, options],
                env=environment,
                cwd=Path(__file__).parents[2],
                capture_output=True,
                text=True,
                check=False,
            )
            assert process.returncode == 0, process.stderr
            questions, commit = json.loads(process.stdout.splitlines()[-1])
            assert questions == [f"{revision} {number}?" for number in range(3)]
            assert commit == make_commit(revision)
            assert f"GET /api/datasets/org/name/revision/{revision}" in hub.requests
    assert hub.tokens == {None}


def test_a_hub_that_cannot_be_reached_says_what_to_do_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(SourceError, match=r"`nobody/no-such-rows`.*--set 'sums.source=jsonl"):
        load(Source(kind="hf", location="nobody/no-such-rows"))


@pytest.mark.parametrize(
    ("kind", "module", "extra"),
    [("parquet", "pyarrow", "probe"), ("arrow", "pyarrow", "probe"), ("hf", "datasets", "train")],
)
def test_a_library_that_is_missing_is_told_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, kind: str, module: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    source = Source(kind=kind, location="rows")  # type: ignore[arg-type]
    with pytest.raises(
        MissingDependencyError, match=rf"needs the extra `{extra}`: pip install 'exgrpo\[{extra}\]'"
    ):
        load(source, {"train": Split(fraction=1.0)})


def test_an_unknown_part_is_told_with_those_there_are(tmp_path: Path) -> None:
    source = Source(kind="jsonl", parts={"train": write_jsonl(tmp_path / "a.jsonl", ROWS)})
    with pytest.raises(SourceError, match=r"no part `tset`. Parts: `train`"):
        load(source, {"test": Split(part="tset")})


def test_plugin_sources_get_their_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = """
        def make(rows=2):
            if rows < 0:
                raise ValueError("rows < 0")
            return {"train": [{"question": "q", "gold": i} for i in range(rows)]} if rows else []
    """
    install_plugin(tmp_path, monkeypatch, "exgrpo.sources", "sums", code, "make")
    loaded = load(Source(kind="plugin", location="sums", options={"rows": 3}))
    assert [row.fields["gold"] for row in loaded.rows["train"]] == [0, 1, 2]
    for options, words in [({"rows": -1}, "rows < 0"), ({"rosw": 3}, "rosw"), ({"rows": 0}, "gave list")]:
        with pytest.raises(SourceError, match=words):
            load(Source(kind="plugin", location="sums", options=options))
    with pytest.raises(SourceError, match=r"Registered: .*sums"):
        load(Source(kind="plugin", location="smus"))


LAZY = """
    class Lazy:
        opened = 0
        def __iter__(self):
            Lazy.opened += 1
            for i in range(10):
                if i == {fails_at}:
                    raise OSError("line is dead")
                yield {row}

    def make():
        return {{"train": Lazy()}}

    def spend():
        return {{"train": (row for row in [])}}
"""


def test_a_plugin_may_make_its_rows_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = LAZY.format(fails_at=99, row='{"question": "q", "gold": i}')
    install_plugin(tmp_path, monkeypatch, "exgrpo.sources", "lazy", code, "make")
    halves = {"train": Split(fraction=0.5), "test": Split(fraction=0.5)}
    loaded = load(Source(kind="plugin", location="lazy"), halves)
    assert [[row.fields["gold"] for row in split] for split in loaded.rows.values()] == [
        [0, 1, 2, 3, 4],
        [5, 6, 7, 8, 9],
    ]


@pytest.mark.parametrize(
    ("fails_at", "row", "attribute", "words"),
    [
        (4, '{"question": "q", "gold": i}', "make", "failed while its rows were read: OSError: line is dead"),
        (99, "[i]", "make", "gave list for a row, not a record"),
        (99, "{}", "spend", "gave generator, not parts by name.*`__iter__` begins anew"),
    ],
)
def test_a_plugin_that_breaks_off_or_gives_no_rows_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails_at: int, row: str, attribute: str, words: str
) -> None:
    install_plugin(
        tmp_path, monkeypatch, "exgrpo.sources", "lazy", LAZY.format(fails_at=fails_at, row=row), attribute
    )
    with pytest.raises(SourceError, match=words):
        load(Source(kind="plugin", location="lazy"))


def test_a_source_that_shrinks_between_counting_and_reading_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = """
        class Shrinking:
            left = 5
            def __iter__(self):
                for i in range(Shrinking.left):
                    yield {"question": "q", "gold": i}
                Shrinking.left = 3

        def make():
            return {"train": Shrinking()}
    """
    install_plugin(tmp_path, monkeypatch, "exgrpo.sources", "shrinking", code, "make")
    with pytest.raises(SourceError, match="lost rows while it was read: 2 that were counted are gone"):
        load(Source(kind="plugin", location="shrinking"), {"all": Split(fraction=1.0)})


@pytest.mark.parametrize(
    ("kind", "name"), [("jsonl", "first.jsonl"), ("hf", "."), ("hf", "README.md"), ("arrow", "first.jsonl")]
)
def test_a_changed_file_of_a_source_is_another_data_stage(tmp_path: Path, kind: str, name: str) -> None:
    write_folder(tmp_path)
    location = tmp_path if kind == "hf" else tmp_path / "rows" / name
    dataset = Dataset(
        name="sums",
        source=Source(kind=kind, location=str(location)),  # type: ignore[arg-type]
        splits={"train": Split(fraction=1.0)},
        fields=FIELDS,
    )
    manifest = replace(make_artifact().manifest, datasets={"sums": dataset})
    before = hash_data_inputs(manifest, None)
    assert hash_data_inputs(manifest, None) == before
    licensed = replace(manifest, datasets={"sums": replace(dataset, license="mit")})
    assert hash_data_inputs(licensed, None) == before
    with (tmp_path / "README.md" if name == "README.md" else tmp_path / "rows" / "first.jsonl").open(
        "a"
    ) as file:
        file.write("\n")
    assert hash_data_inputs(manifest, None) != before


def test_a_missing_file_says_where_paths_start(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"absent.jsonl cannot be read.*relative to the directory"):
        load(Source(kind="jsonl", parts={"train": str(tmp_path / "absent.jsonl")}))
    with pytest.raises(SourceError, match="cannot be read: Is a directory"):
        load(Source(kind="jsonl", parts={"train": str(tmp_path)}))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"question": "a", "gold": 1}\n{"question"\n', r"a.jsonl:2 is not JSON"),
        (b'{"question": "a", "gold": 1}\n\n[1]\n', r"a.jsonl:3 is not a JSON object"),
        (b'{"question": "caf\xe9", "gold": 1}\n', r"a.jsonl:1 is not UTF-8 \(byte 18"),
        (b'{"question": ' + b"[" * 100_000, r"a.jsonl:1 is not JSON"),
        (b'{"gold": ' + b"9" * 5000 + b"}", r"a.jsonl:1 is not JSON"),
    ],
)
def test_a_broken_line_stops_with_its_place(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(content)
    with pytest.raises(DataError, match=words):
        load(Source(kind="jsonl", parts={"train": str(tmp_path / "a.jsonl")}))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("question,gold\na,1,2\n", "a.csv:2 has 3 values; the header names 2"),
        ("gold,gold\n1,2\n", "a.csv:1 names a column twice"),
        ('question,gold\n"a,1\n', "not CSV"),
    ],
)
def test_a_broken_csv_stops_with_its_place(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(DataError, match=words):
        load(Source(kind="csv", parts={"train": str(tmp_path / "a.csv")}))


@pytest.mark.parametrize("content", ["", "\n\n"])
def test_an_empty_file_is_no_rows(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.jsonl").write_text(content)
    loaded = load(Source(kind="jsonl", parts={"train": str(tmp_path / "a.jsonl")}))
    assert loaded.rows == {"train": []}
    assert loaded.summary["splits"]["train"] == {"source": 0, "valid": 0, "rejected": 0}


# --- mapping ----------------------------------------------------------------------------------------------


def make_pipe(column: str, *steps: tuple[str, ...]) -> Graph:
    """`row.column | step(arguments) | …`."""
    nodes = [Node(id="v", op="column", params={"name": column})]
    for index, (name, *arguments) in enumerate(steps):
        before = nodes[-1].id
        constants = [
            Node(id=f"a{index}_{place}", op="const", params={"value": value})
            for place, value in enumerate(arguments)
        ]
        given = (before, *(constant.id for constant in constants))
        nodes += [*constants, Node(id=f"s{index}", op="call", args=given, params={"fn": name})]
    return Graph(nodes=tuple(nodes), result=nodes[-1].id)


def test_pipes_map_columns_and_rows_that_do_not_fit_are_counted_with_reasons(tmp_path: Path) -> None:
    fields = (
        make_field("question"),
        make_field("solution", value=make_pipe("answer", ("before", "####"), ("strip",))),
        make_field("gold", NUMBER, make_pipe("answer", ("after", "####"), ("number",))),
    )
    rows = [
        {"question": "a", "answer": "1 + 1 = 2 #### 2"},
        {"question": "b", "answer": "so #### 1,234"},
        {"question": "c", "answer": "no mark"},
        {"question": "d", "answer": "so #### many"},
        {"question": "e"},
        {"question": None, "answer": "so #### 2"},
        {"question": 3, "answer": "so #### 2"},
    ]
    source = Source(kind="jsonl", parts={"train": write_jsonl(tmp_path / "a.jsonl", rows)})
    loaded = load(source, fields=fields)
    assert [row.fields for row in loaded.rows["train"]] == [
        {"question": "a", "solution": "1 + 1 = 2", "gold": 2},
        {"question": "b", "solution": "so", "gold": 1234},
    ]
    assert [(rejection.row.split(":")[1], rejection.reason) for rejection in loaded.rejections] == [
        ("2", "failed-mapping"),
        ("3", "failed-mapping"),
        ("4", "missing-column"),
        ("5", "missing-value"),
        ("6", "not-a-text"),
    ]
    assert all(rejection.stage == "data" and rejection.rule is None for rejection in loaded.rejections)
    assert "field `solution`: the row has no column `answer`" in loaded.rejections[2].detail
    assert loaded.summary["reasons"]["failed-mapping"] == 2


@pytest.mark.parametrize(
    ("value", "field_type", "expected"),
    [
        ("a", TEXT, "a"),
        (72.0, NUMBER, 72),
        ("1,200.5", NUMBER, 1200.5),
        (" -3 ", NUMBER, -3),
        ("1e3", NUMBER, 1000),
        ("4.0", FieldType(kind="int"), 4),
        ("TRUE", FieldType(kind="bool"), True),
        (False, FieldType(kind="bool"), False),
        ("B", FieldType(kind="choice", options=("A", "B")), "B"),
        (["1", 2], FieldType(kind="list", element=NUMBER), [1, 2]),
        ({"a": [1.0, "x"]}, FieldType(kind="any"), {"a": [1, "x"]}),
    ],
)
def test_values_convert(value: Any, field_type: FieldType, expected: Any) -> None:
    converted = convert_value(value, field_type)
    assert (converted, type(converted)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("value", "field_type", "reason"),
    [
        (None, FieldType(kind="any"), "missing-value"),
        (3, TEXT, "not-a-text"),
        (["a"], TEXT, "not-a-text"),
        ("\ud800", TEXT, "not-unicode"),
        ("12 apples", NUMBER, "not-a-number"),
        ("1,20", NUMBER, "not-a-number"),
        ("", NUMBER, "not-a-number"),
        ("\u0663", NUMBER, "not-a-number"),
        (True, NUMBER, "not-a-number"),
        ({"n": 1}, NUMBER, "not-a-number"),
        (float("nan"), NUMBER, "not-finite"),
        ("1e999", NUMBER, "not-finite"),
        (10**400, NUMBER, "not-finite"),
        (2.5, FieldType(kind="int"), "not-an-int"),
        ("yes", FieldType(kind="bool"), "not-a-bool"),
        (1, FieldType(kind="bool"), "not-a-bool"),
        ("C", FieldType(kind="choice", options=("A", "B")), "not-an-option"),
        ("a", FieldType(kind="list", element=TEXT), "not-a-list"),
        ([1, "x"], FieldType(kind="list", element=NUMBER), "not-a-number"),
        ({"a": None}, FieldType(kind="any"), "missing-value"),
        (object(), FieldType(kind="any"), "not-plain"),
    ],
)
def test_values_that_do_not_fit_have_a_reason_and_are_never_coerced(
    value: Any, field_type: FieldType, reason: str
) -> None:
    misfit = convert_value(value, field_type)
    assert isinstance(misfit, Misfit)
    assert misfit.reason == reason


def test_records_survive_json() -> None:
    records = [
        Row("train:0:ab", "train", {"question": "q", "gold": 2}),
        Probe("train:0:ab", "why", {"question": "q"}, True),
        Rejection("probe", "train:0:ab", None, "malformed-reply", "lacks `answer`"),
    ]
    for record in records:
        assert type(record).from_json(json.loads(json.dumps(record.to_json()))) == record
