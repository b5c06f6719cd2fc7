"""The header of a dataset's card: YAML that tells the library `datasets` which files there are and the types of their columns.

Written without a YAML library, which a run that only asks a teacher does without; names stand in quotes, since one may be `no`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from exgrpo_artifact.manifest import FieldType, Manifest, ProbeStage
from exgrpo_runtime.cards import quote, write_license
from exgrpo_runtime.probing.dataset_folder import Columns

_DTYPES = {
    "text": "string",
    "choice": "string",
    "number": "float64",
    "int": "int64",
    "bool": "bool",
    "any": "string",
}
_TEXT = FieldType(kind="text")
_PROBE_COLUMNS = {
    "row": _TEXT,
    "rule": _TEXT,
    "reveals": FieldType(kind="bool"),
    "sample": FieldType(kind="int"),
}
_REJECTION_COLUMNS = {
    **dict.fromkeys(("row", "rule", "reason", "detail"), _TEXT),
    "sample": FieldType(kind="int"),
}


def write_header(
    manifest: Manifest, stage: ProbeStage, columns: Columns, files: Mapping[str, Any]
) -> Iterator[str]:
    """The lines of the header, with the marks around it.

    Args:
        manifest: the task.
        stage: the stage.
        columns: of `list_columns`.
        files: what `write_data_files` said.
    """
    dataset = manifest.datasets[manifest.probes[stage.probes].dataset]
    yield "---"
    yield from write_license(dataset.license)
    yield f"pretty_name: {quote(f'{manifest.task}: {stage.probes}')}"
    yield from ("tags:", "- exgrpo", "- synthetic", "configs:")
    yield from ("- config_name: probes", "  default: true", *_write_files("data", stage.split))
    if files["rejections"]:  # the library does not load a part that has no row
        yield from ("- config_name: rejections", *_write_files("rejections", stage.split))
    yield from ("dataset_info:", "- config_name: probes", "  features:")
    yield from _write_fields(_PROBE_COLUMNS, "  ")
    for struct, fields in columns.items():
        yield from (f"  - name: {quote(struct)}", "    struct:")
        typed = {
            name: _TEXT if f"{struct}.{name}" in files["as_text"] else kind for name, kind in fields.items()
        }
        yield from _write_fields(typed, "    ")
    if files["rejections"]:
        yield from ("- config_name: rejections", "  features:", *_write_fields(_REJECTION_COLUMNS, "  "))
    yield "---"


def _write_files(folder: str, split: str) -> Iterator[str]:
    yield from (
        "  data_files:",
        f"  - split: {quote(split)}",
        f"    path: {quote(f'{folder}/{split}.jsonl')}",
    )


def _write_fields(fields: Mapping[str, FieldType], indent: str) -> Iterator[str]:
    for name, kind in fields.items():
        yield from (f"{indent}- name: {quote(name)}", *_write_type(kind, indent + "  "))


def _write_type(kind: FieldType, indent: str) -> Iterator[str]:
    if kind.kind == "record":
        yield from (f"{indent}struct:", *_write_fields(_get_fields(kind), indent))
    elif kind.kind != "list":
        yield f"{indent}dtype: {_DTYPES[kind.kind]}"
    else:
        element = kind.element or FieldType(kind="any")
        if element.kind == "record":
            yield from (f"{indent}list:", *_write_fields(_get_fields(element), indent))
        elif element.kind == "list":
            yield from (f"{indent}list:", *_write_type(element, indent + "  "))
        else:
            yield f"{indent}list: {_DTYPES[element.kind]}"


def _get_fields(record: FieldType) -> dict[str, FieldType]:
    return {field.name: field.type for field in record.fields}
