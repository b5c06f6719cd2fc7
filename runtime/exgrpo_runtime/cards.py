"""What the cards of datasets and of students share: sources with their licences, hashes, and how all of it is made again."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from exgrpo_artifact.canonical import hash_value
from exgrpo_artifact.manifest import Dataset, Manifest, Model

NOT_DECLARED = "not declared"
MOST_FILES = 8
"""Source files whose hashes are listed one by one."""
_LICENSE_ID = re.compile(r"[a-z0-9][a-z0-9.+-]*")

_KINDS = {
    "openai": "behind an OpenAI-compatible URL",
    "plugin": "plugin",
    "replay": "recorded replies",
    "hf": "on this machine",
    "scratch": "made from random weights",
}


class Origin(NamedTuple):
    """What a stage does not know of the run that it belongs to."""

    run: Mapping[str, Any]
    """As in run.json."""
    data: Mapping[str, Any]
    """The data stage's summary of the dataset."""
    files: Mapping[str, str]
    """Path -> sha256 of the local files that its source reads."""


def build_command(stage: str, run: Mapping[str, Any]) -> str:
    """The command line that makes the stage again, as a shell reads it."""
    spec = str(run.get("spec") or "artifact")
    words = ["exgrpo", "run", spec]
    if spec.endswith(".exg"):
        words += ["--task", str(run["task"])]
        words += [word for override in run.get("overrides") or () for word in ("--set", str(override))]
    words += ["--stage", stage]
    for option in ("limit", "shard"):
        if run.get(option) is not None:
            words += [f"--{option}", str(run[option])]
    return shlex.join(words)


# --- the header -------------------------------------------------------------------------------------------


def write_license(license: str | None) -> Iterator[str]:
    """The lines of a card's header about a licence; none where none is declared."""
    if license is None:
        return
    is_id = _LICENSE_ID.fullmatch(license.lower())
    yield f"license: {quote(license.lower() if is_id else 'other')}"
    if not is_id:
        yield f"license_name: {quote(license)}"


def quote(text: str) -> str:
    """The text as YAML reads it, whatever it looks like."""
    return json.dumps(text, ensure_ascii=False)


# --- tables -----------------------------------------------------------------------------------------------


def write_source_head() -> Iterator[str]:
    """The head of a table of `write_rows_source` and `write_model_source`."""
    yield from ("## Where it comes from", "", "| what | which | licence |", "|---|---|---|")


def write_rows_source(dataset: Dataset, data: Mapping[str, Any]) -> str:
    """One row of the table: a dataset; `data` is the data stage's summary of it."""
    source = dataset.source
    names = [source.location, *(f"{part}: {path}" for part, path in source.parts.items())]
    options = [f"{name} {value}" for name, value in source.options.items() if name in ("config", "revision")]
    commit = data.get("commit")
    described = [f"`{name}`" for name in names if name] + options + ([f"commit `{commit}`"] if commit else [])
    return (
        f"| rows `{dataset.name}` | {source.kind}: {', '.join(described)} | "
        f"{escape(dataset.license or NOT_DECLARED)} |"
    )


def write_model_source(role: str, model: Model) -> str:
    """One row of the table: a model; an endpoint's address stays out."""
    identity = f"`{model.id or model.name}`" + (f" at revision `{model.revision}`" if model.revision else "")
    kind = _KINDS.get(model.kind, model.kind)
    return (
        f"| {role} `{model.name}` | {identity}, {kind}{_describe_sampling(model)} | "
        f"{escape(model.license or NOT_DECLARED)} |"
    )


def write_hashes(manifest: Manifest, files: Mapping[str, str]) -> Iterator[str]:
    """A table of the artifact's hashes, and those of the rows' local files."""
    yield from ("| hash | sha256 |", "|---|---|", f"| artifact | `{manifest.content_hash}` |")
    for layer in ("data", "prompts", "reward", "train"):
        yield f"| layer {layer} | `{getattr(manifest.hashes, layer)}` |"
    yield from (f"| rows: `{path}` | `{digest}` |" for path, digest in _pick_files(files).items())


def escape(text: str) -> str:
    """The text as it stands in a table of Markdown."""
    return " ".join(text.split()).replace("|", "\\|")


def _describe_sampling(model: Model) -> str:
    sampling = model.sampling
    given = {"temperature": sampling.temperature, "top_p": sampling.top_p, "max_tokens": sampling.max_tokens}
    return "".join(f", {name} {value:g}" for name, value in given.items() if value is not None)


def _pick_files(files: Mapping[str, str]) -> Mapping[str, str]:
    """The files one by one; of a folder with many, all in one hash."""
    return files if len(files) <= MOST_FILES else {f"{len(files)} files": hash_value(dict(files))}
