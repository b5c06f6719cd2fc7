"""The header of a dataset's card: YAML that tells the library `datasets` which files there are and the types of their columns.

Written without a YAML library, which a run that only asks a teacher does without; names stand in quotes, since one may be `no`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from exgrpo_artifact.manifest import FieldType, Manifest, ProbeStage
from exgrpo_runtime.probing.dataset_folder import Columns

_DTYPES = {
    "text": "string",
    "choice": "string",
    "number": "float64",
    "int": "int64",
    "bool": "bool",
    "any": "string",
    "record": "string",
}
_LICENSE_ID = re.compile(r"[a-z0-9][a-z0-9.+-]*")


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
    if dataset.license is not None:
        is_id = _LICENSE_ID.fullmatch(dataset.license.lower())
        yield f"license: {_quote(dataset.license.lower() if is_id else 'other')}"
        if not is_id:
            yield f"license_name: {_quote(dataset.license)}"
    yield f"pretty_name: {_quote(f'{manifest.task}: {stage.probes}')}"
    yield from ("tags:", "- exgrpo", "- synthetic", "configs:")
    yield from ("- config_name: probes", "  default: true", *_write_files("data", stage.split))
    if files["rejections"]:  # the library does not load a part that has no row
        yield from ("- config_name: rejections", *_write_files("rejections", stage.split))
    yield from ("dataset_info:", "- config_name: probes", "  features:")
    yield from _write_features({"row": "string", "rule": "string", "reveals": "bool"}, "  ")
    for struct, fields in columns.items():
        yield from (f"  - name: {_quote(struct)}", "    struct:")
        for name, kind in fields.items():
            is_text = f"{struct}.{name}" in files["as_text"]
            yield from (f"    - name: {_quote(name)}", *_write_type("string" if is_text else kind, "      "))
    if files["rejections"]:
        yield from ("- config_name: rejections", "  features:")
        yield from _write_features(dict.fromkeys(("row", "rule", "reason", "detail"), "string"), "  ")
    yield "---"


def _write_files(folder: str, split: str) -> Iterator[str]:
    yield from (
        "  data_files:",
        f"  - split: {_quote(split)}",
        f"    path: {_quote(f'{folder}/{split}.jsonl')}",
    )


def _write_features(features: Mapping[str, str], indent: str) -> Iterator[str]:
    for name, dtype in features.items():
        yield from (f"{indent}- name: {_quote(name)}", f"{indent}  dtype: {dtype}")


def _write_type(kind: FieldType | str, indent: str) -> Iterator[str]:
    if isinstance(kind, str):
        yield f"{indent}dtype: {kind}"
    elif kind.kind != "list":
        yield f"{indent}dtype: {_DTYPES[kind.kind]}"
    elif kind.element is not None and kind.element.kind == "list":
        yield f"{indent}list:"
        yield from _write_type(kind.element, indent + "  ")
    else:
        yield f"{indent}list: {_DTYPES[kind.element.kind if kind.element is not None else 'any']}"


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
