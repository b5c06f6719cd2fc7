"""The page: every section's view, rendered through one template and written whole."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from exgrpo_runtime.report import bars
from exgrpo_runtime.report.accuracy import Evaluation, describe_evaluations, write_headline
from exgrpo_runtime.report.collect import RunRecord, as_count, collect_run
from exgrpo_runtime.report.formats import (
    format_count,
    format_percent,
    format_seconds,
    format_signed,
)
from exgrpo_runtime.report.funnel import ProbeView, describe_data, describe_probes
from exgrpo_runtime.report.grpo import GrpoView, describe_grpo
from exgrpo_runtime.report.rollouts import NUM_ROLLOUTS, PHASES
from exgrpo_runtime.report.settings import describe_settings
from exgrpo_runtime.report.sft import describe_sft
from exgrpo_runtime.run_dir import disk_boundary, write_text

REPORT = "report.html"
_HERE = Path(__file__).parent
_STATUS_WORDS = {
    "done": "finished",
    "partial": "finished in part",
    "stopped": "stopped where it was asked to",
    "failed": "failed",
    "interrupted": "interrupted",
    "open": "not finished",
}
_KIND_WORDS = {"data": "data", "probe": "probes", "sft": "SFT", "grpo": "ExGRPO", "evaluate": "evaluation"}


class StageRow(NamedTuple):
    """One line of the list of stages."""

    name: str
    kind: str
    status: str
    time: str
    bar: Markup


class Status(NamedTuple):
    """How the run ended."""

    id: str
    words: str
    error: str


def write_report(run_dir: Path) -> Path:
    """Writes RUN_DIR/report.html from what the run directory holds, complete or not; returns its path.

    The same files give the same bytes.

    Raises:
        ArtifactError: `run_dir` is not a run directory.
        DiskError: the file cannot be written.
    """
    text = render_report(run_dir)
    path = run_dir / REPORT
    with disk_boundary(run_dir):
        write_text(path, text)
    return path


def render_report(run_dir: Path) -> str:
    """The text of the report."""
    record = collect_run(run_dir)
    evaluations = describe_evaluations(record)
    headline, remark = write_headline(record, evaluations)
    data, probes, sft, grpo = (
        describe_data(record),
        describe_probes(record),
        describe_sft(record),
        describe_grpo(record),
    )
    script = (_HERE / "filter.js").read_text("utf-8")
    view: dict[str, Any] = {
        "task": str(record.run.get("task") or "unnamed"),
        "doc": record.artifact.manifest.doc if record.artifact else "",
        "status": find_status(record),
        "headline": headline,
        "remark": remark,
        "tiles": _list_tiles(record, evaluations, probes, grpo),
        "stages": _list_stages(record),
        "evaluations": evaluations,
        "data": data,
        "probes": probes,
        "sft": sft,
        "grpo": grpo,
        "phases": PHASES,
        "num_rollouts": NUM_ROLLOUTS,
        "settings": describe_settings(record),
        "missing": _list_missing(record),
        "script": Markup(script),
        "script_hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        "style": Markup((_HERE / "report.css").read_text("utf-8")),
        "count": format_count,
    }
    return _make_environment().get_template("report.html.jinja").render(view)


def find_status(record: RunRecord) -> Status:
    """How the run ended, by result.json; without one it is still going on or was killed."""
    result = record.result
    status = str(result.get("status") or "open")
    if status == "done" and as_count(result.get("exit_code")):
        status = "partial"
    error = str(result.get("error") or "")
    if status == "open":
        error = "There is no result.json: the run is still going on, or it was killed. Go on with --resume."
    return Status(status if status in _STATUS_WORDS else "open", _STATUS_WORDS.get(status, status), error)


def _make_environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _list_missing(record: RunRecord) -> tuple[str, ...]:
    """What a reader would look for in vain, and why."""
    absent = [stage for stage in record.stages if not stage.is_finished]
    missing = []
    if absent:
        names = ", ".join(f"{stage.name} ({_KIND_WORDS.get(stage.kind, stage.kind)})" for stage in absent)
        stages = "Stage" if len(absent) == 1 else "Stages"
        missing.append(f"{stages} without a result: {names}. Their sections are left out below.")
    return (*missing, *dict.fromkeys(record.reader.notes))


def _list_stages(record: RunRecord) -> tuple[StageRow, ...]:
    longest = max((stage.seconds or 0.0 for stage in record.stages), default=0.0)
    return tuple(
        StageRow(
            name=stage.name,
            kind=_KIND_WORDS.get(stage.kind, stage.kind),
            status=stage.status,
            time=format_seconds(stage.seconds),
            bar=bars.draw_length(
                format_seconds(stage.seconds), (stage.seconds or 0.0) / longest if longest else 0.0
            ),
        )
        for stage in record.stages
    )


def _list_tiles(
    record: RunRecord,
    evaluations: tuple[Evaluation, ...],
    probes: tuple[ProbeView, ...],
    grpo: tuple[GrpoView, ...],
) -> tuple[tuple[str, str, str], ...]:
    """The few figures at the top: (figure, what it is, detail)."""
    tiles = []
    if evaluations:
        states = evaluations[-1].states
        tiles.append((format_percent(states[-1].mean), "accuracy", states[-1].label))
        if len(states) > 1:
            points = format_signed((states[-1].mean - states[-2].mean) * 100, 1)
            tiles.append((points, "points", f"{states[-2].after} \u2192 {states[-1].after}"))
    if probes:
        asked, kept = sum(view.asked for view in probes), sum(view.kept for view in probes)
        tiles.append((format_count(kept), "probes kept", f"of {format_count(asked)} asked for"))
    if grpo:
        facts = dict(grpo[-1].facts)
        tiles.append((facts["steps"], "training steps", f"{facts.get('rollouts', '')} rollouts".strip()))
    seconds = sum(stage.seconds or 0.0 for stage in record.finished)
    done = len(record.finished)
    tiles.append((format_seconds(seconds), "in all", f"{done} of {len(record.stages)} stages"))
    return tuple(tiles)
