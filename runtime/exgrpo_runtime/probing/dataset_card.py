"""The card of a probe stage's dataset: what its files hold, where everything in it comes from, and how to make it again.

A pure function of what the run has on record, so that a card can be written anew without its data.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from exgrpo_artifact.manifest import Dataset, FieldType, Keep, Manifest, Model, Probes, ProbeStage
from exgrpo_artifact.version import VERSION
from exgrpo_runtime.cards import (
    NOT_DECLARED,
    Origin,
    build_command,
    write_hashes,
    write_model_source,
    write_rows_source,
    write_source_head,
)
from exgrpo_runtime.probing.dataset_folder import Columns, list_columns
from exgrpo_runtime.probing.dataset_header import write_header
from exgrpo_runtime.report.formulas import write_formula


def write_card(manifest: Manifest, stage: ProbeStage, summary: Mapping[str, Any], origin: Origin) -> str:
    """README.md of the dataset folder.

    Args:
        manifest: the task.
        stage: the stage.
        summary: what the stage's done.json says; `dataset` in it is of `write_data_files`.
        origin: where the run came from.
    """
    declaration = manifest.probes[stage.probes]
    dataset = manifest.datasets[declaration.dataset]
    models = [manifest.models[name] for name in _list_models(declaration)]
    columns = list_columns(manifest, stage)
    sections = (
        write_header(manifest, stage, columns, summary["dataset"]),
        _write_opening(manifest, stage, summary, dataset),
        _write_columns(dataset, declaration, columns, summary["dataset"]["as_text"]),
        _write_sources(dataset, models, origin),
        _write_rules(manifest, declaration),
        _write_filters(declaration.keeps),
        _write_counts(summary),
        _write_rebuilding(manifest, stage, summary, origin),
    )
    return "\n".join(line for section in sections for line in section) + "\n"


def _list_models(declaration: Probes) -> list[str]:
    """The teacher, then whoever its filters ask."""
    asked = [
        str(node.params["model"])
        for keep in declaration.keeps
        for node in keep.condition.nodes
        if "model" in node.params
    ]
    return list(dict.fromkeys([declaration.teacher, *asked]))


# --- the text ---------------------------------------------------------------------------------------------


def _write_opening(
    manifest: Manifest, stage: ProbeStage, summary: Mapping[str, Any], dataset: Dataset
) -> Iterator[str]:
    yield from (f"# {manifest.task}: {stage.probes}", "")
    yield (
        f"{summary['probes_kept']} probes about {summary['items_kept']} of {summary['rows']} rows of `{dataset.name}` (split "
        f"`{stage.split}`), written by a language model along the rules below (Explanatory Inversion, arXiv 2603.19266, "
        "section 3) and filtered. Made by exgrpo."
    )
    if dataset.doc:
        yield from ("", f"`{dataset.name}`: {dataset.doc}")
    yield from ("", "```python", "from datasets import load_dataset", "")
    yield 'probes = load_dataset("PATH or ORG/NAME")'
    if summary["dataset"]["rejections"]:
        yield 'rejections = load_dataset("PATH or ORG/NAME", "rejections")'
    yield from ("```", "")


def _write_columns(
    dataset: Dataset, declaration: Probes, columns: Columns, as_text: Iterable[str]
) -> Iterator[str]:
    yield from ("## Columns", "", "| column | what |", "|---|---|")
    yield "| `row` | `split:position:hash` of the source row |"
    yield "| `rule` | the rule that the probe was asked for by |"
    yield "| `reveals` | whether the probe states the answer on purpose |"
    yield "| `sample` | which of several answers of the teacher it comes from, from 0 |"
    secret = {f"item.{field.name}" for field in dataset.fields if field.secret}
    secret |= {f"probe.{field.name}" for field in declaration.yields if not field.open}
    texts = set(as_text)
    for struct, fields in columns.items():
        for name, kind in fields.items():
            column = f"{struct}.{name}"
            notes = [_describe_type(kind)]
            notes += ["as JSON text"] if kind.kind == "any" or column in texts else []
            notes += ["kept from the student"] if column in secret else []
            yield f"| `{column}` | {', '.join(notes)} |"
    yield ""


def _describe_type(kind: FieldType) -> str:
    if kind.kind == "list":
        return f"list of {_describe_type(kind.element) if kind.element is not None else 'any'}"
    if kind.kind == "record":
        return f"record of {', '.join(f'{one.name} ({_describe_type(one.type)})' for one in kind.fields)}"
    return f"one of {', '.join(kind.options)}" if kind.kind == "choice" else kind.kind


def _write_sources(dataset: Dataset, models: Iterable[Model], origin: Origin) -> Iterator[str]:
    yield from write_source_head()
    yield write_rows_source(dataset, origin.data)
    for place, model in enumerate(models):
        yield write_model_source("teacher" if place == 0 else "asked by filters", model)
    yield ""
    yield (
        f"A licence that is {NOT_DECLARED} is not known to be free: look it up before this is passed on. The rows' licence covers "
        "`item`, the model's terms cover `probe`."
    )
    yield ""


def _write_rules(manifest: Manifest, declaration: Probes) -> Iterator[str]:
    how = (
        "one request for each row and rule"
        if declaration.ask == "per_rule"
        else "one request for all rules of a row"
    )
    answers = f", {declaration.samples} answers to each" if declaration.samples > 1 else ""
    most = (
        f"; at most {declaration.per_rule} probes of a row and rule are kept" if declaration.per_rule else ""
    )
    yield from ("## Rules", "", f"Asked for by {how}{answers}{most}.", "")
    for name in declaration.rules:
        rule = manifest.rules[name]
        when = f" Asked where {write_formula(rule.applies_when)}." if rule.applies_when is not None else ""
        reveals = f" It states {', '.join(rule.reveals)} on purpose." if rule.reveals else ""
        yield f"- **{name}**: {' '.join(rule.instruction.split())}{when}{reveals}"
    yield ""


def _write_filters(keeps: Iterable[Keep]) -> Iterator[str]:
    yield from ("## Filters", "")
    lines = [f"- **{keep.name}** (of {keep.subject}s): {write_formula(keep.condition)}" for keep in keeps]
    yield from lines or [
        "None beyond the checks of every probe: it can be read, and states no answer that it must not."
    ]
    yield ""


def _write_counts(summary: Mapping[str, Any]) -> Iterator[str]:
    yield from (
        "## What was left out",
        "",
        "| rule | asked | kept | rejected | why |",
        "|---|---|---|---|---|",
    )
    for rule, counts in summary["funnel"].items():
        reasons = {name: n for name, n in counts.items() if name not in ("asked", "kept", "not-applicable")}
        rejected = sum(reasons.values())
        rate = f"{100 * rejected / (rejected + counts['kept']):.1f}%" if rejected + counts["kept"] else "-"
        why = ", ".join(f"{count} {reason}" for reason, count in reasons.items()) or "-"
        yield f"| {rule} | {counts['asked']} | {counts['kept']} | {rate} | {why} |"
    repairs = summary["repairs"]
    if repairs["asked"]:
        mended = f"{repairs['mended']} of {repairs['asked']}"
        yield from ("", f"Replies that could not be read were sent back once: {mended} were mended.")
    dropped = ", ".join(f"{count} {reason}" for reason, count in summary["items_dropped_by"].items())
    yield from (
        "",
        f"Rows left without a probe: {summary['items_dropped']}" + (f" ({dropped})." if dropped else "."),
        "",
    )


def _write_rebuilding(
    manifest: Manifest, stage: ProbeStage, summary: Mapping[str, Any], origin: Origin
) -> Iterator[str]:
    files = summary["dataset"]
    yield from ("## Making it again", "", "```sh", build_command(stage.name, origin.run), "```", "")
    yield "With `--store` and the replies of the run that made it, nothing is asked and the files come out the same."
    yield from ("", *write_hashes(manifest, origin.files))
    yield f"| {files['replies']} stored replies | `{files['replies_sha256']}` |"
    yield from ("", f"exgrpo {VERSION}, spec compiled by {manifest.provenance.compiler}.")
